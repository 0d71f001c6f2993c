"""lamp beside other emulators, on this machine: time of a multiply-accumulate, and bits of the rounding. README.md gives the reading.

Needs lamp and lamp-bench in build/release, and any of pychop, torch, gfloat, ml_dtypes (from pip); peers that are not there are left out.
CPFloat and MPTorch are built from the folders of their sources: the first with gcc, the second with torch and ninja.
usage: python compare.py [--cpfloat FOLDER] [--mptorch FOLDER]
"""
import argparse
import ctypes
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
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
    return lambda x: x.astype(types[name]).astype(np.float64)


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


PEERS = {"pychop, numpy": ("pychop", pychop_numpy), "pychop, torch": ("torch", pychop_torch), "gfloat": ("gfloat", gfloat),
         "ml_dtypes": ("ml_dtypes", ml_dtypes)}


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


def hexadecimal(x):
    return [float.hex(float(v)) if np.isfinite(v) else str(v) for v in x]


def lamp_calc(**line):
    done = subprocess.run([BUILD / "lamp", "calc"], input=json.dumps(line) + "\n", capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["y"]


def lamp_rounding(name, mode, x):
    return np.array([float.fromhex(v) for v in lamp_calc(op="round", x=hexadecimal(x), format=name, rounding=mode)])


def lamp_gemm(name, a, b):
    arith = {"operands": name, "product": name, "format": name}
    y = lamp_calc(op="gemm", a=[hexadecimal(row) for row in a], b=[hexadecimal(row) for row in b], arith=arith)
    return np.array([[float.fromhex(v) for v in row] for row in y])


def lamp_seconds():
    """ns for a multiply-accumulate, by format, and the instruction set."""
    done = subprocess.run([BUILD / "lamp", "bench", "gemm", "--filter", "gemm/(bfloat16|binary16) product, sum", "--json"],
                          capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)["kernels"]
    best = [row for row in rows if row["target"] == rows[0]["target"]]
    return {row["name"].split()[0]: row["ns_per_mac"] for row in best}, rows[0]["target"]


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
    print(f"ns per multiply-accumulate, one thread: C ({M}, {N}) += A B, k ascending, product and sum rounded (RNE)")
    seconds, target = lamp_seconds()
    for name, ns in seconds.items():
        print(f"  {'lamp':<14} {name:<9} {ns:10.3f}   ({target})")
    for (peer, library), name in itertools.product(built.items(), ("bfloat16", "binary16", "e5m2", "e4m3")):
        time_of_all, differ = seconds_of_gemm(library, name)
        print(f"  {peer:<14} {name:<9} {time_of_all / (M * K * N) * 1e9:10.3f}   ({differ} of {M * N} outputs have other bits)", flush=True)
    peers = {name: make for name, (module, make) in PEERS.items() if have(module) and (module != "torch" or have("pychop"))}
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
                    found = kinds_of_difference(x, lamp_rounding(name, mode, x), np.asarray(rounding(x), np.float64))
                print(f"    {peer:<14} {mode}  {found}", flush=True)


if __name__ == "__main__":
    main()
