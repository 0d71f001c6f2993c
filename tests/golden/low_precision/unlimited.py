"""The reference mpfr:N: N bits, no exponent limits, one fused step per k ascending, correctly rounded functions; on mpmath's numbers."""
import dataclasses

import mpmath
from rounding import FORMATS, round_exact

GUARD = 80  # bits: a function of mpmath is good to a few units of its precision, so its rounding is in doubt with probability 2^-70


@dataclasses.dataclass(frozen=True)
class Unlimited:
    """The arithmetic of every output; nothing is drawn, so nothing is counted. Operands are mpmath's numbers or floats."""

    bits: int
    order: str = "sequential"

    @property
    def spec(self):
        return self

    def rounded(self, function, *operands):
        with mpmath.workprec(self.bits + GUARD):
            y = function(*(mpmath.mpf(x) for x in operands))
        with mpmath.workprec(self.bits):
            return +y

    def value(self, x):
        return x  # a weight: binary32

    def add(self, a, b):
        return mpmath.fadd(a, b, prec=self.bits)

    def sub(self, a, b):
        return mpmath.fsub(a, b, prec=self.bits)

    def mul(self, a, b):
        return mpmath.fmul(a, b, prec=self.bits)

    def div(self, a, b):
        return mpmath.fdiv(a, b, prec=self.bits)

    def mac(self, a, b, c):
        return self.add(mpmath.fmul(a, b, exact=True), c)

    def exp(self, x):
        return self.rounded(mpmath.exp, x)

    def rsqrt(self, x):
        return self.rounded(lambda y: 1 / mpmath.sqrt(y), x)

    def gelu(self, x, form):
        def tanh_form(y):
            w = mpmath.sqrt(2 / mpmath.pi) * (y + mpmath.mpf(44715) / 1000000 * y**3)
            return y / (1 + mpmath.exp(-2 * w))

        return self.rounded({"gelu_new": tanh_form, "gelu": lambda y: y / 2 * mpmath.erfc(-y / mpmath.sqrt(2))}[form], x)

    def silu(self, x):
        return self.rounded(lambda y: y / (1 + mpmath.exp(-y)), x)

    def rotation(self, position, frequency):
        return tuple(self.rounded(lambda: function(position * frequency())) for function in (mpmath.cos, mpmath.sin))


def binary64(x):
    """A value of a pass as it is recorded: a float, or a number of mpmath rounded to binary64, RNE."""
    if not isinstance(x, mpmath.mpf):
        return x
    sign, m, e, _ = x._mpf_
    return round_exact(FORMATS["binary64"], "RNE", -m if sign else m, e) if m else float(x)
