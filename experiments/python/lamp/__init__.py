"""lamp: emulated floating-point arithmetic on numpy arrays, with the names of configs and the bits of `lamp calc`.

    lamp.round(x, "e4m3fn")                                       numbers rounded to a format; lamp.exp, lamp.tanh, .. likewise
    lamp.Format("e4m3fn").xmax                                    what a format is
    lamp.Arithmetic(format="ps7", order="lanes:16").matmul(a, b)  sums and products in an arithmetic
    lamp.select(y, tau=1.5)                                       which components LAMP recomputes
    lamp.reveal(numpy.dot, 64)                                    in which order somebody's dot product adds
    lamp.Model(folder).forward(tokens, plan)                      a language model, site by site
    lamp.run(config), lamp.open(result)                           an experiment and its results

Formats, arithmetics and orders are defined in core/fp/README.md and core/arith/README.md; `lamp config`, `lamp formats` list their names.
"""
from ._arithmetic import Arithmetic, _add_functions
from ._core import functions as _functions
from ._formats import FUNCTIONS as _FUNCTIONS
from ._formats import MEANINGS as _MEANINGS
from ._formats import Format, round
from ._model import Model, Pass
from ._results import Group, Opened, open
from ._reveal import Revealed, reveal
from ._rule import Row
from ._run import run
from ._selection import select

_add_functions(_MEANINGS)
globals().update(_FUNCTIONS)

__all__ = ["Arithmetic", "Format", "Group", "Model", "Opened", "Pass", "Revealed", "Row", "open", "reveal", "round", "run", "select",
           *_functions]
