"""Block formats a third time: the definition in Python's exact fractions, of which no line is shared with the program.

A format is (p, emin, emax, codes lost); a block format is a dict {element, scale, size, tensor_scale}.
"""
import math
from fractions import Fraction

FLOATS = {"e4m3fn": (4, -6, 8, 1), "e5m2": (3, -14, 15, 0), "e3m2fn": (3, -2, 4, 0), "e2m3fn": (4, 0, 2, 0), "e2m1fn": (2, 0, 2, 0),
          "e8m0fnu": (1, -127, 127, 0), "binary32": (24, -126, 127, 0)}
# OCP Microscaling Formats (MX) 1.0, section 5; NVFP4 as NVIDIA describes it.
BLOCKS = {"mxfp8-e4m3": ("e4m3fn", "e8m0fnu", 32), "mxfp8-e5m2": ("e5m2", "e8m0fnu", 32), "mxfp6-e3m2": ("e3m2fn", "e8m0fnu", 32),
          "mxfp6-e2m3": ("e2m3fn", "e8m0fnu", 32), "mxfp4": ("e2m1fn", "e8m0fnu", 32), "nvfp4": ("e2m1fn", "e4m3fn", 16)}


def named(name, tensor_scale=1):
    element, scale, size = BLOCKS[name]
    return {"element": element, "scale": scale, "size": size, "tensor_scale": tensor_scale}


def largest(name):
    p, _, emax, lost = FLOATS[name]
    return (2**p - 1 - lost) * Fraction(2) ** (emax - p + 1)


def floor_log2(x):
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if Fraction(2) ** e <= x else e - 1


def nearest(x, name):
    """An exact x >= 0 to the format: ties to even, what is beyond the largest number becomes it."""
    p, emin, _, _ = FLOATS[name]
    if x == 0:
        return Fraction(0)
    spacing = Fraction(2) ** (max(floor_log2(x), emin) - p + 1)
    below, rest = divmod(x / spacing, 1)
    away = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    return min((below + away) * spacing, largest(name))


def scale_of(block, m, t):
    p, emin, emax, _ = FLOATS[block["scale"]]
    if p == 1:
        exponent = floor_log2(m) - FLOATS[block["element"]][2] if m else -127
        return Fraction(2) ** min(max(exponent, emin), emax)
    smallest = Fraction(2) ** (emin - p + 1)
    return nearest(m / (largest(block["element"]) * t), block["scale"]) or smallest


def finite_largest(x):
    return max((Fraction(abs(v)) for v in x if math.isfinite(v)), default=Fraction(0))


def tensor_factor(block, tensor):
    if block["tensor_scale"] == "auto":
        return nearest(tensor / (largest(block["element"]) * largest(block["scale"])), "binary32") or Fraction(1)
    return nearest(Fraction(block["tensor_scale"]), "binary32")


def rounded(x, block, tensor=None):
    """The row x in the block format; `tensor`: the largest finite magnitude of all rows of the tensor, this one's where absent."""
    t = tensor_factor(block, finite_largest(x) if tensor is None else Fraction(tensor))
    y = []
    for first in range(0, len(x), block["size"]):
        part = x[first:first + block["size"]]
        unit = scale_of(block, finite_largest(part), t) * t
        for value in part:
            if math.isnan(value):
                y.append(math.nan)
                continue
            element = largest(block["element"]) if math.isinf(value) else nearest(Fraction(abs(value)) / unit, block["element"])
            magnitude = element * unit
            assert Fraction(float(magnitude)) == magnitude  # a binary64 number
            y.append(math.copysign(float(magnitude), value))
    return y
