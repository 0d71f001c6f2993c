"""Whole low-precision passes against the golden outputs of a second implementation (tests/golden/low_precision), bit by bit."""
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

FOLDER = ROOT / "tests/golden/low_precision"
sys.path.insert(0, str(FOLDER))
import generate  # noqa: E402
from network import SITES  # noqa: E402


def differing(x, golden):
    """How many elements differ in a bit; -0 differs from +0, all NaN are equal. Arrays of other shapes differ everywhere."""
    if x.shape != golden.shape:
        return max(x.size, golden.size)
    x, golden = x.astype(np.float64), golden.astype(np.float64)
    return int(((x.view(np.uint64) != golden.view(np.uint64)) & ~(np.isnan(x) & np.isnan(golden))).sum())


class GoldenPasses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.golden = h5py.File(generate.GOLDEN)
        cls.scratch = tempfile.TemporaryDirectory()
        cls.results = {}
        for name in generate.CONFIGS:
            out = pathlib.Path(cls.scratch.name) / name
            lamp("run", FOLDER / f"{name}.toml", "--out", out, "--quiet")
            cls.results[name] = h5py.File(out / "result.h5")

    @classmethod
    def tearDownClass(cls):
        for file in [cls.golden, *cls.results.values()]:
            file.close()
        cls.scratch.cleanup()

    def test_every_site_of_every_pass(self):
        for name, result in self.results.items():
            for kind in ("run", "reference"):
                for site in SITES:
                    with self.subTest(config=name, kind=kind, site=site):
                        self.assertEqual(differing(result[f"activations/{site}/{kind}"][()], self.golden[f"{name}/{kind}/{site}"][()]), 0)

    def test_recompute_rate(self):
        for name, result in self.results.items():
            with self.subTest(config=name):
                self.assertEqual(differing(result["metrics/recompute_rate"][()], self.golden[f"{name}/recompute_rate"][()]), 0)

    def test_the_comparison_sees_one_bit_one_sign_and_one_nan(self):
        golden = self.golden["stochastic/run/logits"][()]
        self.assertEqual(differing(golden, golden), 0)
        for bits in (lambda x: x ^ np.uint64(1), lambda x: x ^ np.uint64(1 << 63), lambda x: np.uint64(0x7FF8 << 48)):
            changed = golden.copy()
            changed.view(np.uint64).flat[17] = bits(changed.view(np.uint64).flat[17])
            self.assertEqual(differing(changed, golden), 1)
        self.assertEqual(differing(np.array([-0.0, np.nan]), np.array([0.0, -np.nan])), 1)


if __name__ == "__main__":
    unittest.main()
