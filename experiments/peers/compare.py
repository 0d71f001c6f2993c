"""lamp beside other emulators, on this machine, all from Python: time of a rounding and of a multiply-accumulate, and bits of the rounding.

Needs the module lamp (python3 -m pip install .), and any of pychop, torch, gfloat, ml_dtypes, qtorch (from pip); peers that are not there are
left out. README.md gives the reading.
CPFloat and MPTorch are built from the folders of their sources: the first with gcc, the second with torch and ninja.
usage: python compare.py [--cpfloat FOLDER] [--mptorch FOLDER]
"""
import argparse
import ctypes
import importlib.util
import itertools
import os
import pathlib
import subprocess
import tempfile
import time

import lamp
import numpy as np

M, K, N = 256, 64, 256          # C (M, N) = A (M, K) B (K, N), k ascending, product and sum rounded to the format
RNE, RNA, RTZ, RTP, RTN, RTO = MODES = ("RNE", "RNA", "RTZ", "RTP", "RTN", "RTO")
FORMATS = {"bfloat16": (8, 7), "binary16": (5, 10), "e5m2": (5, 2), "e4m3": (4, 3)}  # width of exponent and fraction: IEEE-like


def have(name):
    return importlib.util.find_spec(name) is not None


def shortest(work, repeats=3):
    """Seconds of processor time, of all threads, the least of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


# Each peer: name, rounding(format, mode) -> function of a float64 array, or None where it has not that mode; array type to compute with.

def lamp_round(name, mode):
    return lambda x: lamp.round(x, name, mode, threads=1)


def numpy_cast(name, mode):
    return (lambda x: x.astype(np.float16).astype(x.dtype)) if (name, mode) == ("binary16", RNE) else None


def qtorch(name, mode):
    import torch
    from qtorch.quant import float_quantize
    exponent, fraction = FORMATS[name]
    if mode != RNE:
        return None

    def rounded(x):
        with np.errstate(over="ignore"):  # it rounds binary32 numbers
            return float_quantize(torch.as_tensor(x.astype(np.float32)), exponent, fraction, "nearest").numpy().astype(x.dtype)
    return rounded


def pychop_numpy(name, mode):
    import pychop
    pychop.backend("numpy")
    return pychop_rounding(name, mode)


def pychop_torch(name, mode):
    import pychop
    import torch
    torch.set_num_threads(1)
    pychop.backend("torch")
    rounding = pychop_rounding(name, mode)
    return rounding and (lambda x: rounding(torch.as_tensor(x)).numpy())


def pychop_rounding(name, mode):
    from pychop import Chop
    modes = {RNE: 1, RTP: 2, RTN: 3, RTZ: 4, RNA: 8, RTO: 9}
    exponent, fraction = FORMATS[name]
    return Chop(exp_bits=exponent, sig_bits=fraction, rmode=modes[mode])


def gfloat(name, mode):
    import gfloat as g
    from gfloat import formats
    formats_of = {"bfloat16": "format_info_bfloat16", "binary16": "format_info_binary16", "e5m2": "format_info_ocp_e5m2"}
    modes = {RNE: "TiesToEven", RNA: "TiesToAway", RTZ: "TowardZero", RTP: "TowardPositive", RTN: "TowardNegative", RTO: "ToOdd"}
    mode = getattr(g.RoundMode, modes[mode], None)
    if name not in formats_of or mode is None:
        return None
    return lambda x: g.round_ndarray(getattr(formats, formats_of[name]), x, mode)


def ml_dtypes(name, mode):
    import ml_dtypes as m
    types = {"bfloat16": m.bfloat16, "binary16": np.float16, "e5m2": m.float8_e5m2, "e4m3": getattr(m, "float8_e4m3", None)}
    if mode != RNE or types[name] is None:
        return None
    return lambda x: x.astype(types[name]).astype(x.dtype)


class CPFloat:
    """Its C library by our few lines around it (cpfloat.c)."""

    def __init__(self, source, folder):
        library = pathlib.Path(folder) / "cpfloat.so"
        subprocess.run(["gcc", "-std=gnu99", "-O3", "-march=native", "-w", "-shared", "-fPIC", "-I", pathlib.Path(source) / "src",
                        pathlib.Path(__file__).with_name("cpfloat.c"), "-o", library, "-lm"], check=True)
        self.library = ctypes.CDLL(library)

    @staticmethod
    def numbers(name):
        exponent, fraction = FORMATS[name]
        return fraction + 1, 2 - 2 ** (exponent - 1), 2 ** (exponent - 1) - 1

    def rounding(self, name, mode):
        number = {RNE: 1, RTP: 2, RTN: 3, RTZ: 4, RNA: -1, RTO: 7}[mode]  # as for MATLAB's chop; -1 and 7 its own

        def rounded(x):
            y = np.empty_like(x)
            self.library.round_array(pointer(y), pointer(x), ctypes.c_size_t(x.size), *self.numbers(name), number)
            return y
        return rounded

    def gemm(self, name, a, b):
        c, row = np.zeros((M, N), np.float32), np.zeros(N, np.float32)
        self.library.gemm(*map(pointer, (c, a, b, row)), *map(ctypes.c_size_t, (M, K, N)), *self.numbers(name))
        return c


class MPTorch:
    """Its extension for the CPU, built as the package does it, without the one for CUDA."""

    def __init__(self, source, folder):
        from torch.utils.cpp_extension import load
        sources = sorted(map(str, (pathlib.Path(source) / "mptorch/quant/quant_cpu").glob("*.cpp")))
        self.extension = load(name="quant_cpu", sources=sources, build_directory=str(folder), extra_cflags=["-O3", "-march=native"])

    def rounding(self, name, mode):
        import torch
        exponent, fraction = FORMATS[name]
        if mode != RNE:
            return None

        def rounded(x):
            with np.errstate(over="ignore"):
                narrow = torch.as_tensor(x.astype(np.float32))  # it rounds binary32 numbers
            return self.extension.float_quantize_nearest(narrow, fraction, exponent, True, False).numpy().astype(np.float64)
        return rounded

    def gemm(self, name, a, b):
        import torch
        exponent, fraction = FORMATS[name]
        c = torch.zeros((M, N))
        format_twice = (fraction, exponent) * 2  # of sums, of products
        self.extension.float_quantize_nearest_mm(torch.as_tensor(a), torch.as_tensor(b), c, M, N, K, *format_twice, True, False, False)
        return c.numpy()


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


PEERS = {"numpy": ("numpy", numpy_cast), "ml_dtypes": ("ml_dtypes", ml_dtypes), "qtorch": ("qtorch", qtorch), "gfloat": ("gfloat", gfloat),
         "pychop, numpy": ("pychop", pychop_numpy), "pychop, torch": ("torch", pychop_torch)}


def matrices(rounding):
    random = np.random.default_rng(1)
    return rounding(random.uniform(-1, 1, (M, K))), rounding(random.uniform(-1, 1, (K, N)))


def seconds_of_gemm(library, name):
    """Of a library that has the whole product; and how many outputs have other bits than lamp's."""
    a, b = (x.astype(np.float32) for x in matrices(library.rounding(name, RNE)))
    differ = ~same(lamp_gemm(name, a, b), library.gemm(name, a, b).astype(np.float64))
    return shortest(lambda: library.gemm(name, a, b)), int(differ.sum())


def gemm_seconds(rounding):
    """A GEMM in the only way that array roundings allow: all outputs at once, k by k."""
    a, b = matrices(rounding)

    def run():
        c = np.zeros((M, N))
        for k in range(K):
            c = rounding(c + rounding(np.outer(a[:, k], b[k])))
        return c
    return shortest(run, 1 if K * M * N * 400e-9 > 1 else 3)


def operands(name):
    """Every number of the format, midpoints, their neighbours in binary64; powers of two below and above; specials; random ones."""
    exponent, fraction = FORMATS[name]
    emin = 2 - 2 ** (exponent - 1)
    random = np.random.default_rng(2)
    sizes = np.ldexp(random.uniform(1, 2, 4000), random.integers(emin - fraction - 3, -emin + 3, 4000))
    grid = np.ldexp(random.integers(1, 2 ** (fraction + 2), 4000).astype(float), random.integers(emin - fraction - 2, -emin, 4000))
    x = np.concatenate([sizes, grid, np.nextafter(grid, 0), np.nextafter(grid, np.inf), np.ldexp(1.0, np.arange(emin - fraction - 3, -emin + 3)),
                        [0.0, np.inf, 5e-324, 1.7976931348623157e308]])
    return np.concatenate([x, -x, [np.nan]])


def arithmetic(name):
    return lamp.Arithmetic(operands=name, product=name, format=name)


def lamp_gemm(name, a, b):
    return np.asarray(arithmetic(name).matmul(a, b, threads=1), np.float64)


def rounding_seconds(rounding, dtype):
    """Of 10^6 numbers of ordinary size, in an array of the peer's own."""
    x = np.random.default_rng(3).normal(size=10**6).astype(dtype)
    with np.errstate(all="ignore"):
        rounding(x[:1000])
        return shortest(lambda: rounding(x), 7)


def same(x, y):
    return (np.isnan(x) & np.isnan(y)) | ((x == y) & (np.signbit(x) == np.signbit(y)))


def kinds_of_difference(x, ours, theirs):
    kinds = {"NaN": np.isnan(ours) | np.isnan(theirs), "infinity": np.isinf(ours) | np.isinf(theirs),
             "sign of 0": (ours == 0) & (theirs == 0), "value": np.full(x.shape, True)}
    differ, told = ~same(ours, theirs), []
    for kind, mask in kinds.items():
        count = int((differ & mask).sum())
        differ &= ~mask
        if count:
            told.append(f"{count} {kind}")
    return ", ".join(told) or "same bits"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpfloat", help="folder of CPFloat's source")
    parser.add_argument("--mptorch", help="folder of MPTorch's source")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        built = {}
        if arguments.cpfloat:
            built["CPFloat"] = CPFloat(arguments.cpfloat, folder)
        if arguments.mptorch:
            built["MPTorch"] = MPTorch(arguments.mptorch, folder)
        compare(built)


def compare(built):
    """`built`: libraries that have a whole product."""
    there = {name: make for name, (module, make) in PEERS.items() if have(module) and (name != "pychop, torch" or have("pychop"))}
    print("ns per rounding (RNE) of 10^6 numbers, one thread")
    for dtype in (np.float64, np.float32):
        for peer, make in {"lamp": lamp_round, **there}.items():
            times = [rounding_seconds(rounding, dtype) * 1e3 if (rounding := make(name, RNE)) else None for name in FORMATS]
            told = "".join(f"{name} {ns:8.2f}   " for name, ns in zip(FORMATS, times) if ns is not None)
            print(f"  {peer:<14} {np.dtype(dtype).name}   {told}", flush=True)

    print(f"\nns per multiply-accumulate, one thread: C ({M}, {N}) += A B, k ascending, product and sum rounded (RNE)")
    for name in FORMATS:
        a, b = matrices(lamp_round(name, RNE))
        fl = arithmetic(name)
        ns = shortest(lambda: fl.matmul(a, b, threads=1), 20) / (M * K * N) * 1e9
        print(f"  {'lamp':<14} {name:<9} {ns:10.3f}", flush=True)
    for (peer, library), name in itertools.product(built.items(), ("bfloat16", "binary16", "e5m2", "e4m3")):
        time_of_all, differ = seconds_of_gemm(library, name)
        print(f"  {peer:<14} {name:<9} {time_of_all / (M * K * N) * 1e9:10.3f}   ({differ} of {M * N} outputs have other bits)", flush=True)
    peers = {name: make for name, make in there.items() if name != "numpy"}
    for (peer, make), name in itertools.product(peers.items(), ("bfloat16", "binary16")):
        if rounding := make(name, RNE):
            print(f"  {peer:<14} {name:<9} {gemm_seconds(rounding) / (M * K * N) * 1e9:10.3f}", flush=True)
    peers |= {peer: library.rounding for peer, library in built.items()}

    print("\nrounding from binary64: operands with other bits than lamp (whose bits are MPFR's)")
    for name in FORMATS:
        x = operands(name)
        print(f"  {name}: {len(x)} operands, {int((np.isfinite(x)).sum())} finite")
        for (peer, make), mode in itertools.product(peers.items(), MODES):
            if rounding := make(name, mode):
                with np.errstate(all="ignore"):
                    found = kinds_of_difference(x, lamp.round(x, name, mode), np.asarray(rounding(x), np.float64))
                print(f"    {peer:<14} {mode}  {found}", flush=True)


if __name__ == "__main__":
    main()
