"""/metrics/recomputed_macs and cost against multiply-accumulates counted here from the shapes of gpt2-nano; [cost] in place of bits."""
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
T, LAYERS, HEADS, WIDTH, INNER, VOCABULARY = 10, 4, 2, 128, 512, 4096
HEAD = WIDTH // HEADS
RULES = ["none", "all", "lamp"]
SETS = [f"tokens.path={ROOT}/data/texts/prose.txt", "tokens.sequences=1", f"tokens.sequence_length={T}", 'grid."arithmetic.low.mu"=[2, 4]',
        'grid."lamp.scores.tau"=[1.1]', f'grid."lamp.scores.rule"={RULES}']
CAUSAL = T * (T + 1) // 2
OF_SCORES = LAYERS * HEADS * CAUSAL * HEAD
OTHERS = OF_SCORES + LAYERS * T * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER) + T * WIDTH * VOCABULARY  # values have as many as scores
HIGH = 24 * 24 + 24


class Costs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def metrics(self, name, *changes):
        """The metrics of (sequence, mu, rule) or what other axes the changes leave."""
        folder = pathlib.Path(self.scratch_folder.name) / name
        lamp("run", CONFIG, "--quiet", "--out", folder, *sets(*SETS, *changes))
        with h5py.File(folder / "result.h5") as f:
            return {key: data[()].squeeze() for key, data in f["metrics"].items()}

    def test_bits_by_default(self):
        m = self.metrics("bits")
        share = m["recompute_rate"].mean((-2, -1))  # (mu, rule): rows of equal length, so that counts have the mean
        self.assertTrue(0 < share[0, 2] < 1)
        np.testing.assert_allclose(m["recomputed_macs"], share * OF_SCORES / (OF_SCORES + OTHERS), rtol=1e-14)
        for i, mu in enumerate((2, 4)):
            for j, rule in enumerate(RULES):
                low = 0 if rule == "all" else 1
                product = OTHERS * 576 + OF_SCORES * (low * 576 + share[i, j] * 576)
                sums = OTHERS * 24 + OF_SCORES * (low * (mu + 1) + share[i, j] * 24)
                all_high = (OF_SCORES + OTHERS) * HIGH
                np.testing.assert_allclose(m["cost_product"][i, j], product / all_high, rtol=1e-14)
                np.testing.assert_allclose(m["cost_accumulation"][i, j], sums / all_high, rtol=1e-14)
                np.testing.assert_allclose(m["cost"][i, j], (product + sums) / all_high, rtol=1e-14)
        np.testing.assert_array_equal(m["cost"][:, 1], 1.0)  # all high

    def test_costs_by_name(self):
        m = self.metrics("names", "cost.low=0.25", "cost.high=4.6")
        self.assertNotIn("cost_product", m)
        share = m["recompute_rate"].mean((-2, -1))
        low = np.array([1, 0, 1])
        realised = OTHERS * 4.6 + OF_SCORES * (low * 0.25 + share * 4.6)
        np.testing.assert_allclose(m["cost"], realised / ((OF_SCORES + OTHERS) * 4.6), rtol=1e-14)

    def test_where_nothing_is_selected_the_costliest_is_high(self):
        """Wider operands elsewhere: the all-high plan has them at every product but the scores, as what scores recompute in is said."""
        m = self.metrics("wide", 'arithmetic.wide={operands="binary64", format="binary64"}', "plan.logits=wide",
                         'grid."lamp.scores.rule"=["none"]')
        logits, wide = T * WIDTH * VOCABULARY, 53 * 53 + 53
        realised = logits * wide + (OTHERS - logits) * HIGH + OF_SCORES * (576 + np.array([3, 5]))
        np.testing.assert_allclose(m["cost"], realised / (OTHERS * wide + OF_SCORES * HIGH), rtol=1e-14)

    def test_a_layer_and_a_head_with_a_tau_of_their_own(self):
        m = self.metrics("layers", 'grid."lamp.scores.rule"=["lamp"]', 'grid."arithmetic.low.mu"=[2]', "lamp.layer.1.scores.tau=2",
                         "lamp.layer.3.head.0.scores.rate=1", 'grid."lamp.layer.2.scores.tau"=[2, 0]')
        rate = m["recompute_rate"]  # (tau of layer 2, layer, head)
        self.assertTrue((rate[:, 0] > 0).all() and (rate[:, 0] < 1).all())
        np.testing.assert_array_equal(rate[:, 1], 0)
        np.testing.assert_array_equal(rate[:, 3, 0], 1)
        self.assertTrue((rate[:, 3, 1] < 1).all())
        np.testing.assert_array_equal(rate[0, 2], 0)
        self.assertTrue((rate[1, 2] > 0.9).all())  # a row of one costs nothing
        np.testing.assert_allclose(m["recomputed_macs"], rate.mean((-2, -1)) * OF_SCORES / (OF_SCORES + OTHERS), rtol=1e-14)


if __name__ == "__main__":
    unittest.main()
