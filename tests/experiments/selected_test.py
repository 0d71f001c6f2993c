"""record.selected: every set of a run, against rates and mixed scores; the sets of the rules and the shift, computed a second time from
what the run records of layer 0, where every cell sees the same queries, keys, values and low scores."""
import math
import pathlib
import sys
import tempfile
import unittest
from fractions import Fraction

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, differences, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
T = 48
RULES = ["none", "all", "lamp", "random", "window", "block-mean", "page-bound", "value-aware"]
SHIFTS = ["none", "mean", "adaptive"]
TAU = 1.2
SETS = [f"tokens.path={ROOT}/data/texts/prose.txt", "tokens.sequences=1", "record.selected=true", "record.concentration=true",
        'record.activations=["qkv", "scores", "softmax"]', 'grid."arithmetic.low.mu"=[2]', f'grid."lamp.scores.tau"=[{TAU}]',
        f'grid."lamp.scores.rule"={RULES}', f'grid."lamp.scores.shift"={SHIFTS}',
        'arithmetic.values={format="binary32", operands="bfloat16"}', "plan.values=values",
        "arithmetic.top={format={p=52, emin=-1022, emax=1023}}", "lamp.scores.recompute=top"]
ARGUMENTS = ["--quiet", *(word for key in SETS for word in ("--set", key))]


def bfloat16(x):
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(float)


def to_52_bits(x):
    """A fraction rounded to nearest even, once: by way of binary64 it would be twice."""
    if x == 0:
        return 0.0
    unit = Fraction(2) ** (math.frexp(float(x))[1] - 52)
    return float(round(x / unit) * unit)


def in_descending_order(chosen, scores, slack=1e-12):
    """Nothing left out has a larger score than something chosen."""
    return not chosen.any() or chosen.all() or scores[chosen].min() >= scores[~chosen].max() - slack


class Selected(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.result = pathlib.Path(cls.scratch_folder.name) / "run/result.h5"
        lamp("run", CONFIG, "--out", cls.result.parent, "--threads", 1, *ARGUMENTS)
        with h5py.File(cls.result) as f:
            cls.dataset = {"dims": [d.label for d in f["selected/scores"].dims], "dtype": f["selected/scores"].dtype,
                           "scales": [d.keys() for d in f["selected/scores"].dims], "shape": f["selected/scores"].shape}
            at = (0, 0, 0)  # of sequence, mu, tau
            packed, cls.rate = f["selected/scores"][at], f["metrics/recompute_rate"][at]  # (rule, shift, layer, head, ..)
            cls.squares = {name: f[f"metrics/softmax_square{name}"][at] for name in ("", "_low")}
            cls.counts = {name: f[name].attrs["long_name"] for name in ("metrics/position", "activations/scores/query", "activations/scores/component",
                                                                        "activations/qkv/component", "metrics/layer")}
            cls.scores, cls.z, cls.qkv = (f[f"activations/{site}/run"][at] for site in ("scores", "softmax", "qkv"))
        cls.sets = np.unpackbits(packed, axis=-1, bitorder="little").astype(bool)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def rows(self):
        """(head, query) of layer 0."""
        return ((head, i) for head in range(self.sets.shape[3]) for i in range(T))

    def row(self, values, rule, shift, head, i):
        return values[RULES.index(rule), SHIFTS.index(shift), 0, head, i, :i + 1]

    def test_scales_say_where_they_are_one_index(self):
        self.assertEqual(self.counts, {"metrics/position": "position of a token in its sequence; queries and keys are positions too",
                                       "activations/scores/query": "position of the token that attends: the same index as position",
                                       "activations/scores/component": "key: position of the token attended to, the same index as position",
                                       "activations/qkv/component": "component of the vector of a position", "metrics/layer": "layer"})

    def test_squares_of_the_softmax_and_of_what_is_left_low(self):
        """Sums in another order: T^2/2 terms of one sign, each known to 2^-52."""
        z = np.nan_to_num(self.z)
        for name, sums in (("", (z**2).sum((-1, -2))), ("_low", (z**2 * ~self.sets[..., :T]).sum((-1, -2)))):
            np.testing.assert_allclose(self.squares[name], sums, rtol=1e-12)
        self.assertTrue((self.squares["_low"] < self.squares[""]).any())

    def test_the_dataset_is_that_of_the_contract(self):
        self.assertEqual(self.dataset["dims"], ["sequence", "arithmetic.low.mu", "lamp.scores.tau", "lamp.scores.rule",
                                                "lamp.scores.shift", "layer", "head", "query", "byte"])
        self.assertTrue(all(len(scales) == 1 for scales in self.dataset["scales"]))
        self.assertEqual((self.dataset["dtype"], self.dataset["shape"][-2:]), (np.dtype("u1"), (T, T // 8)))

    def test_only_causal_entries_and_as_many_as_the_rate_says(self):
        self.assertFalse(self.sets[..., ~np.tri(T, dtype=bool)].any())
        np.testing.assert_array_equal(self.sets.sum(axis=(-2, -1)) / (T * (T + 1) / 2), self.rate)
        self.assertTrue((self.rate[RULES.index("none")] == 0).all() and (self.rate[RULES.index("all")] == 1).all())
        self.assertTrue((self.rate[2:].mean(axis=(-1, -2)) > 0.05).all() and (self.rate[2:] < 1).all())

    def test_the_mixed_scores_are_recomputed_where_the_bits_say_and_low_elsewhere(self):
        low, high = (self.scores[RULES.index(rule), 0, 0] for rule in ("none", "all"))  # (head, query, key)
        lower = np.broadcast_to(np.tri(T, dtype=bool), low.shape)
        for r in range(len(RULES)):
            chosen = self.sets[r, 0, 0]
            np.testing.assert_array_equal(self.scores[r, 0, 0][lower], np.where(chosen, high, low)[lower])
        self.assertGreater((low != high)[lower].mean(), 0.9)

    def test_the_rules_with_the_budget_of_lamp(self):
        distinct = 0
        width = self.qkv.shape[-1] // 3
        d = width // self.sets.shape[3]
        for head, i in self.rows():
            n, qkv = i + 1, self.qkv[0, 0, 0]
            chosen = {rule: self.row(self.sets, rule, "none", head, i) for rule in RULES}
            k = int(chosen["lamp"].sum())
            q, keys = qkv[i, head * d:(head + 1) * d], qkv[:n, width + head * d:width + (head + 1) * d]
            low = self.row(self.scores, "none", "none", head, i)
            blocks = [slice(b, min(b + 16, n)) for b in range(0, n, 16)]
            scores = {"block-mean": [np.abs(low[b]).mean() for b in blocks],
                      "page-bound": [(np.maximum(q * keys[b].min(axis=0), q * keys[b].max(axis=0))).sum() for b in blocks]}
            self.assertEqual(set(np.flatnonzero(chosen["window"])), ({0} | set(range(n - k + 1, n)) if k else set()))
            for rule, of_blocks in scores.items():
                taken = np.array([chosen[rule][b].sum() for b in blocks])
                self.assertEqual(taken.sum(), k)
                self.assertTrue(in_descending_order(taken > 0, np.array(of_blocks)), (rule, of_blocks, taken))
                for b, count in zip(blocks, taken):
                    np.testing.assert_array_equal(np.flatnonzero(chosen[rule][b]), np.arange(count))
                partial = [b for b, count in zip(blocks, taken) if 0 < count < b.stop - b.start]
                self.assertLessEqual(len(partial), 1)
            distinct += len({chosen[rule].tobytes() for rule in ("lamp", "window", "block-mean", "page-bound")}) == 4
        self.assertGreater(distinct, 20)

    def test_value_aware_sets_are_the_largest_keys_that_the_budget_asks_for(self):
        width = self.qkv.shape[-1] // 3
        d = width // self.sets.shape[3]
        sizes = set()
        for head, i in self.rows():
            v = bfloat16(self.qkv[0, 0, 0, :i + 1, 2 * width + head * d:2 * width + (head + 1) * d])
            z = self.row(self.z, "none", "none", head, i)
            o = z @ v
            key = z * np.linalg.norm(v - o, axis=1) if i else np.zeros(1)
            chosen = self.row(self.sets, "value-aware", "none", head, i)
            most, unit = TAU * np.linalg.norm(o), 2.0 ** -39 * (i + 1)
            self.assertTrue(in_descending_order(chosen, key))
            self.assertLessEqual(key[~chosen].sum(), most + unit)
            if chosen.any():
                self.assertGreater(key[~chosen].sum() + key[chosen].min(), most - unit)
            sizes.add(int(chosen.sum()))
        self.assertGreater(len(sizes), 4)

    def test_the_shift_is_the_mean_error_of_the_set_rounded_once(self):
        shifted = {"mean": 0, "adaptive": 0}
        for head, i in self.rows():
            for rule in ("lamp", "random"):
                low, high = (self.row(self.scores, other, "none", head, i) for other in ("none", "all"))
                chosen = self.row(self.sets, rule, "none", head, i)
                count, mean, errors = int(chosen.sum()), 0.0, (high - low)[chosen]
                for error in errors:
                    mean += error
                mean /= max(count, 1)
                spread = np.std(errors, ddof=1) / np.sqrt(count) if count >= 3 else np.inf
                for shift, applies in (("mean", count > 0), ("adaptive", abs(mean) > spread)):
                    np.testing.assert_array_equal(self.row(self.sets, rule, shift, head, i), chosen)
                    expected = [high[j] if chosen[j] else to_52_bits(Fraction(low[j]) + Fraction(mean)) if applies else low[j]
                                for j in range(i + 1)]
                    np.testing.assert_array_equal(self.row(self.scores, rule, shift, head, i), expected)
                    shifted[shift] += bool(applies)
        self.assertTrue(0 < shifted["adaptive"] < shifted["mean"], shifted)

    def test_a_run_without_it_has_the_same_numbers(self):
        runs = pathlib.Path(self.scratch_folder.name)
        small = [*ARGUMENTS, "--set", 'grid."lamp.scores.rule"=["lamp", "random"]', "--set", 'grid."lamp.scores.shift"=["none"]']
        for kept in ("true", "false"):
            lamp("run", CONFIG, "--out", runs / kept, *small, "--set", f"record.selected={kept}")
        others = [path for path in differences(runs / "true/result.h5", runs / "false/result.h5") if not path.startswith("/selected")]
        self.assertEqual(others, ["/@experiment"])
        refused = lamp("run", CONFIG, "--out", runs / "false", *small, check=False)
        self.assertEqual(refused.returncode, 73, refused.stderr)


if __name__ == "__main__":
    unittest.main()
