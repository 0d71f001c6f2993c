"""lamp beside other emulators, on this machine: time of a multiply-accumulate, and bits of the rounding. README.md gives the reading.

Needs any of pychop, torch, gfloat, ml_dtypes (from pip), and lamp and lamp_gemm_bench built in build/release; peers that are not there are left out.
usage: python compare.py
"""
import importlib.util
import itertools
import json
import os
import pathlib
import re
import subprocess
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


PEERS = {"pychop, numpy": ("pychop", pychop_numpy), "pychop, torch": ("torch", pychop_torch), "gfloat": ("gfloat", gfloat),
         "ml_dtypes": ("ml_dtypes", ml_dtypes)}


def gemm_seconds(rounding):
    """A GEMM in the only way that array roundings allow: all outputs at once, k by k."""
    random = np.random.default_rng(1)
    a, b = rounding(random.uniform(-1, 1, (M, K))), rounding(random.uniform(-1, 1, (K, N)))

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


def lamp_rounding(name, mode, x):
    line = json.dumps({"op": "round", "x": [float.hex(v) if np.isfinite(v) else str(v) for v in x], "format": name, "rounding": mode})
    done = subprocess.run([BUILD / "lamp", "calc"], input=line + "\n", capture_output=True, text=True, check=True)
    return np.array([float.fromhex(v) for v in json.loads(done.stdout)["y"]])


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
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"ns per multiply-accumulate, one thread: C ({M}, {N}) += A B, k ascending, product and sum rounded (RNE)")
    bench = subprocess.run([BUILD / "tests/core/arith/lamp_gemm_bench"], capture_output=True, text=True).stdout
    block = bench.split("256 x 256 x 768")[1].split("\n\n")[0] if "256 x 256 x 768" in bench else ""
    for row in ("bfloat16 product, sum", "binary16 product, sum"):
        if found := re.search(rf"{re.escape(row)} +([0-9.]+)", block):
            print(f"  {'lamp':<14} {row.split()[0]:<9} {float(found[1]):10.3f}   ({re.search('kernels: .*', bench)[0]})")
    peers = {name: make for name, (module, make) in PEERS.items() if have(module) and (module != "torch" or have("pychop"))}
    for (peer, make), name in itertools.product(peers.items(), ("bfloat16", "binary16")):
        if rounding := make(name, RNE):
            print(f"  {peer:<14} {name:<9} {gemm_seconds(rounding) / (M * K * N) * 1e9:10.3f}", flush=True)

    print("\nrounding from binary64: operands with other bits than lamp (whose bits are MPFR's)")
    for name in FORMATS:
        x = operands(name)
        print(f"  {name}: {len(x)} operands, {int((np.isfinite(x)).sum())} finite")
        for (peer, make), mode in itertools.product(peers.items(), MODES):
            if rounding := make(name, mode):
                with np.errstate(all="ignore"):
                    print(f"    {peer:<14} {mode}  {kinds_of_difference(x, lamp_rounding(name, mode, x), np.asarray(rounding(x), np.float64))}", flush=True)


if __name__ == "__main__":
    main()
