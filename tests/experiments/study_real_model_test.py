"""Study 04 thinned to one sequence of prose, T = 256, mu = 10: its claims about SmolLM2 and the figures that notebook 04 draws of it.

The model is no part of this repository: data/models/smollm2, or the folder that LAMP_SMOLLM2 names; without it 77, which ctest reads as
skipped. 25 seconds of processor time.
"""
import os
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "notebooks")]
os.environ["MPLBACKEND"] = "agg"
from results import ROOT, lamp, sets  # noqa: E402

MODEL = pathlib.Path(os.environ.get("LAMP_SMOLLM2", ROOT / "data/models/smollm2"))
STUDY = ROOT / "experiments/studies/04-real-model"
SKIPPED = 77
TAUS, LAMP, RANDOM = [2.0, 1.5, 1.1, 1.01], 0, 1
THINNED = [f"model.path={MODEL.resolve()}", f"tokens.path={ROOT}/data/texts/prose.txt", "tokens.sequences=1",
           'grid."arithmetic.low.mu"=[10]']


def curve(result, *axes):
    """Percent of the scores recomputed and KL, by (tau, the other axis of the grid)."""
    with h5py.File(result) as f:
        metrics = f["metrics"]
        assert [d.label for d in metrics["kl"].dims][-3:] == ["arithmetic.low.mu", "lamp.scores.tau", *axes]
        return 100 * metrics["recompute_rate"][()].mean((-2, -1)).reshape(-1, 2), metrics["kl"][()].reshape(-1, 2)


class RealModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        for name, taus in (("study", TAUS), ("masks", [2.0, TAUS[-1]])):
            thinned = sets(*THINNED, f'grid."lamp.scores.tau"={taus}')
            lamp("run", STUDY / f"{name}.toml", "--out", cls.scratch / name, "--threads", 2, "--quiet", *thinned)
        cls.share, kl = curve(cls.scratch / "study/result.h5", "lamp.scores.rule")
        cls.gain = kl[0] / kl
        cls.masked_share, kl = curve(cls.scratch / "masks/result.h5", "lamp.scores.mask")
        cls.masked_gain = kl[0] / kl

    def test_lamp_gains_what_the_study_says(self):
        """One sequence within the study's t intervals over six: 5.3 [4.0, 7.1] at 3.4 %, 43 [25, 74] at 15 %."""
        for share, low, high in ((3.4, 4.0, 7.1), (15.0, 25.0, 74.0)):
            gain = np.exp(np.interp(np.log(share), np.log(self.share[1:, LAMP]), np.log(self.gain[1:, LAMP])))
            self.assertTrue(low <= gain <= high, (share, gain))
        self.assertTrue((np.diff(self.gain[:, LAMP]) > 0).all(), self.gain)

    def test_random_gains_almost_nothing_at_the_same_shares(self):
        for at in (1, 2):
            self.assertAlmostEqual(self.share[at, RANDOM], self.share[at, LAMP], delta=0.01)
            self.assertTrue(0.9 <= self.gain[at, RANDOM] <= 1.5, self.gain)

    def test_masked_entries_change_the_end_of_the_curve_and_not_the_share(self):
        exclude, as_zero = self.masked_gain[1]
        self.assertEqual(exclude, self.gain[-1, LAMP])  # the same cell of two runs
        self.assertGreater(as_zero, 50 * exclude)
        self.assertLess(abs(np.diff(self.masked_share[1])[0]), 0.15)  # percentage points

    def test_the_notebook_draws_these_numbers(self):
        from real_model_test import NOTEBOOK, number, shown_by, table
        shown = shown_by(NOTEBOOK, self.scratch / "study/result.h5", self.scratch / "figures")
        drawn = {name for name, value in shown.items() if type(value).__name__ == "Figure"}
        wanted = {"figures.gain_against_share(study)", "figures.gain_by_mu(study)", "figures.masks(study)", "law.law(study)"}
        self.assertLessEqual(wanted, drawn)
        points = {(float(row["at"]), row["rule"], row["mask"]): (number(row["recomputed [%]"]), number(row["gain [1]"]))
                  for row in table(self.scratch / "figures/04-1-gain-against-share.csv")}
        expected = {(tau, rule, "exclude"): (self.share[i, r], self.gain[i, r])
                    for i, tau in enumerate(TAUS) if i for r, rule in enumerate(("lamp", "random"))}
        expected[TAUS[-1], "lamp", "as-zero"] = self.masked_share[1, 1], self.masked_gain[1, 1]
        self.assertEqual(points.keys(), expected.keys())
        for at, values in expected.items():
            np.testing.assert_allclose(points[at], values, rtol=1e-10, err_msg=str(at))
        claim = {float(row["share [%]"]): number(row["gain [1]"])
                 for row in table(self.scratch / "figures/04-2-claim.csv") if row["kind"] == "tau"}
        for share in (3.4, 15.0):  # the table's own interpolation: log gain over the share, from nothing on
            expected = np.exp(np.interp(share, self.share[:, LAMP], np.log(self.gain[:, LAMP])))
            np.testing.assert_allclose(claim[share], expected, rtol=1e-10)


if __name__ == "__main__":
    if not (MODEL / "config.json").is_file():
        print(f"skipped: {MODEL} is not there; `experiments/models/get smollm2` makes it, or LAMP_SMOLLM2 names a folder")
        sys.exit(SKIPPED)
    unittest.main()
