"""numpy-sum:B has the bits of numpy.sum itself, over random, cancelling, tiny, huge and special data and sums of many lengths."""
import json
import pathlib
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import lamp  # noqa: E402

VERSION = tuple(int(part) for part in np.__version__.split(".")[:2])
BUFFER = np.getbufsize() if VERSION < (2, 3) else 10**9  # numpy sums a contiguous axis without a buffer from 2.3 on
LENGTHS = [*range(1, 40), 63, 64, 65, *range(120, 150), 255, 256, 257, 263, 264, 300, 599, 768, 1000, 1031, 3072, 8192, 8193, 8201, 20000]
TINY, LARGEST = 2.0**-149, float(np.finfo(np.float32).max)


def operands(kind, n, random):
    """Two vectors of n binary32 numbers."""
    x, y = random.standard_normal((2, n)) * 2.0 ** random.integers(-12, 12, (2, n))
    if kind == "ties":
        x, y = random.integers(-8, 9, (2, n)) * 2.0 ** random.integers(-14, 14, (2, n))
    elif kind == "cancelling":
        x[n // 2:] = -x[:n - n // 2][random.permutation(n - n // 2)]
        y = np.ones(n)
    elif kind == "tiny":
        x, y = x * 2.0**-70, y * 2.0**-70
        x[random.random(n) < 0.2] = -TINY
    elif kind == "huge":
        x, y = x * 2.0**55, y * 2.0**55
    elif kind == "zeros":
        x[random.random(n) < 0.7] = -0.0
    elif kind == "negative zeros":
        x, y = np.full(n, -0.0), np.ones(n)
    elif kind == "special":
        x[random.integers(0, n, 2)] = random.choice([np.inf, -np.inf, np.nan, LARGEST], 2)
    return x.astype(np.float32), y.astype(np.float32)


def dots(pairs, order, **arith):
    """lamp calc's dot products, as binary32."""
    def number(x):
        return str(float(x)) if not np.isfinite(x) else float(x).hex()

    lines = [json.dumps({"op": "dot", "a": [number(v) for v in x], "b": [number(v) for v in y],
                         "arith": {"format": "binary32", "order": order, **arith}}) for x, y in pairs]
    answers = lamp("calc", input="\n".join(lines) + "\n").stdout.splitlines()
    return np.array([float.fromhex(json.loads(answer)["y"]) for answer in answers], np.float32)


def differing(x, y):
    """How many have other bits; NaN is NaN."""
    return int(((x.view(np.uint32) != y.view(np.uint32)) & ~(np.isnan(x) & np.isnan(y))).sum())


class NumpySum(unittest.TestCase):
    def test_bits_of_numpy_sum(self):
        random = np.random.default_rng(1)
        with np.errstate(all="ignore"):
            for kind in ("ordinary", "ties", "cancelling", "tiny", "huge", "zeros", "negative zeros", "special"):
                pairs = [operands(kind, n, random) for n in LENGTHS if n < 1000 or kind in ("ordinary", "cancelling")]
                want = np.array([np.sum(x * y) for x, y in pairs], np.float32)
                for arith in ({}, {"product": "binary32"}):
                    self.assertEqual(differing(dots(pairs, f"numpy-sum:{BUFFER}", **arith), want), 0, f"{kind}, {arith}")

    def test_bits_of_sums_along_the_last_axis(self):
        random = np.random.default_rng(2)
        for n in (5, 64, 131, 768, 1024):
            x, y = random.standard_normal((2, 40, n)).astype(np.float32)
            self.assertEqual(differing(dots(list(zip(x, y)), f"numpy-sum:{BUFFER}"), (x * y).sum(axis=-1)), 0, n)

    def test_control_other_orders_have_other_bits(self):
        random = np.random.default_rng(3)
        pairs = [operands("ordinary", 300, random) for _ in range(50)]
        want = np.array([np.sum(x * y) for x, y in pairs], np.float32)
        for order in ("sequential", "pairwise:8", "lanes:8", "numpy-sum:128", "lane-tree:(0 1 (2 3) (4 5 (6 7)))"):
            self.assertGreater(differing(dots(pairs, order, product="binary32"), want), 5, order)


if __name__ == "__main__":
    unittest.main()
