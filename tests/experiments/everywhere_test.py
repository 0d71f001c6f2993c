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
sys.path.insert(0, str(TESTS / "golden/llama"))
import golden  # noqa: E402
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

    def test_value_aware_weighs_an_activation_by_the_map_after_it(self):
        """Layer 0, whose low rows are those of the cell that recomputes nothing: |phi'(y) y u| norm2(W_:j), in floating point."""
        folder, c = pathlib.Path(self.scratch.name), np.sqrt(2 / np.pi)
        golden.write_model(folder / "llama", golden.config_of(), golden.tensors_of(golden.config_of()))
        (folder / "ids.txt").write_text(f"{golden.tokens_of(golden.config_of(), 12)}\n")

        def gelu(y):
            """phi and phi'."""
            t = np.tanh(c * (y + 0.044715 * y**3))
            return y / 2 * (1 + t), (1 + t) / 2 + y / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * y**2)

        def silu(y):
            s = 1 / (1 + np.exp(-y))
            return y * s, s + y * s * (1 - s)

        for model, site, phi, matrix in ((ROOT / "data/models/gpt2-nano", "mlp_fc", gelu, "h.0.mlp.c_proj.weight"),
                                         (folder / "llama", "gate", silu, "layers.0.mlp.down_proj.weight")):
            gated = site == "gate"
            w = next(values for name, values in golden.read_model(model)[1].items() if name.endswith(matrix))
            w = w if gated else w.T  # (out, in)
            for budget in ("rate = 0.25", "tau = 0.3"):
                (folder / "study.toml").write_text(
                    f'schema_version = 1\ntitle = "value-aware"\n[model]\npath = "{model}"\n'
                    '[tokens]\nsource = "ids"\npath = "ids.txt"\nsequence_length = 12\nsequences = 1\n'
                    '[arithmetic.low]\nformat = "bfloat16"\n[arithmetic.high]\nformat = "binary32"\n[plan]\ndefault = "high"\n'
                    f'{site} = "low"\n[lamp.{site}]\nrecompute = "high"\nweights = "relative"\n{budget}\n'
                    f'[record]\nselected = true\nactivations = {[site] + gated * ["up"]}\n[grid]\n"lamp.{site}.rule" = ["none", "value-aware"]\n')
                lamp("run", folder / "study.toml", "--out", folder / f"{site} {budget}", "--quiet")
                with h5py.File(folder / f"{site} {budget}/result.h5") as f:
                    y, u = (f[f"activations/{name}/run"][0, 0, 0] for name in (site, "up" if gated else site))
                    chosen = np.unpackbits(f[f"selected/{site}"][0, 1, 0], axis=-1, bitorder="little")[:, :y.shape[1]].astype(bool)
                u = u if gated else np.ones_like(y)
                z, slope = phi(y)
                keys = np.abs(slope * y * u) * np.linalg.norm(w, axis=0)
                for t in range(len(y)):
                    self.assertGreaterEqual(keys[t][chosen[t]].min(), keys[t][~chosen[t]].max() * (1 - 1e-6), (site, budget, t))
                    if budget == "rate = 0.25":
                        self.assertEqual(chosen[t].sum(), np.ceil(0.25 * y.shape[1]))
                        continue
                    left, most = keys[t][~chosen[t]].sum(), 0.3 * np.linalg.norm(w @ (z * u)[t])
                    self.assertLessEqual(left, most * (1 + 1e-6))
                    self.assertGreater(left + keys[t][chosen[t]].min(), most * (1 - 1e-6))


if __name__ == "__main__":
    unittest.main()
