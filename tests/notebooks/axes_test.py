"""Results with axes over seed, model and shuffling: the notebooks' readers show the first value of each, and say so."""
import pathlib
import tempfile
import unittest

import h5py
import numpy as np
from softmax_lamp_test import ROOT  # sets the paths
from lib import backends, ground_truth, results
from results import lamp

CONFIG = f"""schema_version = 1
title = "axes"
[tokens]
source = "ids"
path = "ids.txt"
sequence_length = 4
sequences = 2
[arithmetic.low]
preset = "lamp-paper"
mu = 4
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
recompute = "high"
[grid]
"lamp.scores.rule" = ["lamp", "random", "none"]
"model.path" = ["{ROOT}/tests/golden/gpt-nano-sort"]
seed = [3, 8]
"tokens.shuffle" = [true, false]
[continuation]
prefix = 2
tokens = 2
[truth]
rules = []
coarse = false
local = false
"""


class Axes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        scratch = pathlib.Path(cls.scratch_folder.name)
        (scratch / "ids.txt").write_text("[0, 2, 1, 0]\n[1, 1, 0, 2]\n")
        (scratch / "axes.toml").write_text(CONFIG)
        lamp("run", scratch / "axes.toml", "--out", scratch / "run", "--quiet")
        cls.result = scratch / "run/result.h5"

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def test_figures_of_notebook_01_show_the_first(self):
        opened = results.open_result(self.result)
        with h5py.File(self.result) as f:  # (sequence[, rule], model, seed, shuffle)
            kl, reference, runs = (f[name][()] for name in ("metrics/kl", "reference/cross_entropy", "metrics/cross_entropy"))
        np.testing.assert_array_equal(opened.data.kl.squeeze(), kl[:, :, 0, 0, 0])
        self.assertEqual(sum("The grid also varies" in note for note in opened.notes), 3)
        points = np.exp(runs[:, :, 0, 0, 0].mean(0))
        self.assertEqual(results.perplexity_words(opened),
                         f"reference {np.exp(reference[:, 0, 0, 0].mean()):.4g}, runs {points.min():.4g} to {points.max():.4g}")
        head = dict(results.head(opened))
        self.assertEqual((head["model"].split()[0], head["tokens"]), ("gpt-nano-sort", "2 sequences of 4 tokens, shuffled"))
        self.assertEqual(results.open_continuations(opened).reference.shape, (1, 2, 2))

    def test_axes_of_the_grid(self):
        """They are cut or shown; what is no axis of the grid is averaged."""
        keys = ("arithmetic.low.mu", "plan.scores", "lamp.scores.tau", "store.default", "model.path", "seed", "tokens.shuffle")
        self.assertEqual([key for key in (*keys, "layer", "head", "position", "bin", "sequence") if results.is_grid_axis(key)], [*keys])

    def test_backends_show_the_first(self):
        shown = backends.open_backends(self.result)
        with h5py.File(self.result) as f:
            np.testing.assert_array_equal(shown.data.kl.squeeze(), f["metrics/kl"][:, 0, 0, 0, 0])
            np.testing.assert_array_equal(shown.expected.squeeze(), f["continuations/reference"][:, 0, 0, 0])

    def test_ground_truths_are_settings(self):
        opened = ground_truth.open_truth(self.result)
        self.assertEqual(len(opened.settings), 1 * 2 * 2)
        with h5py.File(self.result) as f:
            values = f["truth/all_low_kl"][()]  # (sequence, model, seed, shuffle)
        np.testing.assert_array_equal(opened.get("truth/all_low_kl"), values.reshape(2, 4))


if __name__ == "__main__":
    unittest.main()
