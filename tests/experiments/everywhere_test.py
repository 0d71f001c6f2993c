"""LAMP at every product of a pass at once: what recomputes everything has the bits of the pass that does so from the start."""
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
sys.dont_write_bytecode = True
from results import ROOT, lamp  # noqa: E402

SITES = ["scores", "values", "attn_proj", "mlp_fc", "mlp_proj", "logits"]
LOOK_AHEAD = ["previous-layer", "previous-token", "first-terms", "key-mean"]


def selection(site, **keys):
    """A table of [lamp.SITE] at one site; a norm that its function has."""
    keys = {"recompute": "high", "weights": "relative", **({"norm": "normwise1"} if site == "values" else {}), **keys}
    lines = [f"{key} = {value if str(value)[0] in '{0123456789' else repr(value)}" for key, value in keys.items()]
    return "\n".join([f"[lamp.{site}]", *lines, ""])


class Everywhere(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)

    def metrics(self, selections, low=SITES):
        """The metrics of a run of gpt2-nano whose sites `low` are in PS(4)."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch.name))
        plan = "".join(f'{site} = "low"\n' for site in low)
        (folder / "study.toml").write_text(
            f'schema_version = 1\ntitle = "everywhere"\n[model]\npath = "{ROOT}/data/models/gpt2-nano"\n'
            f'[tokens]\npath = "{ROOT}/data/texts/prose.txt"\nsequence_length = 24\nsequences = 2\n'
            '[arithmetic.low]\npreset = "lamp-paper"\nmu = 4\n[arithmetic.high]\nformat = "binary32"\n'
            f'[plan]\ndefault = "high"\n{plan}{"".join(selections)}')
        lamp("run", folder / "study.toml", "--out", folder / "out", "--quiet")
        with h5py.File(folder / "out/result.h5", "r") as f:
            return {name: f["metrics"][name][()] for name in f["metrics"] if isinstance(f["metrics"][name], h5py.Dataset)}

    def test_all_of_every_site_has_the_bits_of_the_high_plan(self):
        high = self.metrics([], low=[])
        everything = self.metrics([selection(site, rule="all") for site in SITES])
        np.testing.assert_array_equal(everything["kl_position"], high["kl_position"])
        some = self.metrics([selection(site, rule="all") for site in SITES[:-1]] + [selection("logits", rate=0.5)])
        self.assertTrue((some["kl_position"] != high["kl_position"]).any())  # and the comparison sees a difference

    def test_a_selection_at_each_site_alone_comes_nearer(self):
        for site in SITES:
            low = self.metrics([], low=[site])["kl"].mean()
            mixed = self.metrics([selection(site, rate=0.5)], low=[site])
            rate = mixed["recompute_rate" if site == "scores" else f"recompute_rate_{site}"]
            rate = rate.mean(-1) if site == "values" else rate  # its rows are of all heads
            self.assertTrue((rate >= 0.5).all() and (rate < 0.75).all(), (site, rate))
            self.assertLess(mixed["kl"].mean(), low, site)

    def test_a_fallback_that_allows_nothing_recomputes_every_row(self):
        high = self.metrics([], low=[])
        for what in ["row", "layer"]:
            for site in SITES[:-1]:
                fallen = self.metrics([selection(site, rate=0.1, fallback=f'{{tolerance = 0, what = "{what}"}}')], low=[site])
                rows = fallen[f"fallback_{site}"]
                if what == "layer" or site != "scores":  # a row of one score costs nothing
                    np.testing.assert_array_equal(rows, 1.0)
                np.testing.assert_array_equal(fallen["kl_position"], high["kl_position"], f"{site} {what}")

    def test_rules_that_look_ahead_take_as_many_scores_as_lamp_and_others(self):
        def scores(rule):
            return self.metrics([selection("scores", rule=rule, tau=0.5, terms=2)], low=["scores"])
        lamps = scores("lamp")
        for rule in LOOK_AHEAD:
            found = scores(rule)
            np.testing.assert_array_equal(found["recompute_rate"][:, 0], lamps["recompute_rate"][:, 0], rule)  # layer 0: the same low rows
            self.assertTrue((found["kl_position"] != lamps["kl_position"]).any(), rule)


if __name__ == "__main__":
    unittest.main()
