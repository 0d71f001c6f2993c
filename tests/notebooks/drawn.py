"""What notebooks show, what figures draw of intervals, and Student's interval a second time."""
import ast
import json
import math
import os
import warnings
from unittest import mock

import matplotlib.collections
import matplotlib.figure
import mpmath
import numpy as np


def t_quantile(freedom, level=0.95):
    """By the incomplete beta function, in 30 digits."""
    with mpmath.workdps(30):
        half = mpmath.mpf(freedom) / 2
        return float(mpmath.findroot(lambda t: mpmath.betainc(half, 0.5, freedom / (freedom + t * t), 1, regularized=True) - level, 2.5))


def t_interval(values):
    """Mean and ends."""
    n, mean = len(values), math.fsum(values) / len(values)
    half = t_quantile(n - 1) * math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n)
    return mean, mean - half, mean + half


def shown_by(notebook, result, out):
    """The cells of a notebook, in this process: what each shows, by its source."""
    os.environ |= {"LAMP_RESULT": str(result), "LAMP_OUT": str(out)}
    shown, names = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cell in json.loads(notebook.read_text())["cells"]:
            if cell["cell_type"] == "code":
                *lines, last = ast.parse("".join(cell["source"])).body
                exec(compile(ast.Module(lines, []), "cell", "exec"), names)
                shown[ast.unparse(last)] = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        for value in shown.values():
            value._repr_html_()
    return shown


def figures_of(draw):
    """The figures that draw() publishes, still open and not saved: that takes longest."""
    from lib import output
    figures = []
    with mock.patch.object(output.plt, "close", figures.append), mock.patch.object(matplotlib.figure.Figure, "savefig"):
        draw()
    return [figure for figure in figures if isinstance(figure, matplotlib.figure.Figure)]


def segments(figure):
    """(low, high) of every bar, and of every band at each of its points, in units of the data."""
    found = []
    for ax in figure.axes:
        for line in ax.lines:
            x, y = (np.asarray(values, float) for values in line.get_data())
            if len(x) == 2 and line.get_transform() == ax.transData and (x[0] == x[1]) != (y[0] == y[1]):
                found.append(tuple(x if y[0] == y[1] else y))
        for band in ax.collections:
            if isinstance(band, matplotlib.collections.PolyCollection):
                corners = np.concatenate([path.vertices for path in band.get_paths()])
                found += [(own.min(), own.max()) for own in (corners[corners[:, 0] == x, 1] for x in np.unique(corners[:, 0]))]
    return found


def not_the_librarys(draw, cuts=()):
    """(bars and bands that draw() draws, those of them that are not 2^-6 wide, themselves or their logarithms): the library is made to
    say that of every t interval. cuts: where intervals may end before."""
    from lib import intervals
    with mock.patch.object(intervals, "t_ends", lambda values: (values.mean(0) - 2.0**-7, values.mean(0) + 2.0**-7)):
        found = [pair for figure in figures_of(draw) for pair in segments(figure)]
    return found, [
        (low, high)
        for low, high in found
        if abs(high - low - 2.0**-6) > 1e-9 and not {low, high} & {*cuts} and not (low and abs(high / low - np.exp(2.0**-6)) <= 1e-9)
    ]
