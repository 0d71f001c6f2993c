"""Cells that must be equal are computed once: `lamp verify`, which computes each by itself, finds the same bits, and as many passes are
made as there are different cells. Where the proof fails, in a row that LAMP refuses or where integers of different probabilities tie, they
are computed."""
import json
import pathlib
import sys
import tempfile
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
MU, TAUS = [2, 6], [2.5, 2.0, 1.2]
RULES = ["none", "all", "lamp", "random", "largest-logit", "random-full-row", "window", "block-mean", "page-bound", "value-aware"]
SETS = [f'tokens.path="{ROOT}/data/texts/prose.txt"', "tokens.sequences=1", "tokens.sequence_length=18", f'grid."arithmetic.low.mu"={MU}',
        "record.selected=true", 'record.errors=["mlp_proj"]', 'record.activations=["softmax"]']


class EqualCells(unittest.TestCase):
    def setUp(self):
        self.scratch_folder = tempfile.TemporaryDirectory()
        self.scratch = pathlib.Path(self.scratch_folder.name)

    def tearDown(self):
        self.scratch_folder.cleanup()

    def run_lamp(self, name, config, *changes, threads=2):
        """The result, and the numbers that `run` says."""
        done = lamp("run", config, "--out", self.scratch / name, "--json", "--threads", threads, *sets(*SETS, *changes))
        return self.scratch / name / "result.h5", json.loads(done.stdout)

    def check_cells(self, config, axes, *changes):
        """The grid over `axes`, every cell computed again by itself; returns how many passes the grid took, were planned, and cells."""
        grid = [f'grid."{key}"={json.dumps(values)}' for key, values in axes.items()]
        result, said = self.run_lamp("together", config, *grid, *changes)
        planned = json.loads(lamp("plan", config, "--json", *sets(*SETS, *grid, *changes)).stdout)
        again = json.loads(lamp("verify", result.parent, "--fraction", 1, "--json").stdout)
        self.assertEqual((again["cells"], again["same_bits"]), (said["cells"], True))
        with h5py.File(result) as f:
            self.assertTrue((f["metrics/status"][...] == 1).all())
        return said["passes"], planned["computed"], said["cells"]

    def test_rules_without_a_tau_and_taus_out_of_reach(self):
        axes = {"arithmetic.low.mu": MU, "lamp.scores.tau": TAUS, "lamp.scores.rule": RULES}
        passes, planned, cells = self.check_cells(CONFIG, axes)
        # all: 1. Of each mu: nothing selected 1; lamp with largest-logit 1; value-aware 3; the other rules at tau 1.2: 5.
        self.assertEqual((passes, planned, cells), (1 + len(MU) * (1 + 1 + 3 + 5), passes, 60))

    def test_rates_of_0_and_1(self):
        config = self.scratch / "rates.toml"
        config.write_text(CONFIG.read_text().replace("../..", str(ROOT))
                          .replace('"lamp.scores.tau" = [2.0, 1.5, 1.1]', '"lamp.scores.rate" = [0.0, 1.0]'))
        rules = [*RULES[:6], "value-aware"]
        axes = {"arithmetic.low.mu": MU, "lamp.scores.rate": [0.0, 1.0], "lamp.scores.rule": rules}
        passes, planned, cells = self.check_cells(config, axes)
        # all, and every rule at rate 1 but random-full-row: 1. Of each mu: nothing selected, random-full-row, value-aware at 0.
        self.assertEqual((passes, planned, cells), (1 + 3 * len(MU), passes, 28))

    def test_weights_and_errors_that_matter(self):
        rules, weights = ["none", "all", "lamp", "largest-logit"], ["absolute", "relative", "dot"]
        axes = {"arithmetic.low.mu": MU, "lamp.scores.rule": rules, "lamp.scores.weights": weights}
        passes, planned, cells = self.check_cells(CONFIG, axes, 'grid."lamp.scores.tau"=[1.2]', 'record.errors=["scores"]')
        # Errors are in units of the low arithmetic. Of each mu: none, all; largest-logit is lamp with absolute weights only.
        self.assertEqual((passes, planned, cells), (len(MU) * (1 + 1 + 1 + 4), passes, 24))

    def test_cells_that_record_activations_are_not_those_that_record_none(self):
        axes = {"lamp.scores.rule": ["none"], "lamp.scores.tau": TAUS}
        passes, _, _ = self.check_cells(CONFIG, axes, "record.errors=[]", 'record.where={"lamp.scores.tau"=[2.0]}')
        self.assertEqual(passes, len(MU) * 2)

    def test_where_a_row_is_refused_cells_are_computed(self):
        axes = {"lamp.scores.tau": [2.0, 1.2], "lamp.scores.rule": ["lamp", "none", "random"]}
        for exponent, expected in ((20, 3), (1, 5)):  # NaN: lamp and random at tau 2 recompute whole rows
            with self.subTest(exponent):
                changes = [change for change in SETS if "low.mu" not in change]
                config = self.scratch / f"tiny{exponent}.toml"
                text = CONFIG.read_text().replace("../..", str(ROOT)).replace('preset = "lamp-paper"\nmu = 7', "format = "
                                                  f'{{p = 4, emin = -6, emax = {exponent}, infinities = false, overflow = "nan"}}')
                config.write_text(text.replace('"arithmetic.low.mu" = [2, 4, 10]\n', ""))
                grid = [f'grid."{key}"={json.dumps(values)}' for key, values in axes.items()]
                folder = self.scratch / f"tiny{exponent}"
                said = json.loads(lamp("run", config, "--out", folder, "--json", *sets(*changes, *grid)).stdout)
                self.assertEqual((said["cells"], said["passes"]), (6, expected))
                lamp("verify", folder, "--fraction", 1)

    def test_later_runs_find_what_is_equal(self):
        rules = 'grid."lamp.scores.rule"=["none", "lamp"]'
        for name, steps in (("steps", ([2.0], [2.0, 1.9])), ("once", ([2.0, 1.9],))):
            for taus in steps:
                result, said = self.run_lamp(name, CONFIG, rules, f'grid."lamp.scores.tau"={taus}')
                self.assertEqual(said["passes"], {1: 2, 2: 4 if name == "once" else 2}[len(taus)], (name, said))
        assert_same_bits(self.scratch / "steps/result.h5", self.scratch / "once/result.h5")


if __name__ == "__main__":
    unittest.main()
