"""lamp.Arithmetic: how sums, products and the operations of a network round, as a config says it."""
import numpy

from . import _arrays, _core
from ._formats import Format


class Arithmetic(_core.Arithmetic):
    """How one multiply-accumulate rounds, and in which order sums are taken: the keys of [arithmetic.NAME] in a config, and the seed of
    the stochastic modes.

        fl = lamp.Arithmetic(format="ps7", via="binary32", order="lanes:16")
        fl.dot(a, b)

    format, mu, preset, operands, operand_rounding, product, via, rounding, random_bits, order, part, block, engine: `lamp config` says
    what each may be and what it is by default. A single dict with these keys is the same. ValueError with the text of `lamp calc`.

    order may be a callable, too: of n, the number of terms, it gives the tree of their sum as nested tuples, ((0, 1), (2, 3)), or an
    order as text. It is asked once for each n.

    Every method takes arrays as lamp.round does, gives float32 or float64 by the same rule, and has the bits of `lamp calc` whatever
    `threads` is. Equal arithmetics compare equal; `config` is the dict that made one."""

    def __init__(self, config=None, /, **keys):
        if config is not None and keys:
            raise TypeError("Arithmetic takes one dict or keys; legal: one of them")
        keys = dict(keys if config is None else config)
        self._order, self._of_length = None, {}
        if callable(keys.get("order")):
            self._order = keys.pop("order")
        super().__init__(keys)

    @property
    def format(self):
        """Where results live: a lamp.Format."""
        return Format(super().format.name)

    def _of(self, n):
        """This arithmetic for sums of n terms: itself, unless its order is a callable."""
        if self._order is None:
            return self
        if n not in self._of_length:
            order = self._order(n) if n > 0 else "sequential"
            self._of_length[n] = _core.Arithmetic({**super().config, "order": order if isinstance(order, str) else "tree:" + _tree(order)})
        return self._of_length[n]

    @property
    def config(self):
        """The keys that made it."""
        return super().config if self._order is None else {**super().config, "order": self._order}

    def __eq__(self, other):
        return super().__eq__(other) and self._order == getattr(other, "_order", None)

    def __repr__(self):
        return "lamp.Arithmetic(" + ", ".join(f"{key}={value!r}" for key, value in self.config.items()) + ")"

    def __reduce__(self):
        return Arithmetic, (self.config,)

    def __hash__(self):
        return hash(self.format)

    # ---- one operation an element

    def _lone(self, name, operands, out, threads):
        arrays = [_arrays.operand(x, "abc"[i] if len(operands) > 1 else "x") for i, x in enumerate(operands)]
        narrow = self._fits_binary32 and _arrays.is_narrow(*arrays)
        arrays, shape = _arrays.broadcast(*arrays)
        y = _arrays.output(out, shape, narrow)
        arrays = [_arrays.apart(x, out) for x in arrays]
        call = (self._unary, self._binary, self._ternary)[len(arrays) - 1]
        call(name, *arrays, y, _arrays.threads(threads))
        return _arrays.result(y, out)

    def round(self, x, *, out=None, threads=None):
        """fl(x): the last rounding of every operation here, through `via` where there is one. x: any shape."""
        return self._lone("round", (x,), out, threads)

    def add(self, a, b, *, out=None, threads=None):
        """fl(a + b). a, b: shapes that numpy broadcasts. Element i draws as row i of `lamp calc`, as in every method of one operation."""
        return self._lone("add", (a, b), out, threads)

    def sub(self, a, b, *, out=None, threads=None):
        """fl(a - b)."""
        return self._lone("sub", (a, b), out, threads)

    def mul(self, a, b, *, out=None, threads=None):
        """fl(a b)."""
        return self._lone("mul", (a, b), out, threads)

    def div(self, a, b, *, out=None, threads=None):
        """fl(a / b)."""
        return self._lone("div", (a, b), out, threads)

    def fma(self, a, b, c, *, out=None, threads=None):
        """One multiply-accumulate, c + a b: a, b are rounded to `operands`, their product to `product`, where there are such; with
        neither, fl(a b + c)."""
        return self._lone("fma", (a, b, c), out, threads)

    def sqrt(self, x, *, out=None, threads=None):
        """fl(sqrt x)."""
        return self._lone("sqrt", (x,), out, threads)

    def _apply(self, name, x, out, threads):
        x = _arrays.operand(x, "x")
        y = _arrays.output(out, x.shape, self._fits_binary32 and _arrays.is_narrow(x))
        self._function(name, _arrays.apart(x, out), y, _arrays.threads(threads))
        return _arrays.result(y, out)

    def gelu(self, x, variant="tanh", *, out=None, threads=None):
        """fl(gelu x) by the tanh formula or by erf: one rounding. variant: "tanh", "erf"."""
        if variant not in ("tanh", "erf"):
            raise ValueError(f"variant is {variant!r}; legal: \"tanh\", \"erf\"")
        return self._apply("gelu_" + variant, x, out, threads)

    # ---- sums: the last axis is summed, in the order of the arithmetic

    def dot(self, a, b, c=None, *, out=None, threads=None):
        """The sum over the last axis of a b, from c (0 where absent), in the order.

        a, b: (.., n), shapes that numpy broadcasts; c: (..). Returns (..). n = 0 gives c. Sum i of the result (in C order) draws as
        output (i, 0). ValueError where the order has no sums of n terms."""
        a, b = _arrays.operand(a, "a"), _arrays.operand(b, "b")
        if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
            raise ValueError(f"a has shape {a.shape}, b {b.shape}; legal: equal last axes, (.., n)")
        narrow = self._fits_binary32 and _arrays.is_narrow(a, b)
        (a, b), shape = _arrays.broadcast(a, b)
        if c is not None:
            c = _arrays.operand(c, "c")
            narrow = narrow and _arrays.is_narrow(c)
            c = numpy.broadcast_to(_arrays.apart(c, out, elementwise=False), shape[:-1]).reshape(-1)
        y = _arrays.output(out, shape[:-1], narrow)
        a, b = (_rows(_arrays.apart(x, out, elementwise=False)) for x in (a, b))
        _flat(y, lambda to: self._of(a.shape[-1])._dot(a, b, c, to, _arrays.threads(threads)))
        return _arrays.result(y, out)

    def sum(self, x, axis=-1, *, out=None, threads=None):
        """The sum along an axis, in the order: the dot product with ones. x: any shape but (). n = 0 gives +0."""
        x = _arrays.operand(x, "x")
        if x.ndim == 0:
            raise ValueError("x has shape (); legal: at least one axis")
        narrow = self._fits_binary32 and _arrays.is_narrow(x)
        x = numpy.moveaxis(x, axis, -1)
        y = _arrays.output(out, x.shape[:-1], narrow)
        rows = _rows(_arrays.apart(x, out, elementwise=False))
        _flat(y, lambda to: self._of(rows.shape[-1])._sum(rows, to, _arrays.threads(threads)))
        return _arrays.result(y, out)

    def matmul(self, a, b, *, out=None, threads=None):
        """The matrix product, each output a sum over k in the order, from +0.

        a: (.., m, k), b: (.., k, n); leading axes as numpy broadcasts them; an operand of one axis is a row or a column, as in
        numpy.matmul. Returns (.., m, n). Output (i, j) of matrix s draws as output (s m + i, j). ValueError where shapes do not fit, or
        the order has no sums of k terms."""
        a, b = _arrays.operand(a, "a"), _arrays.operand(b, "b")
        if a.ndim == 0 or b.ndim == 0:
            raise ValueError(f"a has shape {a.shape}, b {b.shape}; legal: at least one axis each")
        narrow = self._fits_binary32 and _arrays.is_narrow(a, b)
        left, right = a if a.ndim > 1 else a[None, :], b if b.ndim > 1 else b[:, None]
        if left.shape[-1] != right.shape[-2]:
            raise ValueError(f"a has shape {a.shape}, b {b.shape}; legal: a (.., m, k), b (.., k, n)")
        stack = numpy.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        m, n = left.shape[-2], right.shape[-1]
        shape = stack + ((m,) if a.ndim > 1 else ()) + ((n,) if b.ndim > 1 else ())
        y = _arrays.output(out, shape, narrow)
        left, right = _arrays.apart(left, out, elementwise=False), _arrays.apart(right, out, elementwise=False)
        left, right = numpy.broadcast_to(left, stack + left.shape[-2:]), numpy.broadcast_to(right, stack + right.shape[-2:])
        target = y.reshape(stack + (m, n)) if out is None else _unfold(y, a.ndim, b.ndim)
        count, terms = _arrays.threads(threads), self._of(left.shape[-1])
        for s, index in enumerate(numpy.ndindex(*stack)):
            terms._matmul(left[index], right[index], target[index], s * m, count)
        return _arrays.result(y, out)

    # ---- operations of a network, along the last axis

    def softmax(self, x, *, out=None, threads=None):
        """softmax along the last axis: fl(x_j - max), fl(exp ..), their sum in the order, fl(.. / sum). x: (.., n), n >= 1."""
        x, y, rows, to = self._sites(x, out)
        self._of(rows.shape[-1])._softmax(rows, to, _arrays.threads(threads))
        return _give(y, to, out)

    def layer_norm(self, x, gamma, beta, eps, *, out=None, threads=None):
        """Layer normalisation along the last axis: the mean and the variance as sums in the order, then fl(fl(c r) gamma + beta).
        x: (.., n), n >= 1; gamma, beta: (n,); eps: a number."""
        x, y, rows, to = self._sites(x, out)
        gamma, beta = _weights(gamma, "gamma", x), _weights(beta, "beta", x)
        self._of(rows.shape[-1])._layer_norm(rows, gamma, beta, float(eps), to, _arrays.threads(threads))
        return _give(y, to, out)

    def rms_norm(self, x, gamma, eps, *, out=None, threads=None):
        """RMS normalisation along the last axis: fl(fl(x r) gamma), r = fl(rsqrt(fl(v + eps))), v the mean of squares. x: (.., n), n >=
        1; gamma: (n,); eps: a number."""
        x, y, rows, to = self._sites(x, out)
        self._of(rows.shape[-1])._rms_norm(rows, _weights(gamma, "gamma", x), float(eps), to, _arrays.threads(threads))
        return _give(y, to, out)

    def _sites(self, x, out):
        x = _arrays.operand(x, "x")
        if x.ndim == 0 or x.shape[-1] == 0:
            raise ValueError(f"x has shape {x.shape}; legal: (.., n), n at least 1")
        y = _arrays.output(out, x.shape, self._fits_binary32 and _arrays.is_narrow(x))
        rows = _rows(_arrays.apart(x, out, elementwise=False))
        to = y.reshape(rows.shape) if y.flags.c_contiguous else numpy.empty(rows.shape, y.dtype)
        return x, y, rows, to


def _tree(root):
    """Nested tuples as a config writes them: ((0 1) 2). Not by recursion: a tree may be as deep as it has terms."""
    text, rest = [], [root]
    while rest:
        node = rest.pop()
        if isinstance(node, str):
            text.append(node)
        elif isinstance(node, (int, numpy.integer)) and not isinstance(node, bool):
            text.append(str(int(node)))
        elif isinstance(node, (tuple, list)) and node:
            rest += [")", *reversed(node), "("]
        else:
            raise ValueError(f"order: a node of its tree is {node!r}; legal: the number of a term, or a tuple of nodes")
    return " ".join(text).replace("( ", "(").replace(" )", ")")


def _rows(x):
    """(.., n) as (rows, n): the same memory where that is possible."""
    rows = 1
    for length in x.shape[:-1]:
        rows *= length
    return x.reshape(rows, x.shape[-1])


def _flat(y, compute):
    """compute(y as one axis), whatever its strides."""
    if y.flags.c_contiguous:
        compute(y.reshape(-1))
    else:
        to = numpy.empty(y.size, y.dtype)
        compute(to)
        y[...] = to.reshape(y.shape)


def _unfold(y, left_axes, right_axes):
    """The axes that an operand of one axis has lost, as a view."""
    if right_axes == 1:
        y = y[..., None]
    return y[..., None, :] if left_axes == 1 else y


def _give(y, to, out):
    if not numpy.may_share_memory(y, to):
        y[...] = to.reshape(y.shape)
    return y


def _weights(weights, name, x):
    weights = _arrays.operand(weights, name)
    if weights.shape != x.shape[-1:]:
        raise ValueError(f"{name} has shape {weights.shape}; legal: {x.shape[-1:]}, the last axis of x")
    return weights


def _method(name):
    def of_array(self, x, *, out=None, threads=None):
        return self._apply(name, x, out, threads)

    of_array.__name__, of_array.__qualname__ = name, f"Arithmetic.{name}"
    return of_array


def _add_functions(meanings):
    for name in _core.functions:
        method = _method(name)
        method.__doc__ = f"""{meanings[name]}, rounded once, through `via` where there is one. x: any shape."""
        setattr(Arithmetic, name, method)
