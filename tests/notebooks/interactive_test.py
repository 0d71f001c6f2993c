"""The interactive page of notebook 00, in headless chromium without network: clicked through, and what it draws compared with the file."""
import os
import pathlib
import tempfile
import unittest

import h5py
import numpy as np
from any_result_test import RULES, TAUS, recorded  # sets the paths
from browser import CHROMIUM, Browser
from drawn import t_interval
from page import Page
from softmax_lamp_test import ROOT, config
from lib import any_result, interactive

DRAWN = """document.getElementById('plot').data.map((t) => ({type: t.type || 'scatter', name: t.name || '', x: t.x || null, y: t.y || null, z: t.z || null,
           symbol: t.marker ? t.marker.symbol : null, band: t.fill || null, shown: t.showlegend !== false}))"""


def page_of(result, out):
    os.environ["LAMP_OUT"] = str(out)
    made = interactive.page(any_result.open_any(result))
    assert type(made).__name__ == "Page", made.words
    return made.file


@unittest.skipUnless(CHROMIUM, "no chromium on this machine (Debian: apt-get install chromium): the interactive page was not opened")
class Interactive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def test_clicked_through(self):
        result = recorded(self.scratch)
        with h5py.File(result, "r+") as f:
            f["metrics/kl"][0, 1, 1, 1, 0] = np.nan   # computed: prose, mu = 4, tau = 1.5, lamp
            f["metrics/status"][1, 2, 2, 1, 0] = 0    # pending: code, mu = 10
            kl, flips, rate = (f[f"metrics/{name}"][()] for name in ("kl", "flip_rate", "recompute_rate"))
            bits = np.unpackbits(f["selected/scores"][0, 0], axis=-1, bitorder="little")[..., :12]  # (mu, tau, rule, layer, head, query, key)
            softmax = f["activations/softmax/run"][0, 0]
        with Browser(page_of(result, self.scratch / "page")) as page:
            title = "document.querySelector('#plot .gtitle').textContent"
            self.assertIn("kl against arithmetic.low.mu", page.evaluate(title))
            self.assertIn("sequences of all texts; lamp.scores.rule = lamp", page.evaluate(title))
            drawn = page.evaluate(DRAWN)
            lines = {t["name"]: t for t in drawn if t["shown"] and t["name"].startswith("tau")}
            self.assertEqual(list(lines), ["tau = 2", "tau = 1.5", "tau = 1.1"])
            all_texts = kl.reshape(6, 3, 3, 4)
            np.testing.assert_allclose(lines["tau = 2"]["y"], all_texts[:, :, 0, 0].mean(0), rtol=1e-12)
            band = next(t for t in drawn if t["name"] == "tau = 2, band")
            np.testing.assert_allclose(band["y"][0], t_interval(list(all_texts[:, 0, 0, 0]))[2], rtol=1e-12)
            # mu = 4 is NaN, mu = 10 not computed: marks, and no number
            self.assertEqual([y is None for y in lines["tau = 1.5"]["y"]], [False, True, True])
            self.assertEqual({(t["name"], t["x"][0], t["symbol"]) for t in drawn if t["name"] in ("NaN: no mean", "not computed")},
                             {("NaN: no mean", 4, "x"), ("not computed", 10, "square-open")})
            self.assertIn("NaN: no mean: 1; not computed: 1", page.evaluate("document.getElementById('said').textContent"))
            # another metric, other axes, another text
            page.choose("metric", "flip_rate")
            page.choose("x", "lamp.scores.rule")
            page.choose("colour", "arithmetic.low.mu")
            page.choose("at-text", "code")
            page.choose("at-lamp.scores.tau", "1.1")
            self.assertIn("text = code; lamp.scores.tau = 1.1", page.evaluate(title))
            lines = {t["name"]: t["y"] for t in page.evaluate(DRAWN) if t["shown"]}
            np.testing.assert_allclose(lines["mu = 2"], flips[1, :, 0, TAUS.index(1.1)].mean(0), rtol=1e-12)
            # layer and head of a metric that has them, then all of them as a map
            page.choose("metric", "recompute_rate")
            page.choose("x", "arithmetic.low.mu")
            page.choose("colour", "lamp.scores.rule")
            page.choose("at-layer", "3")
            page.choose("at-head", "1")
            lines = {t["name"]: t["y"] for t in page.evaluate(DRAWN) if t["shown"]}
            np.testing.assert_allclose(lines["rule = random"], rate[1, :, :, TAUS.index(1.1), RULES.index("random"), 3, 1].mean(0), rtol=1e-12)
            page.click("view-heads")
            page.choose("at-lamp.scores.rule", "lamp")
            page.choose("at-arithmetic.low.mu", "2")
            z = next(t for t in page.evaluate(DRAWN) if t["type"] == "heatmap")["z"]
            np.testing.assert_allclose(z, rate[1, :, 0, TAUS.index(1.1), 0].mean(0), rtol=1e-12)
            # attention with the selected set
            page.click("view-attention")
            page.choose("map", "prose, sequence 0, mu = 4, tau = 1.5, rule = random")
            page.choose("layer", "2")
            page.choose("head", "1")
            drawn = page.evaluate(DRAWN)
            at = (1, 1, RULES.index("random"), 2, 1)
            marks = next(t for t in drawn if t["name"].startswith("selected"))
            self.assertEqual(sorted(zip(marks["y"], marks["x"])), [tuple(map(int, p)) for p in np.argwhere(bits[at])])
            self.assertGreater(len(marks["x"]), 5)
            z = np.array([[np.nan if v is None else v for v in row] for row in next(t for t in drawn if t["type"] == "heatmap")["z"]])
            self.assertTrue(np.isnan(z[np.triu_indices(12, 1)]).all())
            below = np.tril_indices(12)
            np.testing.assert_allclose(z[below], np.log10(np.maximum(softmax[at][below], 1e-4)), atol=1e-6)
            self.assertEqual(page.errors, [])
            self.assertEqual([r for r in page.requests if not r.startswith(("data:", "file:", "blob:"))], [])
            self.assertEqual([r for r in page.requests if r.startswith("file:")], [page.file.as_uri()])

    def test_true_set_and_a_page_without_a_number(self):
        result = config(self.scratch, "truth", (f'"{ROOT}/data/texts/prose.txt", ', ""), ("sequence_length = 12", "sequence_length = 6"),
                        ('"lamp.scores.rule" = ["lamp", "random", "none", "all"]', ""), ("[2, 4, 10]", "[4]"), ("[2.0, 1.5, 1.1]", "[1.5]"),
                        ("[lamp.scores]", '[truth]\nrules = ["lamp", "one-low"]\nlocal = false\ncoarse = false\n[lamp.scores]'))
        with h5py.File(result, "r+") as f:
            lamp, kl, size = (f[name][0, 0, 0] for name in ("selection/lamp_set", "truth/one_low_kl", "selection/lamp/size"))
            f["metrics/kl"][...] = np.nan
        with Browser(page_of(result, self.scratch / "truth-page")) as page:
            self.assertIn("Nothing is drawn: there is no number here.", page.evaluate("document.getElementById('said').textContent"))
            page.click("view-attention")
            page.choose("layer", "1")
            drawn = {t["name"].split(" (")[0]: set(zip(t["y"], t["x"])) for t in page.evaluate(DRAWN) if t["type"] == "scatter"}
            selected = {tuple(map(int, p)) for p in np.argwhere(lamp[1, 0] > 0.5)}
            true = set()
            for query in range(6):
                row = [(-kl[1, 0, query, key], key) for key in range(query + 1)]
                true |= {(query, key) for _, key in sorted(row)[: int(size[1, 0, query])]}
            self.assertEqual(drawn, {"both": selected & true, "selected alone": selected - true, "true set alone": true - selected})
            self.assertTrue(selected)
            self.assertEqual(page.errors, [])


class WithoutBrowser(unittest.TestCase):
    def test_needs_no_network(self):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            result = config(scratch, "small", ("[2, 4, 10]", "[4]"), ("[2.0, 1.5, 1.1]", "[1.5]"))
            self.assertEqual(Page(page_of(result, scratch / "page").read_text()).network, [])


if __name__ == "__main__":
    unittest.main()
