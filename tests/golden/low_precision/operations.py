"""The operations of method.md, section 2: fl of a multiply-accumulate and of every lone operation."""
import math

from functions import exp_exact, gelu_exact, rotation_exact, rsqrt_exact, silu_exact
from rounding import INF, NAN, parts, round_exact, round_value, special


class Output:
    """The roundings of one output, one after the other: fl of every operation, and the draws that they take."""

    def __init__(self, spec, place=None, row=0, column=0, draw=0):
        self.spec, self.place, self.row, self.column, self.draw, self.step = spec, place, row, column, draw, 0

    def word(self, draw):
        return self.place.words(self.step, self.column, self.row, draw)[0]

    def fl(self, m, e):
        """m 2^e, not 0, through `via` to the format."""
        spec = self.spec
        if spec.via is not None:
            return self.fl_value(round_exact(spec.via, "RNE", m, e))
        return round_exact(spec.format, spec.rounding, m, e, lambda: self.word(self.draw), spec.random_bits)

    def fl_value(self, x):
        return round_value(self.spec.format, self.spec.rounding, x, lambda: self.word(self.draw), self.spec.random_bits)

    def lone(self, exact):
        """A lone result: M 2^E to round, or a float that is zero, infinite or NaN."""
        if isinstance(exact, tuple):
            result = self.fl(*exact)
        else:
            result = self.fl_value(exact if self.spec.via is None else special(self.spec.via, exact))  # `via` may have no infinity
        self.step += 1
        return result

    def zero_sum(self, terms):
        """The sign of an exact zero sum."""
        signs = {math.copysign(1, t) for t in terms}
        if len(signs) == 1 and all(t == 0 for t in terms):
            return math.copysign(0.0, signs.pop())
        return -0.0 if self.spec.rounding == "RTN" and self.spec.via is None else 0.0

    def sum_of(self, a, b, c):
        """a b + c exactly, for `lone`; a b is rounded to `product` first where there is one."""
        spec = self.spec
        if spec.product is not None and b is not None:
            a, b = self.rounded_product(a, b), None
        ab = a if b is None else a * b
        if not (math.isfinite(a) and math.isfinite(b or 0.0) and math.isfinite(c)):
            return ab + c
        ma, ea = parts(a)
        if b is not None:
            mb, eb = parts(b)
            ma, ea = ma * mb, ea + eb
        mc, ec = parts(c)
        if ma == 0 and mc == 0:
            zero = math.copysign(0.0, a) if b is None else math.copysign(1, a) * math.copysign(1, b) * 0.0
            return self.zero_sum((zero, c))
        if ma == 0 or mc == 0:
            return (ma, ea) if mc == 0 else (mc, ec)
        e = min(ea, ec)
        m = (ma << (ea - e)) + (mc << (ec - e))
        return (m, e) if m != 0 else self.zero_sum((1.0, -1.0))

    def rounded_product(self, a, b):
        spec = self.spec
        if not (math.isfinite(a) and math.isfinite(b)):
            return special(spec.product, a * b)
        (ma, ea), (mb, eb) = parts(a), parts(b)
        if ma == 0 or mb == 0:
            return math.copysign(1, a) * math.copysign(1, b) * 0.0
        return round_exact(spec.product, spec.rounding, ma * mb, ea + eb, lambda: self.word(1), spec.random_bits)

    def operand(self, x):
        return x if self.spec.operands is None else round_value(self.spec.operands, "RNE", x)

    def mac(self, a, b, c):
        return self.lone(self.sum_of(self.operand(a), self.operand(b), c))

    def value(self, x):
        """A number as it is, rounded."""
        return self.lone(parts(x) if math.isfinite(x) and x != 0 else x)

    def add(self, a, b):
        return self.lone(self.sum_of(a, None, b))

    def sub(self, a, b):
        return self.add(a, -b)

    def mul(self, a, b):
        """A lone product."""
        if math.isfinite(a) and math.isfinite(b) and a != 0 and b != 0:
            (ma, ea), (mb, eb) = parts(a), parts(b)
            return self.lone((ma * mb, ea + eb))
        return self.lone(a * b)

    def div(self, a, b):
        if not (math.isfinite(a) and math.isfinite(b)) or a == 0 or b == 0:
            if b == 0:
                return self.lone(NAN if a == 0 or a != a else math.copysign(INF, math.copysign(1, a) * math.copysign(1, b)))
            return self.lone(a / b)
        (ma, ea), (mb, eb) = parts(a), parts(b)
        q, rest = divmod(abs(ma) << 120, abs(mb))  # at least 120 bits, then one for all that is beyond them
        sign = -1 if (ma < 0) != (mb < 0) else 1
        return self.lone((sign * (2 * q + (rest != 0)), ea - eb - 121))

    def exp(self, x):
        if x == 0:
            return self.lone((1, 0))
        if not math.isfinite(x):
            return self.lone(0.0 if x == -INF else x)
        return self.lone(exp_exact(x) if x < 2**16 else INF)  # no exp here is of a positive number: t <= 0

    def rsqrt(self, x):
        if not math.isfinite(x) or x <= 0:
            return self.lone(0.0 if x == INF else math.copysign(INF, x) if x == 0 else NAN)
        return self.lone(rsqrt_exact(x))

    def gelu(self, x, form):
        if x == 0 or not math.isfinite(x):
            return self.lone(-0.0 if x == -INF else x)
        return self.lone(gelu_exact(x, form))

    def silu(self, x):
        if x == 0 or not math.isfinite(x):
            return self.lone(-0.0 if x == -INF else x)
        return self.lone(silu_exact(x))

    def rotation(self, position, frequency):
        """(cos, sin) of position f, rounded RNE once to the format, whatever the mode and `via`: constants, which count as no rounding."""
        exact = ((1, 0), None) if position == 0 else rotation_exact(position, frequency)
        return tuple(0.0 if value is None else round_exact(self.spec.format, "RNE", *value) for value in exact)
