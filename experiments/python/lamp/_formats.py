"""Formats, and roundings and functions of numbers to one format."""
import numpy

from . import _arrays, _core

ROUNDINGS = ("RNE", "RNA", "RTZ", "RTP", "RTN", "RTO", "SR", "SRE")


class Format(_core.Format):
    """A floating-point format: a name of the catalog ("binary16", "e4m3fn", "ps7", ..; `lamp formats` lists them), or its numbers.

        lamp.Format("e4m3fn").xmax                       # 448.0
        lamp.Format({"p": 8, "emin": -126, "emax": 127}) == lamp.Format("bfloat16")

    p counts the hidden bit. u = 2^-p is the unit roundoff, xmin the smallest positive normal number, xmins the smallest positive one,
    xmax the largest; bits is the length of a code. ValueError with the text of the command line where there is no such format, or where
    its numbers are not all binary64 numbers."""

    def __init__(self, format=None, /, **fields):
        if (format is None) == (not fields):
            raise TypeError("Format takes a name, a dict, or the fields p, emin, emax, ..; legal: one of these")
        super().__init__(fields if format is None else format)

    def values(self):
        """Every finite number, ascending, zero once: float64 (n,). ValueError for formats with codes of more than 20 bits."""
        return numpy.array(self._values())

    def encode(self, x):
        """The codes of numbers of this format, of its infinities and of NaN: unsigned integers of 8, 16, 32 or 64 bits, of x's shape.
        x is not rounded: ValueError where an element is no number of the format."""
        x = _arrays.operand(x, "x")
        codes = numpy.empty(x.shape, numpy.uint64)
        self._encode(x, codes)
        width = next(bits for bits in (8, 16, 32, 64) if bits >= self.bits)
        return codes.astype(f"uint{width}")[()]

    def decode(self, code):
        """The numbers of codes (integers of any type): float64 of the same shape. ValueError where a code has no number."""
        code = numpy.asarray(code)
        if code.dtype.kind not in "iu":
            raise TypeError(f"code has dtype {code.dtype}; legal: integers")
        if code.size and code.min() < 0:
            raise ValueError(f"code: {code.min()} is negative; legal: codes of {self.bits} bits")
        x = numpy.empty(code.shape, numpy.float64)
        self._decode(numpy.ascontiguousarray(code, numpy.uint64).reshape(code.shape), x)
        return x[()]

    def __repr__(self):
        return f"lamp.Format({self.name!r})"

    def __reduce__(self):
        return Format, (self.name,)


def destination(format, rounding, seed, random_bits):
    keys = {"format": format, "rounding": rounding}
    if seed is not None:
        keys["seed"] = seed
    if random_bits is not None:
        keys["random_bits"] = random_bits
    return _core.Destination(keys)


def round(x, format, rounding="RNE", *, out=None, seed=None, random_bits=None, threads=None):
    """x rounded to a format, element by element.

    x: array_like, any shape. format: a name, a dict or a lamp.Format; or a block format ("mxfp4", {"element": .., "scale": ..,
    "size": ..}), which rounds rows along the last axis, each by itself. rounding: RNE RNA RTZ RTP RTN RTO, or SR, SRE, which draw for
    element i (in C order) from `seed` as row i of `lamp calc`. Returns an array of x's shape: float32 where x is a float of at most 32
    bits and the format has binary32 numbers alone, else float64; `out` may be x. NaN stays NaN. ValueError, TypeError: what is wrong, and
    what is legal.

        lamp.round([1.1, 500.0], "e4m3fn")               # array([1.125,   nan])
    """
    to = destination(format, rounding, seed, random_bits)
    x = _arrays.operand(x, "x")
    narrow = to.fits_binary32 and _arrays.is_narrow(x)
    y = _arrays.output(out, x.shape, narrow)
    to.round(_arrays.apart(x, out), y, _arrays.threads(threads))
    return _arrays.result(y, out)


def function(name, meaning):
    def of_array(x, format, rounding="RNE", *, out=None, seed=None, random_bits=None, threads=None):
        to = destination(format, rounding, seed, random_bits)
        x = _arrays.operand(x, "x")
        y = _arrays.output(out, x.shape, to.fits_binary32 and _arrays.is_narrow(x))
        to.function(name, _arrays.apart(x, out), y, _arrays.threads(threads))
        return _arrays.result(y, out)

    of_array.__name__ = of_array.__qualname__ = name
    of_array.__doc__ = f"""{meaning}, element by element, rounded once to a format: correctly for p <= 24, else from a value within 1 ulp
    of binary64.

    x: array_like, any shape; the rest as in lamp.round, which also says what comes back."""
    return of_array


MEANINGS = {
    "exp": "e^x", "exp2": "2^x", "log": "The natural logarithm", "tanh": "tanh x", "erf": "erf x", "rsqrt": "1 / sqrt x",
    "reciprocal": "1 / x", "gelu_tanh": "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))", "gelu_erf": "x/2 (1 + erf(x / sqrt 2))",
    "silu": "x / (1 + e^-x)", "relu": "x for x > 0 and NaN, else 0",
}
FUNCTIONS = {name: function(name, MEANINGS[name]) for name in _core.functions}
