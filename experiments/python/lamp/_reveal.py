"""lamp.reveal: in which order somebody else's dot product adds."""
import json
import numbers

import numpy

from . import _core
from ._arithmetic import Arithmetic
from ._formats import Format


class Revealed:
    """What lamp.reveal found. `arithmetic` has the bits of `same_bits` of `of` random dot products, or is None (`why` says why); `tree` is
    the summation tree as text, `names` the orders with this tree, `drawing` the tree drawn; `facts` is all of `lamp reveal --json`."""

    def __init__(self, facts, drawing):
        self.facts, self.drawing = facts, drawing
        self.arithmetic = Arithmetic(facts["arith"]) if facts["arith"] else None
        self.tree, self.names = facts["tree"], facts.get("names", [])
        self.same_bits, self.of = facts["same_bits"], facts["of"]
        self.why = facts.get("nameless") or facts.get("why")

    def __repr__(self):
        return f"<lamp.Revealed {self.arithmetic!r}, {self.same_bits} of {self.of} random dot products>"


def reveal(callable, n, format="binary32", *, dtype=None):
    """The summation tree of callable(a, b), a dot product of n terms, and an arithmetic with its bits.

    callable takes two arrays (n,) of `dtype` whose elements are numbers of `format`, and returns a number; it is called a few thousand
    times for n = 64 (about n log n + 1000). dtype: float16 for binary16, float32 for other formats within binary32, else float64. n: 1 to
    4096. Returns lamp.Revealed. ValueError where the answers vary from call to call, or where neither a tree nor an arithmetic has them;
    what callable raises is passed on.

        lamp.reveal(numpy.dot, 64).names
    """
    described = format if isinstance(format, Format) else Format(format)
    if dtype is None:
        narrow = described.p <= 24 and described.emin >= -126 and described.emax <= 127
        dtype = numpy.float16 if described == Format("binary16") else numpy.float32 if narrow else numpy.float64
    asked = 0

    def answer(a, b):
        nonlocal asked
        asked += 1
        y = callable(a.astype(dtype), b.astype(dtype))
        if isinstance(y, numpy.ndarray) and y.size == 1:
            y = y.item()
        if not isinstance(y, numbers.Real) and not hasattr(y, "__float__"):
            raise TypeError(f"callable: answer {asked} is {type(y).__name__}; legal: a number")
        return float(y)

    facts, drawing = _core.reveal(answer, n, described)
    return Revealed(json.loads(facts), drawing)
