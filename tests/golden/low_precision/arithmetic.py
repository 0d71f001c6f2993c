"""Formats, roundings, operations and sums of method.md (sections 1 to 3), in Python integers: a second implementation from the text.

A value is a binary64 number (a float); the exact result of an operation is M 2^E, M and E integers, and is rounded once. Functions are
evaluated by mpmath and enclosed: their rounding is never in doubt (`enclosed`).
"""
import dataclasses
import math

import mpmath

NAN, INF = math.nan, math.inf
WORD = 2**32


@dataclasses.dataclass(frozen=True)
class Format:
    """p counts the hidden bit. Signed, with NaN and -0."""

    p: int
    emin: int
    emax: int
    subnormals: bool = True
    infinities: bool = True
    top_codes_lost: int = 0
    overflow: str = "inf"

    @property
    def u(self):
        return 2.0**-self.p

    @property
    def xmin(self):
        return 2.0**self.emin

    @property
    def xmax(self):
        return math.ldexp(2**self.p - 1 - self.top_codes_lost, self.emax - self.p + 1)

    def overflowed(self, sign):
        return {"inf": math.copysign(INF, sign), "max": math.copysign(self.xmax, sign), "nan": NAN}[self.overflow]


FORMATS = {
    "binary16": Format(11, -14, 15),
    "binary32": Format(24, -126, 127),
    "binary64": Format(53, -1022, 1023),
    "bfloat16": Format(8, -126, 127),
    "tf32": Format(11, -126, 127),
    "e5m2": Format(3, -14, 15),
    "e4m3": Format(4, -6, 7),
    "e4m3fn": Format(4, -6, 8, infinities=False, top_codes_lost=1, overflow="nan"),
    "e2m3fn": Format(4, 0, 2, infinities=False, overflow="max"),
}


def format_of(text):
    """A format as a config names it: a name, ps<mu>, or a table."""
    if text in (None, "none", "exact", "as-is"):
        return None
    if isinstance(text, dict):
        return Format(**text)
    if text.startswith("ps"):
        return Format(int(text[2:]) + 1, -126, 127)
    return FORMATS[text]


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """One multiply-accumulate and an order. None: operands as they are, exact products, no `via`."""

    format: Format
    rounding: str = "RNE"
    operands: Format = None
    product: Format = None
    via: Format = None
    random_bits: int = 32
    order: str = "sequential"
    block: "Arithmetic" = None


def arithmetic_of(keys):
    """[arithmetic.NAME] of a config."""
    keys = dict(keys)
    if "mu" in keys:
        keys["format"] = f"ps{keys.pop('mu')}"
    if keys.pop("preset", None) == "lamp-paper":
        keys.setdefault("via", "binary32")
    for key in ("format", "operands", "product", "via"):
        keys[key] = format_of(keys.get(key))
    if "block" in keys:
        keys["block"] = arithmetic_of(keys["block"])
    return Arithmetic(**keys)


# --- random words ---------------------------------------------------------------------------------------------------------------


def philox(counter, key):
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, WORD)
        high1, low1 = divmod(0xCD9E8D57 * c2, WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % WORD, (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an output stands: what its draws depend on beside the step."""

    seed: int
    sequence: int
    site: int
    layer: int = 0
    head: int = 0

    def words(self, step, column, row, draw):
        return philox((step, column, row, (self.layer * 2**9 + self.head) * 2**7 + self.site * 4 + draw), (self.seed, self.sequence))


# --- exact values -----------------------------------------------------------------------------------------------------------------


def parts(x):
    """x = M 2^E, M and E integers."""
    m, e = math.frexp(x)
    return int(math.ldexp(m, 53)), e - 53


def special(form, x):
    """An infinity or NaN that enters a format."""
    return form.overflowed(x) if math.isinf(x) and not form.infinities else x


def round_exact(form, rounding, m, e, word=None, random_bits=32):
    """m 2^e, m not 0, rounded to the format. `word`: a function that draws the 32 random bits, called only where they matter."""
    sign, m = (-1, -m) if m < 0 else (1, m)
    exponent = e + m.bit_length() - 1  # floor(log2 |x|)
    if exponent < form.emin and not form.subnormals:
        q = form.emin  # 0 and xmin are neighbours; the significand is 0, which is even
    else:
        q = max(exponent, form.emin) - form.p + 1
    shift = q - e
    if shift <= 0:
        n, inexact = m << -shift, False
    else:
        n, rest = m >> shift, m & ((1 << shift) - 1)
        inexact = rest != 0
    if inexact:
        half = 1 << (shift - 1)
        if rounding == "RNE":
            away = rest > half or (rest == half and n % 2 == 1)
        elif rounding == "RNA":
            away = rest >= half
        elif rounding == "RTZ":
            away = False
        elif rounding == "RTP":
            away = sign > 0
        elif rounding == "RTN":
            away = sign < 0
        elif rounding == "RTO":
            away = n % 2 == 0
        elif rounding == "SR":
            away = (word() >> (32 - random_bits)) + ((rest << random_bits) >> shift) >= 2**random_bits
        elif rounding == "SRE":
            away = word() >> 31 == 1
        n += away
    top = (2**form.p - 1 - form.top_codes_lost, form.emax - form.p + 1)
    if n << max(q - top[1], 0) > top[0] << max(top[1] - q, 0):
        if rounding in ("RTZ", "RTO") or (rounding == "RTP" and sign < 0) or (rounding == "RTN" and sign > 0):
            return sign * form.xmax
        return form.overflowed(sign)
    return math.copysign(math.ldexp(n, q), sign)


def round_value(form, rounding, x, word=None, random_bits=32):
    """A binary64 number rounded to a format."""
    if x == 0 or x != x:
        return x
    if math.isinf(x):
        return special(form, x)
    return round_exact(form, rounding, *parts(x), word, random_bits)


# --- functions --------------------------------------------------------------------------------------------------------------------


def enclosed(function):
    """function() with mpmath's working precision, as M 2^E with 97 bits, the last of which stands for all that is beyond it.

    Its rounding to p <= 24 bits (and 32 random bits) is that of the real number: the enclosure, of relative width 2^(21 - precision), lies
    strictly between two neighbours of 96 bits, or the precision is raised. mpmath's functions are good to a few units of the working
    precision; the conditioning of the formulas below costs at most 2^16 more.
    """
    for precision in (160, 320, 640):
        with mpmath.workprec(precision):
            y = function()
        sign, m, e, bits = y._mpf_
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
    if abs(x) < 2.0**-BELOW:  # x/2 (1 + 0.8 x ..)
        return (m << BELOW) + (1 if x > 0 else 1), e - 1 - BELOW

    def tanh_form():
        y = mpmath.mpf(x)
        w = mpmath.sqrt(2 / mpmath.pi) * (y + mpmath.mpf(44715) / 1000000 * y**3)
        return y / (1 + mpmath.exp(-2 * w))

    def erf_form():
        y = mpmath.mpf(x)
        return y / 2 * mpmath.erfc(-y / mpmath.sqrt(2))

    return enclosed({"gelu_new": tanh_form, "gelu": erf_form}[form])


# --- the operations of one output -----------------------------------------------------------------------------------------------


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
            x = exact if self.spec.via is None else special(self.spec.via, exact)
            result = special(self.spec.format, x)
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

    def mac(self, a, b, c):
        if self.spec.operands is not None:
            a, b = round_value(self.spec.operands, "RNE", a), round_value(self.spec.operands, "RNE", b)
        return self.lone(self.sum_of(a, b, c))

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

    # --- sums: section 3 ---

    def dot(self, a, b, c=0.0):
        """sum a_k b_k in the order of the arithmetic."""
        name, _, parameters = self.spec.order.partition(":")
        if not a:
            return 0.0 if c == 0 and math.copysign(1, c) > 0 else self.add(0.0, c) if name not in ("sequential", "reverse") else c
        if name in ("sequential", "reverse"):
            pairs = list(zip(a, b))
            return self.chain(pairs if name == "sequential" else pairs[::-1], c)
        result = getattr(self, "dot_" + name.replace("-", "_"))(list(zip(a, b)), parameters)
        return result if c == 0 and math.copysign(1, c) > 0 else self.add(result, c)

    def chain(self, pairs, s=0.0):
        for x, y in pairs:
            s = self.mac(x, y, s)
        return s

    def dot_blocked(self, pairs, size):
        size, s = int(size), 0.0
        inner = Output(self.spec.block or self.spec, self.place, self.row, self.column, draw=2)
        for first in range(0, len(pairs), size):
            inner.step = self.step  # one count of the roundings of the output, inside the blocks and outside
            block = inner.chain(pairs[first : first + size])
            self.step = inner.step
            s = self.add(s, block)
        return s

    def dot_pairwise(self, pairs, size):
        if len(pairs) <= int(size):
            return self.chain(pairs)
        half = len(pairs) // 2
        left = self.dot_pairwise(pairs[:half], size)
        return self.add(left, self.dot_pairwise(pairs[half:], size))

    def dot_lanes(self, pairs, lanes):
        lanes = int(lanes)
        s = [self.chain(pairs[lane::lanes]) for lane in range(lanes)]
        while lanes > 1:
            lanes //= 2
            for lane in range(lanes):
                s[lane] = self.add(s[lane], s[lane + lanes])
        return s[0]

    def dot_split(self, pairs, count):
        size, s = -(-len(pairs) // int(count)), 0.0
        for first in range(0, len(pairs), size or 1):
            s = self.add(s, self.chain(pairs[first : first + size]))
        return s

    def dot_kahan(self, pairs, _):
        s, e = 0.0, 0.0
        for a, b in pairs:
            y = self.sub(self.mac(a, b, 0.0), e)
            t = self.add(s, y)
            e = self.sub(self.sub(t, s), y)
            s = t
        return s

    def dot_neumaier(self, pairs, _):
        s, e = 0.0, 0.0
        for a, b in pairs:
            p = self.mac(a, b, 0.0)
            t = self.add(s, p)
            e = self.add(e, self.add(self.sub(s, t), p) if abs(s) >= abs(p) else self.add(self.sub(p, t), s))
            s = t
        return self.add(s, e)

    def dot_exact(self, pairs, _):
        """Finite terms only, from +0: what the sites here give it."""
        operands = self.spec.operands
        m, e, terms = 0, 0, [0.0]
        for a, b in pairs:
            if operands is not None:
                a, b = round_value(operands, "RNE", a), round_value(operands, "RNE", b)
            (ma, ea), (mb, eb) = parts(a), parts(b)
            terms.append(math.copysign(1, a) * math.copysign(1, b) * 0.0 if ma * mb == 0 else 1.0)
            low = min(e, ea + eb)
            m, e = (m << (e - low)) + (ma * mb << (ea + eb - low)), low
        return self.lone((m, e) if m != 0 else self.zero_sum(terms))
