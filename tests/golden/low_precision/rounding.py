"""Formats, random words and THE rounding of method.md, section 1, in Python integers.

A value is a binary64 number (a float); the exact result of an operation is M 2^E, M and E integers, and is rounded once.
"""
import dataclasses
import math

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
    if "engine" in keys:
        return ENGINES[keys["engine"]]
    if "block" in keys:
        keys["block"] = arithmetic_of(keys["block"])
    return Arithmetic(**keys)


# A matrix engine: lone operations round RNE to binary32; N products and F bits of a step as core/arith/README.md has them.
ENGINES = {"h100": Arithmetic(FORMATS["binary32"], operands=FORMATS["binary16"], order="engine:16,25")}


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


def round_exact(form, rounding, m, e, word=None, random_bits=32, saturates=True):
    """m 2^e, m not 0, rounded to the format. `word`: a function that draws the 32 random bits, called only where they matter.

    `saturates` False: overflow gives the format's overflow value in every mode.
    """
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
        if saturates and (rounding in ("RTZ", "RTO") or (rounding == "RTP" and sign < 0) or (rounding == "RTN" and sign > 0)):
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
