"""Every order, rounding mode and kind of format at every site of the model, through configs."""
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
SMALL = ["tokens.sequences=1", "tokens.sequence_length=10", "plan.scores=high", 'grid."lamp.scores.rule"=["none"]', 'grid."arithmetic.low.mu"=[4]',
         'grid."lamp.scores.tau"=[1.5]', 'record.activations=["scores", "logits"]']
COMB = "0"
for k in range(1, 64):
    COMB = f"({COMB} {k})"


class Everywhere(unittest.TestCase):
    def logits(self, *sets):
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "run"
            lamp("run", CONFIG, "--out", out, "--quiet", *[word for value in [*SMALL, *sets] for word in ("--set", value)])
            with h5py.File(out / "result.h5") as f:
                return f["activations/logits/run"][()], f["metrics/kl"][()]

    def test_orders_at_every_site(self):
        sequential, _ = self.logits("arithmetic.high.order=sequential")
        same = {"lanes:1", "pairwise:100000"}  # the definition makes these the sequential sum
        for order in ("reverse", "blocked:8", "pairwise:8", "pairwise:100000", "lanes:1", "lanes:8", "split:3", "numpy-sum:8192", "kahan", "neumaier", "exact",
                      "multiterm:8,24"):
            x, kl = self.logits(f"arithmetic.high.order={order}")
            self.assertTrue(np.isfinite(x).all(), order)
            self.assertEqual(bool((x == sequential).all()), order in same, order)
            self.assertTrue((kl < (1e-3 if order.startswith("multiterm") else 1e-9)).all(), f"{order}: {kl.max()}")

    def test_compensation_and_exact_sums_are_nearer_the_reference(self):
        kl = {order: self.logits("arithmetic.high.format=ps12", f"arithmetic.high.order={order}")[1].mean()
              for order in ("sequential", "pairwise:1", "kahan", "exact")}
        self.assertLess(kl["pairwise:1"], kl["sequential"])
        self.assertLess(kl["exact"], kl["pairwise:1"])
        self.assertLess(kl["kahan"], kl["sequential"])

    def test_blocks_have_an_arithmetic_of_their_own(self):
        outer = ["arithmetic.high.format=ps7", "arithmetic.high.order=blocked:32"]
        plain, coarse = self.logits(*outer)
        _, fine = self.logits(*outer, 'arithmetic.high.block={format="binary32"}')
        self.assertLess(fine.mean(), coarse.mean())

    def test_an_explicit_tree_at_a_site_of_its_length(self):
        rounded, _ = self.logits("plan.scores=low", "arithmetic.low.product=binary32")
        tree, _ = self.logits("plan.scores=low", "arithmetic.low.product=binary32", f'arithmetic.low.order="tree:{COMB}"')
        self.assertTrue(np.isfinite(tree).all())
        refused = lamp("run", CONFIG, "--out", "/nonexistent/x", "--set", f'arithmetic.high.order="tree:{COMB}"', check=False)
        self.assertEqual(refused.returncode, 65, refused.stderr)
        self.assertIn("64", refused.stderr)
        self.assertEqual(rounded.shape, tree.shape)
        for order in ("tree:(0 1)", "fused-tree:(0 1)"):  # as a value of an axis
            refused = lamp("run", CONFIG, "--out", "/nonexistent/x", "--set", f'grid."arithmetic.high.order"=["sequential", "{order}"]', check=False)
            self.assertEqual(refused.returncode, 65, refused.stderr)
            self.assertRegex(refused.stderr, r"^lamp run: [^\n]*the order is a tree of 2 terms, the sum has 128; legal: [^\n]*\n$")

    def test_rounding_modes_and_formats_at_every_site(self):
        nearest, _ = self.logits("arithmetic.high.format=ps10")
        for mode in ("RNA", "RTZ", "RTP", "RTN", "RTO", "SR", "SRE"):
            x, _ = self.logits("arithmetic.high.format=ps10", f"arithmetic.high.rounding={mode}")
            self.assertTrue(np.isfinite(x).all() and (x != nearest).any(), mode)
        for form in ("binary16", "bfloat16", "e5m2", "e4m3fn", "{p=9, emin=-60, emax=60, subnormals=false}"):
            value = form if form.startswith("{") else f'"{form}"'
            x, kl = self.logits(f"arithmetic.high.format={value}", "plan.default=high")
            self.assertEqual(x.shape, nearest.shape)
            self.assertTrue(((kl > 1e-7) | np.isnan(kl)).all(), form)

    def test_stochastic_runs_depend_on_the_seed_alone(self):
        sets = ["arithmetic.high.format=ps7", "arithmetic.high.rounding=SR", "arithmetic.high.random_bits=16"]
        one, _ = self.logits(*sets)
        again, _ = self.logits(*sets)
        other, _ = self.logits(*sets, "seed=8")
        np.testing.assert_array_equal(one, again)
        self.assertTrue((one != other).any())

    def test_stochastic_draws_know_neither_threads_nor_parts(self):
        sets = [word for value in [*SMALL, "arithmetic.high.format=ps7", "arithmetic.high.rounding=SR", 'grid."arithmetic.low.mu"=[4, 5]']
                for word in ("--set", value)]
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            lamp("run", CONFIG, "--out", scratch / "one", "--quiet", "--threads", 1, *sets)
            lamp("run", CONFIG, "--out", scratch / "two", "--quiet", "--threads", 2, *sets)
            for part in ("2/2", "1/2"):
                done = lamp("run", CONFIG, "--out", scratch / "parts", "--quiet", "--shard", part, *sets, check=False)
                self.assertEqual(done.returncode, 75, done.stderr)
            lamp("merge", scratch / "parts")
            assert_same_bits(scratch / "one/result.h5", scratch / "two/result.h5")
            assert_same_bits(scratch / "one/result.h5", scratch / "parts/result.h5")


if __name__ == "__main__":
    unittest.main()
