"""What lamp takes for an array, and what it gives back.

Operands: float64 and float32 arrays of any strides as they are, never copied as a whole; float16, the floats and integers of ml_dtypes
(bfloat16, float8_e4m3fn, ..) and integers within +-2^53 are converted, exactly; lists and numbers as numpy.asarray makes arrays of them.
Anything else (objects, complex, longdouble, strings, masked arrays) is a TypeError: nothing is rounded on the way in.

Results: float32 where every operand is a float of at most 32 bits and the format has binary32 numbers alone, else float64; a number where
numpy's functions give a number. `out` may be any float64 array, or float32 where the result could be; of the result's shape.
"""
import os

import numpy

LEGAL = "float64, float32, float16, the types of ml_dtypes, integers within +-2^53"
WORD = 1 << 53


def integers(array, name):
    """Integers as float64, each the same number."""
    if array.dtype.itemsize >= 8 and array.size and (array.max() > WORD or array.min() < -WORD):
        raise ValueError(f"{name} has integers beyond 2^53; legal: {LEGAL}")
    return array.astype(numpy.float64)


def operand(x, name):
    """x as an array of float64 or float32, the same numbers."""
    if isinstance(x, numpy.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; legal: an array of {LEGAL} without a mask")
    array = numpy.asarray(x)
    dtype = array.dtype
    if dtype.char in "df":
        if not dtype.isnative:
            return array.astype(dtype.newbyteorder("="))
        if not array.flags.aligned or any(stride % dtype.itemsize for stride in array.strides):
            return array.copy()
        return array
    if dtype.kind in "iu":
        return integers(array, name)
    if dtype.kind == "b" or dtype.char == "e" or dtype.type.__module__.split(".")[0] == "ml_dtypes":
        return array.astype(numpy.float32)
    raise TypeError(f"{name} has dtype {dtype}; legal: {LEGAL}")


def is_narrow(*arrays):
    """Floats of at most 32 bits, after operand()."""
    return all(array.dtype == numpy.float32 for array in arrays)


def output(out, shape, narrow, operands=()):
    """An array for results of a shape, and what to return of it: a number where that is all there is."""
    if out is None:
        return numpy.empty(shape, numpy.float32 if narrow else numpy.float64)
    if not isinstance(out, numpy.ndarray):
        raise TypeError(f"out is {type(out).__name__}; legal: a numpy array")
    legal = "float64 or float32" if narrow else "float64"
    if out.dtype != numpy.float64 and not (narrow and out.dtype == numpy.float32):
        raise TypeError(f"out has dtype {out.dtype}; legal here: {legal}")
    if out.shape != tuple(shape):
        raise ValueError(f"out has shape {out.shape}; legal: {tuple(shape)}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; legal: an array that can be written")
    if not out.flags.aligned or any(stride % out.itemsize for stride in out.strides) or not out.dtype.isnative:
        raise ValueError("out is not aligned; legal: native, aligned elements")
    if any(length > 1 and stride == 0 for length, stride in zip(out.shape, out.strides)):
        raise ValueError("out has elements that share memory; legal: an array whose elements are apart")
    return out


def apart(x, out, elementwise=True):
    """x, copied if writing `out` would change elements of it that are still to be read."""
    if out is None or not numpy.may_share_memory(x, out):
        return x
    same = x.ctypes.data == out.ctypes.data and x.strides == out.strides and x.shape == out.shape and x.dtype == out.dtype
    return x if elementwise and same else x.copy()


def result(out, given):
    return out[()] if given is None and out.ndim == 0 else out


def broadcast(*arrays):
    """numpy's rule; the error is numpy's."""
    if all(array.shape == arrays[0].shape for array in arrays):
        return arrays, arrays[0].shape
    shape = numpy.broadcast_shapes(*(array.shape for array in arrays))
    return [array if array.shape == shape else numpy.broadcast_to(array, shape) for array in arrays], shape


def threads(count):
    """How many threads: all cores where None."""
    if count is None:
        return len(os.sched_getaffinity(0))
    if isinstance(count, bool) or not isinstance(count, (int, numpy.integer)) or not 1 <= count <= 1024:
        raise ValueError(f"threads is {count!r}; legal: an integer, 1 to 1024, or None for all cores")
    return int(count)
