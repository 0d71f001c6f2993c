"""lamp.select: which components of y = g(x) to recompute so that z = f(y) is accurate."""
import numpy

from . import _arrays, _core, _rule
from ._arithmetic import Arithmetic


def select(y, tau=None, function="softmax", *, rate=None, weights="absolute", norm="componentwise", solver="greedy", mask="exclude",
           w=None, g=None, W=None, eps=None, row_length=None, rule=None, return_cost=False, threads=None):
    """LAMP's set of each row: the components whose rounding errors f would pass on, until what is left costs at most tau.

    y: (.., n), n >= 1, the low values. function: f, one of softmax rmsnorm layernorm gelu_tanh gelu_erf silu relu linear. tau, or rate (the
    share of the row), one of them. weights: absolute, relative, or dot with w, the bounds of the errors, (.., n). norm: componentwise,
    normwise1. solver: greedy, exact. mask: exclude, or as-zero with row_length. eps: of the norms; g: what `relative` weighs; W: (m, n), of
    linear. core/selection/README.md defines them all, with the formulas.

    rule: a function of a lamp.Row, one row after the other, which says what is recomputed in LAMP's place: a bool array, or indices.

    Returns bool (.., n), True where a component is recomputed; with return_cost also the cost of each set, float64 (..), infinite where a
    row is refused (NaN). ValueError with the text of `lamp calc`.

        lamp.select([3.0, 2.5, 0.0, -3.0], tau=1.5)      # array([ True, False, False, False])
    """
    y = _arrays.operand(y, "y")
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"y has shape {y.shape}; legal: (.., n), n at least 1")
    rows = y.reshape(-1, y.shape[-1])
    keys = {"function": function, "weights": weights, "norm": norm, "solver": solver, "mask": mask}
    given = {"tau": tau, "rate": rate, "eps": eps, "row_length": row_length}
    keys.update((name, value) for name, value in given.items() if value is not None)
    g, w = (None if x is None else numpy.broadcast_to(_arrays.operand(x, name), y.shape).reshape(rows.shape)
            for x, name in ((g, "g"), (w, "w")))
    if W is not None:
        W = _arrays.operand(W, "W")
        if W.ndim != 2:
            raise ValueError(f"W has shape {W.shape}; legal: (m, {y.shape[-1]})")
    marks = numpy.zeros(rows.shape, numpy.uint8)
    costs = numpy.empty(rows.shape[0])
    _core.select(keys, rows, g, w, W, marks, costs, _arrays.threads(threads))
    if rule is not None:
        for i, row in enumerate(_rows(rows, g, w, W, marks.view(bool), keys)):
            marks[i] = _rule.evaluated(rule, row)
        _core.select(keys, rows, g, w, W, marks, costs, _arrays.threads(threads), given=True)
    marks, costs = marks.view(bool).reshape(y.shape), costs.reshape(y.shape[:-1])[()]
    return (marks, costs) if return_cost else marks


def _rows(y, g, w, W, lamps, keys):
    """What a rule is shown of each row."""
    y, g, w, W = (None if x is None else numpy.asarray(x, numpy.float64) for x in (y, g, w, W))
    weights = numpy.abs(y if g is None else g) if keys["weights"] == "relative" else numpy.ones(y.shape) if w is None else w
    z = Arithmetic(format="binary64").softmax(y) if keys["function"] == "softmax" else None
    columns = None if W is None else numpy.abs(W).sum(axis=0)
    for i in range(len(y)):
        row = _rule.Row()
        row.site = row.layer = row.head = row.sequence = row.q = row.k = None
        row.function, row.position, row.seed, row.columns, row.eps = keys["function"], i, 0, columns, keys.get("eps", 0.0)
        row.length, row.tau, row.rate = keys.get("row_length", y.shape[1]), keys.get("tau"), keys.get("rate")
        row.y, row.w, row.lamp = y[i], weights[i], lamps[i].copy()
        row.z, row.g = (None if x is None else x[i] for x in (z, g))
        for array in (row.y, row.w, row.lamp, row.z, row.g, row.columns):
            if array is not None:
                array.flags.writeable = False
        yield row
