"""LAMP's other functions f: RMSNorm, LayerNorm, activations, a linear map. method.md, section 6.

Keys are binary64: expressions from left to right as they are printed, one rounding an operation; sums fused, by ascending index, from +0.
"""
import math
from fractions import Fraction

import mpmath
from operations import Output
from orders import dot
from rounding import FORMATS, INF, NAN, Arithmetic, parts
from selection import REFUSED, Diagonal, Row, error_weights, integer

BINARY64 = Arithmetic(FORMATS["binary64"])


def fused(a, b):
    """sum a_k b_k."""
    return dot(Output(BINARY64), a, b)


def total(x):
    return fused(x, [1.0] * len(x))


def over(a, b):
    """a / b, also of zeros."""
    if b != 0 or b != b:
        return a / b
    return NAN if a == 0 or a != a else math.copysign(INF, math.copysign(1, a) * math.copysign(1, b))


def clamped(x):
    """The integer of a key that is a number."""
    return integer(max(-REFUSED, min(REFUSED, x)))


class RmsNorm(Diagonal):
    """Of residual sums y, in each of which a value p of the projection has the error."""

    def __init__(self, y, p, bound, eps, keys):
        super().__init__(y, keys)
        w, n = error_weights(keys, p, bound), float(self.n)
        r = fused(y, y) + n * eps
        if self.norm == "normwise1":
            norm1 = total([abs(v) for v in y])
            b = [over(v * ((1 - over(x * x, r)) + over(abs(x) * (norm1 - abs(x)), r)), norm1) for x, v in zip(y, w)]
            a = []
        else:
            b = [over(abs(x) * v, r) for x, v in zip(y, w)]
            a = [over(v, abs(x)) - 2 * k if x != 0 or v != 0 else 0.0 for x, v, k in zip(y, w, b)]
        self.refused = any(x != x for x in a + b)
        if not self.refused:
            self.b, self.a = [clamped(x) for x in b], [clamped(x) for x in a]

    def counted(self, s):
        return any(self.y[i] != 0 for i in s)


class LayerNorm(Row):
    """As RmsNorm; there is no exact solver."""

    def __init__(self, y, p, bound, eps, keys):
        super().__init__(y, keys)
        w, n = error_weights(keys, p, bound), float(self.n)
        mean = total(y) / n
        c = [x - mean for x in y]
        s = math.sqrt(fused(c, c) / n + eps)
        u = [over(x, s) for x in c]
        columns = range(self.n)
        if self.norm == "normwise1":
            norm1 = total([abs(x) for x in u])
            b = [over(w[j] * ((column_sum(u, j) - abs(1 + u[j] * u[j])) + abs(n - 1 - u[j] * u[j])), n * s * norm1) for j in columns]
            cost = []
        else:
            def jacobian(i, j):
                return over((1.0 if i == j else 0.0) - 1 / n, s) - over(c[i] * c[j], n * (s * s * s))

            rows = [[abs(jacobian(i, j)) for j in columns] for i in columns]
            b = [w[j] * total([row[j] for row in rows]) for j in columns]
            cost = [[over(row[j] * w[j], abs(u[i])) for j in columns] for i, row in enumerate(rows) if c[i] != 0]
        self.refused = any(x != x for row in [b, *cost] for x in row)
        if not self.refused:
            self.b, self.costs = [clamped(x) for x in b], [[clamped(x) for x in row] for row in cost]

    def cost(self, s):
        if self.norm == "normwise1":
            return self.left(s)
        return max((sum(x for j, x in enumerate(row) if j not in s) for row in self.costs), default=0)


def column_sum(u, j):
    """sum_i abs(1 + u_i u_j) by prefix sums of u, ascending: the k terms of which 1 + u_i u_j < 0 stand at one end."""
    n, x, ordered = len(u), u[j], sorted(u)
    sums = [0.0]
    for v in ordered:
        sums.append(sums[-1] + v)
    k = sum(1 + v * x < 0 for v in ordered)
    if x > 0:
        return ((n - k) + x * (sums[n] - sums[k])) - (k + x * sums[k])
    return ((n - k) + x * sums[n - k]) - (k + x * (sums[n] - sums[n - k]))


# phi'(y) / phi(y) of y, not 0, in mpmath's working precision.


def gelu_tanh(y):
    a = mpmath.sqrt(2 / mpmath.pi)
    b = mpmath.mpf(44715) / 1000000
    return 1 / y + 2 * a * (1 + 3 * b * y**2) / (1 + mpmath.exp(2 * a * (y + b * y**3)))


def gelu_erf(y):
    if y < -(2**100):
        return -y  # nearer than 2^-199 of it, and what is in doubt by 160 bits stays so
    return 1 / y + mpmath.sqrt(2 / mpmath.pi) * mpmath.exp(-(y**2) / 2) / mpmath.erfc(-y / mpmath.sqrt(2))


def silu(y):
    return 1 / y + 1 / (1 + mpmath.exp(y))


RATIOS = {"gelu_new": gelu_tanh, "gelu": gelu_erf, "silu": silu}
FAR_BELOW = {"gelu_new": INF, "gelu": INF, "silu": 1.0}  # the limit of its magnitude at -infinity; at +infinity it is 0


def rounded_24(m, e):
    """m 2^e, m >= 0, to 24 bits, RNE, the exponent unbounded."""
    shift = max(m.bit_length() - 24, 0)
    n, rest = m >> shift, m & ((1 << shift) - 1)
    half = 1 << shift >> 1
    n += rest > half or (rest == half and shift > 0 and n % 2 == 1)
    return Fraction(n) * Fraction(2) ** (shift + e)


def kappa(form, y, w, relative):
    """abs(phi'(y)) w / abs(phi(y)) of the real phi, correctly rounded to 24 bits; of an infinity its limit.
    A float where it is not finite."""
    if y != y or w != w:
        return NAN
    if y == 0 or (y == INF and relative):
        return Fraction(1) if relative else INF
    if w == 0:
        return Fraction(0)
    if math.isinf(y):
        k = w * (0.0 if y > 0 else FAR_BELOW[form])
        return rounded_24(*parts(k)) if math.isfinite(k) else k
    if math.isinf(w):
        return INF
    for precision in (160, 640, 2560):
        with mpmath.workprec(precision + 80):  # phi' has zeros; y is no nearer to them than 2^-54 or so of it
            _, m, e, bits = (abs(RATIOS[form](mpmath.mpf(y))) * mpmath.mpf(w))._mpf_
        m, e = m << (precision + 80 - bits), e - (precision + 80 - bits)
        low, high = rounded_24(max(m - 2**80, 0), e), rounded_24(m + 2**80, e)
        if low == high:
            return low
    raise ArithmeticError("a rounding is in doubt at 2560 bits")


class Activation(Row):
    """Of each component by itself: recomputed where kappa > tau. No norm, no solver."""

    def __init__(self, y, bound, form, keys):
        super().__init__(y, keys)
        relative = keys.get("weights", "absolute") == "relative"
        found = [kappa(form, x, v, relative) for x, v in zip(y, error_weights(keys, y, bound))]
        self.refused = any(x != x for x in found)
        if not self.refused:
            self.b = [clamped(x) for x in found]

    def cost(self, s):
        return max((x for j, x in enumerate(self.b) if j not in s), default=0)


class LinearMap(Row):
    """z = W y, in the 1-norm. `rows` are W's."""

    def __init__(self, y, bound, rows, keys):
        super().__init__(y, keys)
        norm1 = total([abs(fused(row, y)) for row in rows])
        w = error_weights(keys, y, bound)
        b = [over(v * total([abs(x) for x in column]), norm1) for v, column in zip(w, zip(*rows))]
        self.refused = any(x != x for x in b)
        if not self.refused:
            self.b = [clamped(x) for x in b]

    def cost(self, s):
        return self.left(s)
