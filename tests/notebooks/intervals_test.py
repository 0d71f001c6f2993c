"""Means and intervals over sequences: quantiles, definitions and coverage, and that nothing else in the notebooks computes or draws one."""
import ast
import json
import math
import pathlib
import sys
import unittest
import warnings

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "notebooks")]
sys.dont_write_bytecode = True
from drawn import t_interval, t_quantile  # noqa: E402
from lib import intervals  # noqa: E402
from lib.intervals import geometric_interval, interval_words, mean_interval, ratio_interval  # noqa: E402

TABLE = {1: "12.706", 2: "4.303", 3: "3.182", 4: "2.776", 7: "2.365", 10: "2.228", 11: "2.201", 18: "2.101"}  # two-sided 95 %, in print
COVERAGE = {  # n: % of the 95 % intervals that hold the mean; normal, lognormal of sigma 0.3 and 1 (200,000 samples, from 20 on 20,000)
    3: (95.0, 94.0, 83.8),
    4: (95.0, 93.8, 82.3),
    8: (95.0, 93.9, 83.2),
    12: (95.0, 94.0, 84.6),
    20: (93.2, 92.3, 85.4),
    40: (94.2, 93.6, 89.0),
}
ELSEWHERE = {"percentile", "quantile", "nanpercentile", "nanquantile", "std", "nanstd", "var", "nanvar", "errorbar", "fill_between"}


class Intervals(unittest.TestCase):
    def test_quantiles_of_t(self):
        for freedom in (*range(1, 31), 100, 599):
            expected = t_quantile(freedom)
            self.assertLessEqual(abs(intervals.t_quantile(freedom) - expected), 1e-13 * expected, freedom)
        self.assertEqual({freedom: f"{intervals.t_quantile(freedom):.3f}" for freedom in TABLE}, TABLE)

    def test_t_below_twenty(self):
        for n in range(3, 20):
            values = np.random.default_rng(n).lognormal(size=(n, 2, 3))
            found = mean_interval(values)
            for at in np.ndindex(2, 3):
                shown = [found.mean[at], found.low[at], found.high[at]]
                np.testing.assert_allclose(shown, t_interval(list(values[(slice(None), *at)])), 1e-13)
            self.assertTrue((found.count == n).all() and np.isnan(found.first).all())

    def test_bootstrap_from_twenty_on(self):
        for n in (20, 31):
            values = np.random.default_rng(n).lognormal(size=(n, 300))
            draws = np.random.Generator(np.random.Philox(0)).integers(0, n, (10000, n))
            found = mean_interval(values)
            for k in (0, 1, 299):
                expected = [values[:, k].mean(), *np.percentile(values[draws, k].mean(1), [2.5, 97.5])]
                np.testing.assert_allclose([found.mean[k], found.low[k], found.high[k]], expected, 1e-13)
            alone = mean_interval(values[:, 299])  # the same, whatever else stands beside it
            np.testing.assert_allclose([alone.low, alone.high], [found.low[299], found.high[299]], 1e-13)

    def test_two_one_and_none(self):
        two = mean_interval([[3.0, np.nan], [1.0, 7.0]])
        self.assertEqual((list(two.mean), list(two.count), two.first[0], two.second[0]), ([2.0, 7.0], [2, 1], 3.0, 1.0))
        self.assertTrue(np.isnan([*two.low, *two.high, two.first[1], two.second[1]]).all())
        self.assertEqual(list(two.columns("x, ")), ["x, 95 % low", "x, 95 % high", "x, sequences", "x, first of two", "x, second of two"])
        for empty in (mean_interval(np.full((3, 1), np.nan)), mean_interval(np.empty((0, 1)))):
            self.assertEqual(empty.count[0], 0)
            self.assertTrue(np.isnan([empty.mean, empty.low, empty.high]).all())
            self.assertNotIn("first of two", empty.columns())
        self.assertEqual(mean_interval(np.ones((5, 0))).mean.shape, (0,))

    def test_nan_is_left_out_and_counted_or_no_mean_goes_around_it(self):
        values = np.arange(12.0).reshape(6, 2) ** 2
        values[3, 1] = np.nan
        found, strict = mean_interval(values), mean_interval(values, leave_out=False)
        np.testing.assert_allclose([found.mean[1], found.low[1], found.high[1]], t_interval(list(values[[0, 1, 2, 4, 5], 1])), 1e-13)
        self.assertEqual((list(found.count), list(strict.count)), ([6, 5], [6, 0]))
        self.assertEqual((strict.low[0], strict.mean[0]), (found.low[0], found.mean[0]))
        self.assertTrue(np.isnan([strict.mean[1], strict.low[1], strict.high[1]]).all())

    def test_infinities_have_no_interval_and_equal_values_one_of_width_0(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for n in (4, 25):
                values = np.ones((n, 3))
                values[1, 1], values[2, 2], values[3, 2] = np.inf, np.inf, -np.inf
                found = mean_interval(values)
                self.assertEqual((found.low[0], found.high[0], found.mean[1]), (1, 1, np.inf))
                self.assertTrue(np.isnan([*found.low[1:], *found.high[1:], found.mean[2]]).all())

    def test_ratios_are_paired_logarithms(self):
        top, bottom = np.random.default_rng(5).lognormal(size=(2, 9, 1))
        found = ratio_interval(top, bottom)
        expected = t_interval([math.log(a / b) for a, b in zip(top[:, 0], bottom[:, 0])])
        np.testing.assert_allclose([found.mean[0], found.low[0], found.high[0]], np.exp(expected), 1e-13)
        unpaired = ratio_interval(top, bottom[::-1])
        self.assertAlmostEqual(unpaired.mean[0], found.mean[0])
        self.assertGreater(abs(unpaired.low[0] - found.low[0]), 0.01)
        np.testing.assert_allclose(geometric_interval(top / bottom), found, 1e-13)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            zeros = ratio_interval([[0.0, 1.0, 0.0], [1.0] * 3, [2.0] * 3], [[1.0, 0.0, 0.0], [1.0] * 3, [1.0] * 3])
        self.assertEqual((list(zeros.mean[:2]), list(zeros.count)), ([0.0, np.inf], [3, 3, 2]))
        self.assertTrue(np.isnan([*zeros.low, *zeros.high]).all())
        np.testing.assert_allclose([zeros.mean[2], zeros.first[2], zeros.second[2]], [math.sqrt(2), 1, 2], 1e-15)

    def test_coverage(self):
        """Of samples whose mean is known; within 4 standard deviations of the share and what the stated one may be off."""
        for n, stated in COVERAGE.items():
            samples = 4000 if n < 20 else 500
            normal = np.random.default_rng(n).standard_normal((n, samples))
            little, skew = np.exp(0.3 * normal), np.exp(normal)
            means = (normal, 0.0), (little, math.exp(0.3**2 / 2)), (skew, math.exp(0.5))
            pairs = [(mean_interval(values), mean) for values, mean in means] + [(geometric_interval(skew), 1.0)]
            inside = [(found.low <= mean) & (mean <= found.high) for found, mean in pairs]
            for share, expected in zip(inside, stated):
                slack = 4 * math.sqrt(expected * (100 - expected) / samples) + 0.5
                self.assertLessEqual(abs(100 * share.mean() - expected), slack, (n, 100 * share.mean(), expected))
            np.testing.assert_array_equal(inside[3], inside[0])  # skew of this kind costs geometric means nothing

    def test_words(self):
        self.assertEqual(interval_words("bar", [12, 12]), "bar: 95 % t interval, 12 sequences")
        self.assertEqual(
            interval_words("band", [0, 11, np.nan, 12, 24], "sequences of each text", "of the logarithm"),
            "band: 95 % t interval of the logarithm, 11 to 12 sequences of each text; "
            "band: 95 % percentile bootstrap interval (10,000 resamples) of the logarithm, 24 sequences of each text",
        )
        self.assertEqual(interval_words("bar", [2, 0]), "small points: the two sequences, no interval")
        self.assertEqual(interval_words("bar", [1]), "one sequence, no interval")
        self.assertEqual(interval_words("bar", [0]), "")

    def test_nothing_else_computes_or_draws_intervals(self):
        sources = {str(p): p.read_text() for folder in ("notebooks/lib", "experiments") for p in (ROOT / folder).rglob("*.py")}
        for p in (ROOT / "notebooks").glob("*.ipynb"):
            cells = [c for c in json.loads(p.read_text())["cells"] if c["cell_type"] == "code"]
            sources[str(p)] = "\n".join("".join(c["source"]) for c in cells)
        self.assertGreater(len(sources), 20)
        found = {name: calls for name, text in sources.items() if (calls := sorted(ELSEWHERE & attributes(text)))}
        self.assertEqual(found, {str(ROOT / "notebooks/lib/intervals.py"): ["fill_between", "percentile", "std"]})


def attributes(text):
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}


if __name__ == "__main__":
    unittest.main()
