"""Notebook 00: every number of its tables a second time with h5py, and what each result that is not as usual gives in the place of a figure."""
import contextlib
import csv
import io
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
import warnings
from unittest import mock

import h5py
import matplotlib
import matplotlib.figure
import numpy as np
from softmax_lamp_test import ROOT, config, notebook, number  # sets the paths
from drawn import not_the_librarys, t_interval
from page import Page
from lib import any_figures, any_result, execute, interactive, style

NAMES = ("00-1-picture", "00-2-distribution", "00-3-heads-and-layers")
MUS, TAUS, RULES = [2, 4, 10], [2.0, 1.5, 1.1], ["lamp", "random", "none", "all"]
RECORD = '[record]\nerrors = ["scores"]\nwhere = {"lamp.scores.tau" = [1.5]}\nactivations = ["softmax"]\nselected = true\n[lamp.scores]'


def table(file):
    with open(file, newline="") as f:
        return list(csv.DictReader(f))


def recorded(scratch):
    """nano with three sequences a text, and errors and softmax at one tau."""
    return config(scratch, "recorded", ("sequences = 2", "sequences = 3"), ("[lamp.scores]", RECORD))


class AnyResult(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.result = recorded(cls.scratch)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def changed(self, name, change):
        (self.scratch / name).mkdir()
        copy = pathlib.Path(shutil.copy(self.result, self.scratch / name / "result.h5"))
        with h5py.File(copy, "r+") as f:
            change(f)
        return copy

    def draw(self, result, function, **words):
        """What a function gives, its table, and the figure; nothing is saved but the table, that takes longest."""
        os.environ["LAMP_OUT"] = str(result.parent / "figures")
        figures = []
        with mock.patch.object(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)), warnings.catch_warnings():
            warnings.simplefilter("error")
            opened = any_result.open_any(result)
            made = getattr(any_figures, function)(opened, **words)
        self.assertTrue(opened._repr_html_())
        if type(made).__name__ == "Sentence":
            return made.words, None, None
        return made.caption, table(made.png.with_suffix(".csv")), figures[0]

    def test_files_page_and_options(self):
        done = notebook("00", self.result, self.scratch / "out", "--y", "recompute_rate", "--x=layer", "--rows", "rule", "--at", "tau=1.1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        expected = [f"{n}.{e}" for n in NAMES for e in ("csv", "pdf", "png")] + ["00-any-result.html", "00-interactive.html"]
        self.assertEqual(sorted(p.name for p in (self.scratch / "out").iterdir()), sorted(expected))
        page = Page((self.scratch / "out/00-any-result.html").read_text())
        self.assertEqual((page.network, len(page.pictures)), ([], 3))
        rows = table(self.scratch / f"out/{NAMES[0]}.csv")
        self.assertEqual(len(rows), 2 * 3 * 4 * 4)  # text, mu, rule, layer
        with h5py.File(self.result) as f:
            rate = f["metrics/recompute_rate"][()]  # (text, sequence, mu, tau, rule, layer, head)
        for row in rows:
            mu, rule = MUS.index(int(row["arithmetic.low.mu"])), RULES.index(row["lamp.scores.rule"])
            values = rate[["prose", "code"].index(row["text"]), :, mu, TAUS.index(1.1), rule, int(row["layer"])].mean(-1)
            shown = [number(row[c]) for c in ("recompute_rate [1]", "95 % low", "95 % high", "sequences")]
            np.testing.assert_allclose(shown, [*t_interval(list(values)), 3], rtol=1e-12, atol=1e-15)

    def test_options_that_cannot_be(self):
        for words, said in ((["--y", "klx"], "klx is no metric of this result; there are kl"), (["--x", "nu"], "nu is no axis of kl; its axes are text, "),
                            (["--at", "mu=3"], "arithmetic.low.mu has no value 3; it has 2, 4, 10"), (["--x", "mu", "--rows", "mu"], "two places"),
                            (["--x", "mu", "--at", "mu=4"], "both shown and cut"), (["--at", "mu"], "KEY=VALUE"), (["--z", "mu"], "usage"), (["--x"], "usage")):
            heard = io.StringIO()
            with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
                self.assertEqual(execute.main(["00", str(self.result), str(self.scratch / "no"), *words]), 2)
            self.assertEqual(heard.getvalue().count("\n"), 1)
            self.assertIn(said, heard.getvalue())
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(execute.main(["01", str(self.result), "--y", "kl"]), 2)
        self.assertFalse((self.scratch / "no").exists())

    def test_what_is_cut_and_the_band_are_in_the_picture(self):
        caption, rows, figure = self.draw(self.result, "picture", rows="text", columns="rule", at={"tau": "1.5"})
        words = [t.get_text() for t in figure.texts] + [figure._suptitle.get_text()]
        self.assertTrue(any("lamp.scores.tau = 1.5" in w for w in words), words)
        self.assertIn("band or bar: 95 % t interval, 3 sequences", words)
        self.assertEqual({ax.get_title() for ax in figure.axes}, {f"{rule}\n{text}" for text in ("prose", "code") for rule in RULES})
        _, rows, _ = self.draw(self.result, "picture", x="rule", colour="mu", columns="tau", at={"text": "code"})
        self.assertEqual(len(rows), 3 * 3 * 4)

    def test_bands_are_the_librarys(self):
        os.environ["LAMP_OUT"] = str(self.scratch / "bands")
        opened = any_result.open_any(self.result)
        for words, points in ((dict(x="mu", colour="tau", rows="rule"), 2 * 3 * 3 * 4), (dict(x="rule", colour="mu", at={"text": "code", "tau": "1.1"}), 12)):
            found, wrong = not_the_librarys(lambda: any_figures.picture(opened, **words))
            self.assertEqual((len(found), wrong), (points, []))

    def test_texts_together_and_apart(self):
        _, rows, _ = self.draw(self.result, "picture", x="mu", columns="tau", at={"rule": "lamp"})
        self.assertEqual({r["text"] for r in rows}, {"prose", "code"})
        opened = any_result.open_any(self.result)
        metric = opened.metrics["kl"]
        found = any_result.points(opened, metric, ["arithmetic.low.mu"], {"lamp.scores.tau": 1, "lamp.scores.rule": 0})
        with h5py.File(self.result) as f:
            kl = f["metrics/kl"][:, :, :, 1, 0].reshape(6, 3)
        for k in range(3):
            np.testing.assert_allclose([a[k] for a in found.interval[:3]], t_interval(list(kl[:, k])), rtol=1e-12)

    def test_nan_pending_and_not_recorded_are_told_apart(self):
        def some(f):
            m = f["metrics"]
            for name in ("kl", "kl_position"):
                m[name][0, 1, 1, 1, 0] = np.nan                      # prose, mu = 4, tau = 1.5, lamp: computed
            m["status"][1, 0, 2, 1, 0] = 0                           # code, mu = 10: pending
            for name in ("kl", "kl_position"):
                m[name][1, 0, 2, 1, 0] = np.nan
            m["kl"][0, :, 2, 2, 0] = 0.0                             # prose, mu = 10, tau = 1.1: exactly 0
            m["kl"][1, 2, 0, 2, 0] = np.inf                          # code, mu = 2, tau = 1.1
        result = self.changed("some", some)
        caption, rows, figure = self.draw(result, "picture", x="mu", colour="tau", at={"rule": "lamp"})
        at = {(r["text"], r["arithmetic.low.mu"], r["lamp.scores.tau"]): r for r in rows}
        kinds = {("prose", "4", "1.5"): ("", "1", "0"), ("code", "10", "1.5"): ("", "0", "1"), ("prose", "10", "1.1"): ("0.0", "0", "0"), ("code", "2", "1.1"): ("inf", "0", "0")}
        for place, expected in kinds.items():
            self.assertEqual(tuple(at[place][c] for c in ("kl [nat]", "sequences with NaN [1]", "cells not computed [1]")), expected, place)
        self.assertEqual(sum(r["kl [nat]"] == "" for r in rows), 2)
        legend = [t.get_text() for ax in figure.axes if ax.get_legend() for t in ax.get_legend().get_texts()]
        self.assertEqual(set(legend[3:]), {style.NAN, style.NOT_COMPUTED, style.ZERO, style.INFINITE})
        # where NaN stands for no value, what is pending is no such thing: no mean over the other sequences
        metric = any_result.open_any(result).metrics["cross_entropy_position"]
        found = any_result.points(any_result.open_any(result), metric, ["text", "arithmetic.low.mu"], {"lamp.scores.tau": 1, "lamp.scores.rule": 0})
        self.assertEqual(np.argwhere(np.isnan(found.interval.mean)).tolist(), [[1, 2]])
        self.assertIn("at 1 of 18 points it is nan in some sequence, so no mean; at 1 of 18 points it was not computed", caption.lower())
        # errors at two of three tau were not recorded: no number, not even of a count, which the file has as 0
        with h5py.File(self.result) as f:
            self.assertEqual(f["errors/scores/forward_count"][0, 0, 0, 0, 0, 0, 0], 0)
        for name in ("errors/scores/forward_count", "errors/scores/forward_rms_u"):
            caption, rows, figure = self.draw(self.result, "picture", y=name, x="layer", rows="tau", at={"rule": "lamp"})
            of_tau = {t: {r[next(c for c in r if c.startswith(name))] == "" for r in rows if r["lamp.scores.tau"] == t} for t in ("2.0", "1.5", "1.1")}
            self.assertEqual(of_tau, {"2.0": {True}, "1.5": {False}, "1.1": {True}})
            said = [t.get_text() for ax in figure.axes for t in ax.texts]
            self.assertEqual(said, ["nothing computed here"] * 4)

    def test_distribution(self):
        caption, rows, _ = self.draw(self.result, "distribution", at={"rule": "lamp", "mu": "4"})
        with h5py.File(self.result) as f:
            kl = f["metrics/kl_position"][:, :, 1, :, 0]  # (text, sequence, tau, position)
        for row in rows[::7]:
            values = kl[["prose", "code"].index(row["text"]), :, TAUS.index(float(row["lamp.scores.tau"]))]
            step = float(row["kl_position up to [nat]"])
            shares = [100 * np.mean(values[s] <= step * (1 + 1e-12)) for s in range(3)]
            self.assertAlmostEqual(float(row["values [%]"]), sum(shares) / 3, places=9)
        self.assertIn("KL(reference || run). Share of the values up to each size", caption)
        self.assertIn("its mean says all of its distribution", self.draw(self.result, "distribution", y="flip_rate")[0])

    def test_map_of_heads_and_layers(self):
        _, rows, figure = self.draw(self.result, "heads_and_layers", y="errors/scores/forward_max_u")
        self.assertEqual({r["lamp.scores.tau"] for r in rows if "lamp.scores.tau" in r}, set())  # cut at the tau that has them
        with h5py.File(self.result) as f:
            values = f["errors/scores/forward_max_u"][:, :, :, 1, 0]
        for row in rows:
            cell = values[["prose", "code"].index(row["text"]), :, MUS.index(int(row["arithmetic.low.mu"])), int(row["layer"]), int(row["head"])]
            np.testing.assert_allclose(number(row["errors/scores/forward_max_u [u]"]), math.fsum(cell) / 3, rtol=1e-12)
        self.assertIn("kl has no heads and layers, so recompute_rate is shown", self.draw(self.result, "heads_and_layers", y="kl")[0])

    def test_one_point_no_axis_nan_only_nothing_done_other_schema(self):
        functions = ("picture", "distribution", "heads_and_layers")

        def no_number(f):
            for name in ("kl", "kl_position"):
                f[f"metrics/{name}"][...] = np.nan

        def nothing_done(f):
            f["metrics/status"][...] = 0

        def other_schema(f):
            f.attrs["schema_version"] = 7
            kl = f["metrics/kl_position"][()]
            del f["metrics/kl_position"], f["metrics/recompute_rate"]
            f["metrics/kl_position"] = kl  # without scales
        one = config(self.scratch, "one", (f'"{ROOT}/data/texts/prose.txt", ', ""), ("sequences = 2", "sequences = 1"),
                     ('[grid]\n"arithmetic.low.mu" = [2, 4, 10]\n"lamp.scores.tau" = [2.0, 1.5, 1.1]\n"lamp.scores.rule" = ["lamp", "random", "none", "all"]', ""))
        caption, rows, figure = self.draw(one, "picture", y="kl")
        self.assertEqual(([number(r["sequences"]) for r in rows], figure.axes[0].lines[0].get_marker()), ([1.0], "o"))
        self.assertIn("One sequence, no interval", caption)
        self.assertIn("Not drawn: kl_position has no number here (432 NaN", self.draw(self.changed("nan", no_number), "distribution", at={"tau": "1.5", "rule": "lamp"})[0].replace("216", "432"))
        self.assertIn("Not drawn: kl has no number at any of the", self.draw(self.scratch / "nan/result.h5", "picture")[0])
        nothing = self.changed("nothing", nothing_done)
        for function in functions:
            self.assertIn("Not drawn: ", self.draw(nothing, function)[0])
        other = self.changed("other", other_schema)
        self.assertIn("schema of results 7", any_result.open_any(other)._repr_html_())
        for function in functions:
            self.draw(other, function)
        for result in (one, nothing, other, self.scratch / "nan/result.h5"):
            os.environ["LAMP_OUT"] = str(result.parent / "page")
            self.assertTrue(interactive.page(any_result.open_any(result))._repr_html_())

    def test_every_metric_has_a_picture(self):
        opened = any_result.open_any(self.result)
        self.assertGreater(len(opened.metrics), 30)
        for name, metric in opened.metrics.items():  # one of each kind of axes
            if name in ("flip_position", "recomputed_macs", "errors/scores/local_bins", "activations/softmax/run", "reference/cross_entropy_position"):
                caption, _, _ = self.draw(self.result, "picture", y=name)
                self.assertNotIn("Not drawn", caption, name)
            at = {d: 0 for d in metric.grid()}
            found = any_result.points(opened, metric, [], at)
            self.assertEqual(found.interval.mean.shape, (), name)

    def test_colours(self):
        def contrast(colour):
            rgb = np.array(matplotlib.colors.to_rgb(colour))
            linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
            return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)
        for colours in (style.SERIES, *(style.ordered_colours(n) for n in range(1, 9))):
            self.assertGreaterEqual(min(map(contrast, colours)), 3)

    def test_notebook_is_committed_without_outputs(self):
        cells = json.loads((ROOT / "notebooks/00-any-result.ipynb").read_text())["cells"]
        self.assertTrue(all(c.get("outputs", []) == [] and c.get("execution_count") is None for c in cells))


if __name__ == "__main__":
    unittest.main()
