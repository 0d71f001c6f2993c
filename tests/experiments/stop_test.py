"""[stop]: sequences in rounds until every mean is known. Oracle: the same means, intervals and rounds in numpy, with quantiles of mpmath,
from the values of a run of all sequences."""
import functools
import json
import math
import pathlib
import sys
import tempfile
import unittest

import h5py
import mpmath
import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "golden/low_precision")]
from results import ROOT, assert_same_bits, lamp, sets  # noqa: E402
from rounding import philox  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
SETS = ["tokens.sequence_length=12", 'grid."arithmetic.low.mu"=[2, 4]', 'grid."lamp.scores.tau"=[2.0, 1.1]',
        'grid."lamp.scores.rule"=["lamp"]']
LIMIT = 28
BASELINE = 'stop.baseline={"lamp.scores.tau"=2.0}'


@functools.lru_cache(maxsize=None)
def t_quantile(confidence, freedom):
    low, high = 0.0, 1000.0
    for _ in range(60):
        t = (low + high) / 2
        outside = mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True)
        low, high = (t, high) if 1 - outside < confidence else (low, t)
    return low


def order(count, seed=7):
    """In which sequences come: Fisher and Yates from above, a draw for each place; a draw in the last part of 2^32 that is not whole is made
    again."""
    items = list(range(count))
    for i in range(count, 1, -1):
        draw = next(w for attempt in range(99) if (w := philox((i, attempt, 0, 0xFFFFFFFE), (seed, 0))[0]) < 2**32 // i * i)
        items[i - 1], items[draw % i] = items[draw % i], items[i - 1]
    return items


def rounds(first, limit):
    n = first
    while n < limit:
        yield n
        n += math.ceil(n / 4)
    yield limit


def interval(values, confidence):
    """Over the sequences (second axis) of (text, sequence, ..): mean, half."""
    n = values.shape[1]
    return values.mean(1), t_quantile(confidence, n - 1) * values.std(1, ddof=1) / np.sqrt(n)


class Stop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.whole = cls.run_lamp("whole", f"tokens.sequences={LIMIT}")[0]
        with h5py.File(cls.whole) as f:
            cls.values = {name: f[f"metrics/{name}"][()] for name in ("kl", "cross_entropy")}

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    @classmethod
    def run_lamp(cls, name, *changes, **options):
        done = lamp("run", CONFIG, "--out", cls.scratch / name, "--json", "--quiet", *sets(*SETS, *changes), **options)
        return cls.scratch / name / "result.h5", json.loads(done.stdout)

    def expected(self, metric, asked, confidence, first, ratios):
        """The round at which everything is known, and what is known then, as /stop names it."""
        all_values = self.values[metric]
        for n in rounds(first, LIMIT):
            values = all_values[:, order(LIMIT)[:n]]
            mean, half = interval(values, confidence)
            found = {"mean": mean, "low": mean - half, "high": mean + half, "relative_error": half / abs(mean)}
            known = found["relative_error"] <= asked
            if ratios:
                centre, width = interval(np.log(values) - np.log(values[..., :1, :]), confidence)
                found |= {"ratio": np.exp(centre), "ratio_low": np.exp(centre - width), "ratio_high": np.exp(centre + width),
                          "ratio_relative_error": np.exp(width) - 1}
                known = np.stack([known, found["ratio_relative_error"] <= asked])
            if known.all():
                break
        return n, found, int((~known).sum()), known.size

    def check(self, name, metric, asked, confidence, first, ratios=False):
        changes = [f"stop.relative_error={asked}", f"stop.confidence={confidence}", f"stop.min_sequences={first}",
                   f"stop.metric={metric}", f"tokens.sequences={LIMIT}", *([BASELINE] if ratios else [])]
        result, said = self.run_lamp(name, *changes)
        n, found, unknown, means = self.expected(metric, asked, confidence, first, ratios)
        self.assertEqual(said["stop"], {"sequences": n, "means": means, "unknown": unknown})
        self.assertEqual(said["cells"], 2 * n * self.values["kl"][0, 0].size)
        with h5py.File(result) as f:
            chosen = sorted(order(LIMIT)[:n])
            np.testing.assert_array_equal(f["metrics/sequence"][()], chosen)
            np.testing.assert_array_equal(f["metrics/kl"][()], self.values["kl"][:, chosen])
            self.assertTrue((f["metrics/status"][()] == 1).all())
            self.assertTrue((f["stop/count"][()] == n).all())
            datasets = {key for key, node in f["stop"].items() if not h5py.h5ds.is_scale(node.id)}
            self.assertEqual(datasets, {"count", *found})
            for key, values in found.items():
                np.testing.assert_allclose(f[f"stop/{key}"][()], values, rtol=1e-9, atol=1e-13, err_msg=key)
            self.assertEqual([d.label for d in f["stop/mean"].dims], [d.label for d in f["metrics/kl"].dims if d.label != "sequence"])
        status = json.loads(lamp("status", result.parent, "--json").stdout)
        self.assertEqual((status["stop"], status["complete"], status["result"]["up_to_date"]), (said["stop"], True, True))
        self.assertEqual((status["sequences"]["asked"], len(status["shards"])), (2 * n, 2 * n))
        return n

    def test_rounds_means_and_values(self):
        stops = [self.check("tight", "cross_entropy", 0.12, 0.95, 4), self.check("wide", "cross_entropy", 0.2, 0.9, 4),
                 self.check("limit", "kl", 0.001, 0.99, 8), self.check("first", "kl", 1, 0.5, 8)]
        self.assertTrue(4 < stops[0] < LIMIT and stops[1] < stops[0] and stops[2:] == [LIMIT, 8], stops)

    def test_ratios_to_a_baseline(self):
        without, alone = self.check("alone", "kl", 0.5, 0.9, 4), self.check("ratios", "kl", 0.5, 0.9, 4, ratios=True)
        self.assertGreaterEqual(alone, without)

    def test_interrupted_and_extended(self):
        """A folder that ended at few sequences, or has more than are needed, gives the same result."""
        changes = ["stop.metric=cross_entropy", "stop.relative_error=0.15", "stop.min_sequences=4", "stop.confidence=0.95"]
        once, told = self.run_lamp("once", *changes, f"tokens.sequences={LIMIT}")
        self.run_lamp("steps", *changes, "tokens.sequences=3")
        self.run_lamp("steps", "tokens.sequences=6")  # without [stop]: the same experiment
        steps, said = self.run_lamp("steps", *changes, f"tokens.sequences={LIMIT}")
        self.assertGreater(said["resumed"], 0)
        assert_same_bits(once, steps)
        self.run_lamp("steps", f"tokens.sequences={LIMIT}")
        again, said = self.run_lamp("steps", *changes, f"tokens.sequences={LIMIT}")
        self.assertEqual((said["computed"], said["stop"]), (0, told["stop"]))
        assert_same_bits(once, again)
        shard = sorted((again.parent / "shards").glob(f"sequence-{order(LIMIT)[1]:04}-*.h5"))[0]
        shard.unlink()  # now the first round is not complete: the result says so
        status = lamp("status", again.parent, "--json", check=False)
        mean, half = interval(self.values["cross_entropy"][:, order(LIMIT)[:4]], 0.95)
        lacking = [any(s["done"] == 0 for s in json.loads(status.stdout)["shards"] if s["text"] == text) for text in ("prose", "code")]
        unknown = int(((half > 0.15 * mean) | np.reshape(lacking, (2, 1, 1, 1))).sum())
        self.assertEqual(sum(lacking), 1)
        self.assertEqual((status.returncode, json.loads(status.stdout)["stop"]), (75, {"sequences": 4, "means": 8, "unknown": unknown}))
        self.assertEqual(lamp("merge", again.parent, check=False).returncode, 75)
        with h5py.File(again) as f:
            self.assertEqual(f["metrics/kl"].shape[1], 4)
            missing = (f["metrics/status"][()] == 0).any(1)
            self.assertTrue(missing.any() and not missing.all())
            np.testing.assert_array_equal(np.isnan(f["stop/mean"][()]), missing)
        again, said = self.run_lamp("steps", *changes, f"tokens.sequences={LIMIT}")
        self.assertEqual(said["computed"], said["cells"] // (2 * said["stop"]["sequences"]))
        assert_same_bits(once, again)
        self.assertEqual(json.loads(lamp("verify", again.parent, "--fraction", 0.2, "--json").stdout)["same_bits"], True)

    def test_threads_do_not_matter(self):
        changes = ["stop.metric=cross_entropy", "stop.relative_error=0.05", f"tokens.sequences={LIMIT}"]
        one, three = self.scratch / "one", self.scratch / "three"
        for out, threads in ((one, 1), (three, 3)):
            lamp("run", CONFIG, "--out", out, "--threads", threads, "--quiet", *sets(*SETS, *changes))
        assert_same_bits(one / "result.h5", three / "result.h5")

    def test_a_mean_that_is_not_finite_holds_nothing_up(self):
        """Values after GELU above 2 are NaN: some sequences have a KL, others not; the exact cells have a KL of 0."""
        low = ["arithmetic.nan.format={p = 8, emin = -20, emax = 0, infinities = false, overflow = \"nan\"}",
               'grid."plan.gelu"=["high", "nan"]', 'grid."lamp.scores.rule"=["none", "all"]', "reference.arithmetic=high", "plan.scores=high"]
        result, said = self.run_lamp("nan", *low, "stop.min_sequences=4", "tokens.sequences=12", 'stop.baseline={"plan.gelu"="high"}')
        with h5py.File(result) as f:
            axis = [d.label for d in f["stop/mean"].dims].index("plan.gelu")
            mean, error, ratio = (np.moveaxis(f[f"stop/{name}"][()], axis, 0) for name in ("mean", "relative_error", "ratio"))
            self.assertTrue((mean[0] == 0).all() and (error[0] == 0).all() and np.isnan(mean[1]).all() and np.isnan(ratio).all())
        self.assertEqual((said["stop"]["sequences"], said["stop"]["unknown"]), (4, 0))

    def test_plan_says_the_least_and_the_most(self):
        for first, limit, least in ((4, LIMIT, 4), (8, 3, 3)):
            planned = json.loads(lamp("plan", CONFIG, "--json", *sets(*SETS, f"stop.min_sequences={first}", f"tokens.sequences={limit}")).stdout)
            self.assertEqual((planned["stop"]["sequences"], planned["sequences"]), (2 * least, 2 * limit))
            self.assertEqual(planned["stop"]["passes"] * limit, planned["passes"] * least)
            self.assertLessEqual(planned["stop"]["seconds"]["all"], planned["seconds"]["all"])
        self.assertIsNone(json.loads(lamp("plan", CONFIG, "--json", *sets(*SETS)).stdout)["stop"])

    def test_shards_are_refused(self):
        done = lamp("run", CONFIG, "--out", self.scratch / "part", "--shard", "1/2", *sets(*SETS, "stop.metric=kl"), check=False)
        self.assertEqual(done.returncode, 65)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("without --shard, or a fixed count of sequences", done.stderr)
        self.assertFalse((self.scratch / "part").exists())


if __name__ == "__main__":
    unittest.main()
