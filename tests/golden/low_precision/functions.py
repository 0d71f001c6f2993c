"""exp, 1/sqrt, GELU, SiLU, cos and sin as M 2^E, near enough that their rounding is never in doubt."""
import math

import mpmath
from rounding import parts


def enclosed(function):
    """function() with mpmath's working precision, as M 2^E with 97 bits, the last of which stands for all that is beyond it.

    Its rounding to p <= 24 bits (and 32 random bits) is that of the real number: the enclosure, of relative width 2^(21 - precision), lies
    strictly between two neighbours of 96 bits, or the precision is raised. mpmath's functions are good to a few units of the working
    precision; the conditioning of the formulas below costs at most 2^16 more.
    """
    for precision in (160, 320, 640):
        with mpmath.workprec(precision):
            y = function()
        sign, m, e, bits = y._mpf_  # (-1)^sign m 2^e, m of so many bits
        delta = 1 << 20  # 2^20 units of the last of `precision` bits
        m <<= precision - bits
        e -= precision - bits
        cut = precision - 96
        low, high = m - delta, m + delta
        if low >> cut == high >> cut and low & ((1 << cut) - 1) != 0:
            return (-1 if sign else 1) * (2 * (low >> cut) + 1), e + cut - 1
    raise ArithmeticError("a rounding is in doubt at 640 bits")


TINY = (1, -(2**20))  # stands for a positive number below every format here
BELOW = 140  # x (1 - 2^-140): a number just below x


def exp_exact(x):
    if x < -(2**16):
        return TINY
    if abs(x) < 2.0**-BELOW:  # 1 + x ..
        return (1 << BELOW) + (1 if x > 0 else -1), -BELOW
    return enclosed(lambda: mpmath.exp(mpmath.mpf(x)))


def rsqrt_exact(x):
    """1/sqrt(m 2^e) by an integer root; exact only at x = 4^k."""
    m, e = parts(x)
    while m % 2 == 0:
        m, e = m // 2, e + 1
    if m == 1 and e % 2 == 0:
        return 1, -e // 2
    if e % 2:
        m, e = 2 * m, e - 1
    k = 160
    return 2 * math.isqrt((1 << (2 * k)) // m) + 1, -k - e // 2 - 1  # floor(sqrt(floor(y))) = floor(sqrt(y)); the root is no integer


def gelu_exact(x, form):
    """GELU of x, not 0 and finite: x/2 (1 + tanh(w)) = x / (1 + exp(-2 w)), w = sqrt(2/pi) (x + 0.044715 x^3); or x/2 erfc(-x / sqrt 2)."""
    m, e = parts(x)
    if x > 16:  # the distance to x is below 2^-180 of it
        return (m << BELOW) - 1, e - BELOW
    if x < -64:
        return -TINY[0], TINY[1]
    if abs(x) < 2.0**-BELOW:  # x/2 (1 + 0.8 x ..), more than x/2
        return (m << BELOW) + 1, e - 1 - BELOW

    def tanh_form():
        y = mpmath.mpf(x)
        w = mpmath.sqrt(2 / mpmath.pi) * (y + mpmath.mpf(44715) / 1000000 * y**3)
        return y / (1 + mpmath.exp(-2 * w))

    def erf_form():
        y = mpmath.mpf(x)
        return y / 2 * mpmath.erfc(-y / mpmath.sqrt(2))

    return enclosed({"gelu_new": tanh_form, "gelu": erf_form}[form])


def silu_exact(x):
    """x / (1 + e^-x), x not 0 and finite."""
    m, e = parts(x)
    if x > 128:  # the distance to x is below 2^-180 of it
        return (m << BELOW) - 1, e - BELOW
    if x < -(2**16):
        return -TINY[0], TINY[1]
    if abs(x) < 2.0**-BELOW:  # x/2 (1 + x/2 ..): above x/2
        return (m << BELOW) + 1, e - 1 - BELOW
    return enclosed(lambda: mpmath.mpf(x) / (1 + mpmath.exp(-mpmath.mpf(x))))


def rotation_exact(position, frequency):
    """(cos, sin) of position f, f = frequency() > 0 in mpmath's working precision; position > 0, so that both are irrational. A product
    with f loses what its angle has of bits before the point: below 2^16 here."""
    return tuple(enclosed(lambda: function(position * frequency())) for function in (mpmath.cos, mpmath.sin))
