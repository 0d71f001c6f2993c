"""Notebook 01 on a small result: files, a page without network, and every number of its tables computed a second time with h5py."""
import csv
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
from unittest import mock

import h5py
import matplotlib
import matplotlib.figure
import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "notebooks"), str(TESTS.parent / "notebooks")]
sys.dont_write_bytecode = True
os.environ["MPLBACKEND"] = "agg"
from drawn import not_the_librarys, t_interval  # noqa: E402
from page import Page  # noqa: E402
from results import ROOT, lamp  # noqa: E402

NOTEBOOK = ROOT / "notebooks/01-softmax-lamp.ipynb"
FIGURES = ["01-1-kl-against-mu", "01-2-flips-against-mu", "01-3-kl-against-rate", "01-4-rate-by-head", "01-5-gain-against-rate"]
TEXTS, MUS, TAUS, RULES = 2, [2, 4, 10], [2.0, 1.5, 1.1], ["lamp", "random", "none", "all"]  # of tests/experiments/nano.toml


def config(scratch, name, *changes):
    """nano.toml made smaller and changed: (old, new) replaced in its text."""
    text = (ROOT / "tests/experiments/nano.toml").read_text()
    text = text.replace('"../../', f'"{ROOT}/').replace("sequence_length = 48", "sequence_length = 12")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (scratch / f"{name}.toml").write_text(text)
    lamp("run", scratch / f"{name}.toml", "--out", scratch / name, "--quiet")
    return scratch / name / "result.h5"


def notebook(*arguments, **options):
    return subprocess.run(["bash", str(ROOT / "notebooks/run"), *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


def table(file):
    with open(file, newline="") as f:
        return list(csv.DictReader(f))


def table_of(result):
    from lib import tables
    return tables.rate_table(result)


def number(field):
    return float(field) if field else math.nan


def mean_over_sequences(values, status):
    """The definition, cell by cell: values and status (text, sequence, mu, tau, rule)."""
    out = np.full(values.shape[:1] + values.shape[2:], np.nan)
    for text in range(values.shape[0]):
        used = [s for s in range(values.shape[1]) if (status[text, s] == 1).any()]
        for point in np.ndindex(out.shape[1:]):
            cells = [values[(text, s, *point)] for s in used]
            if cells and all(status[(text, s, *point)] == 1 for s in used):
                out[(text, *point)] = math.fsum(cells) / len(cells)
    return out


def disagreements(folder, result):
    """Rows of the CSV files whose numbers are not those of the result, computed here from the file: [(figure, row)]."""
    with h5py.File(result, "r") as f:
        m = f["metrics"]
        status = m["status"][()]
        kl, flips, by_head = (m[name][()] for name in ("kl", "flip_rate", "recompute_rate"))
        names = [t.decode() if isinstance(t, bytes) else str(t) for t in m["text"][()]]
    rate = by_head.mean((-2, -1))
    means = {"kl [nat]": mean_over_sequences(kl, status), "flip rate [%]": 100 * mean_over_sequences(flips, status),
             "recompute rate [%]": 100 * mean_over_sequences(rate, status)}
    nothing = kl[:, :, :, TAUS.index(2.0), RULES.index("none")]
    with np.errstate(divide="ignore", invalid="ignore"):
        means["gain [1]"] = np.exp(mean_over_sequences(np.log(nothing[..., None, None] / kl), status))  # of the none: NaN where pending
    wrong = []
    for figure in FIGURES:
        for row in table(folder / f"{figure}.csv"):
            point = (names.index(row["text"]), MUS.index(float(row["mu"])), TAUS.index(float(row["tau"])), RULES.index(row["rule"]))
            for column in means.keys() & row.keys():
                expected = means[column][point]
                if "layer" in row:
                    cell = (point[0], slice(None), *point[1:])
                    each = by_head[(*cell, int(row["layer"]), int(row["head"]))]
                    done = status[cell] == 1
                    used = (status[point[0]] == 1).any((1, 2, 3))
                    expected = 100 * math.fsum(each[used]) / used.sum() if used.any() and done[used].all() else math.nan
                value = number(row[column])
                # two orders of summation over at most 2 sequences and 8 heads, one product and one quotient, logarithms: far below 32 u
                same = math.isnan(value) if math.isnan(expected) else abs(value - expected) <= 32 * 2.0**-53 * abs(expected)
                if not same:
                    wrong.append((figure, row))
    return wrong


class OnNano(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.result = config(cls.scratch, "nano")
        cls.out = cls.result.parent / "01"
        (cls.scratch / "home").mkdir()
        cls.done = notebook("01", cls.result, env=os.environ | {"HOME": str(cls.scratch / "home")})
        assert cls.done.returncode == 0, cls.done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def test_files_are_there_and_named(self):
        expected = sorted([f"{figure}{ending}" for figure in FIGURES for ending in (".csv", ".png")] + ["01-softmax-lamp.html"])
        self.assertEqual(sorted(p.name for p in self.out.iterdir()), expected)
        self.assertEqual(sorted(pathlib.Path(line).name for line in self.done.stdout.split("\n") if line), expected)
        self.assertEqual(self.done.stderr, "")
        self.assertEqual(list((self.scratch / "home").iterdir()), [])

    def test_pictures_show_something(self):
        from matplotlib import image
        for figure in FIGURES:
            pixels = image.imread(self.out / f"{figure}.png")
            self.assertGreater(pixels.shape[1], 900, figure)
            colours = np.unique((pixels[..., :3] * 255).astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], np.uint32))
            self.assertGreater(len(colours), 100, figure)
            ink = (pixels[..., :3].min(-1) < 0.9).mean()
            self.assertTrue(0.01 < ink < 0.8, (figure, ink))

    def test_page_holds_the_pictures_and_needs_no_network(self):
        page = Page((self.out / "01-softmax-lamp.html").read_text())
        self.assertEqual(page.network, [])
        self.assertEqual(page.scripts, 0)
        self.assertEqual(page.pictures, [(self.out / f"{figure}.png").read_bytes() for figure in FIGURES])

    def test_network_check_sees_references(self):
        text = (self.out / "01-softmax-lamp.html").read_text()
        for planted in ('<script src="https://x.org/a.js"></script>', '<link rel="stylesheet" href="//x.org/a.css">', '<img src="a.png">',
                        "<style>@import 'https://x.org/a.css';</style>", '<p style="background:url(http://x.org/a.png)">'):
            self.assertEqual(len(Page(text.replace("</body>", planted + "</body>")).network), 1, planted)

    def test_page_says_what_the_result_is(self):
        text = (self.out / "01-softmax-lamp.html").read_text()
        with h5py.File(self.result, "r") as f:
            commit = f["provenance/git_commit"].asstr()[()]
            perplexity = math.exp(f["reference/cross_entropy"][0].mean())  # of the first text
        for words in (f"prose: reference {perplexity:.4g}, runs ", "nano", "gpt2-nano", commit, "At μ = 4 on prose, rule lamp with τ = 1.5 recomputes"):
            self.assertIn(words, text)
        self.assertNotIn("Traceback", text)
        self.assertNotIn("Warning", text)

    def test_numbers_are_those_of_the_file(self):
        self.assertEqual(disagreements(self.out, self.result), [])
        points = TEXTS * len(MUS) * len(TAUS)
        lengths = {figure: len(table(self.out / f"{figure}.csv")) for figure in FIGURES}
        self.assertGreaterEqual(lengths[FIGURES[0]], points)
        self.assertEqual(lengths[FIGURES[2]], points * len(RULES))
        self.assertEqual(lengths[FIGURES[4]], points * 2)
        self.assertEqual(lengths[FIGURES[3]], TEXTS * 4 * 2)

    def test_comparison_sees_a_changed_file(self):
        for name, cell in (("kl", (1, 0, 0, 0, 0)), ("flip_rate", (0, 1, 2, 2, 0)), ("recompute_rate", (0, 0, 1, 1, 0, 3, 1))):
            copy = self.scratch / f"changed-{name}.h5"
            shutil.copyfile(self.result, copy)
            with h5py.File(copy, "r+") as f:
                f[f"metrics/{name}"][cell] = f[f"metrics/{name}"][cell] * (1 + 2.0**-40) + 2.0**-60
            self.assertNotEqual(disagreements(self.out, copy), [], name)

    def test_headline_numbers(self):
        from lib import results, tables
        with h5py.File(self.result, "r") as f:
            m, status = f["metrics"], f["metrics/status"][()]
            kl = np.exp(mean_over_sequences(np.log(m["kl"][()]), status))  # a gain is a geometric mean
            rate = 100 * mean_over_sequences(m["recompute_rate"][()].mean((-2, -1)), status)
        rows = tables.headline_table(results.open_result(self.result)).to_dict("records")
        self.assertEqual([(r["text"], r["μ"], r["τ"]) for r in rows], [(t, mu, 1.5) for t in ("prose", "code") for mu in MUS])
        for i, row in enumerate(rows):
            text, mu = divmod(i, len(MUS))
            np.testing.assert_allclose(row["recomputed by lamp (%)"], rate[text, mu, 1, 0], rtol=1e-14)
            for rule in (0, 1):
                np.testing.assert_allclose(row[f"KL divided by, {RULES[rule]}"], kl[text, mu, 0, 2] / kl[text, mu, 1, rule], rtol=1e-14)

    def test_two_sequences_are_two_points_and_no_interval(self):
        with h5py.File(self.result, "r") as f:
            kl = f["metrics/kl"][()]
        for row in table(self.out / f"{FIGURES[0]}.csv"):
            text = ["prose", "code"].index(row["text"].removesuffix(".txt"))
            pair = kl[text, :, MUS.index(float(row["mu"])), TAUS.index(float(row["tau"])), RULES.index(row["rule"])]
            self.assertEqual([number(row[c]) for c in ("sequences", "first of two", "second of two")], [2, *pair])
            self.assertEqual((row["95 % low"], row["95 % high"]), ("", ""))
        self.assertIn("Small points: the two sequences of each text, no interval.", (self.out / "01-softmax-lamp.html").read_text())

    def test_what_is_not_computed_is_a_gap(self):
        copy = self.scratch / "pending/result.h5"
        copy.parent.mkdir()
        shutil.copyfile(self.result, copy)
        with h5py.File(copy, "r+") as f:
            m = f["metrics"]
            for status, cell in ((0, (0, 0, 1, 1, 0)), (2, (0, 1, 0, 2, 1)), (0, (1, 1))):  # one pending, one failed, a whole sequence pending
                m["status"][cell] = status
                for name in ("kl", "flip_rate", "recompute_rate"):
                    m[name][cell] = np.nan
        from lib import results, softmax_lamp
        out = self.scratch / "pending/figures"
        os.environ["LAMP_OUT"] = str(out)
        opened = results.open_result(copy)
        with mock.patch.object(matplotlib.figure.Figure, "savefig"):  # that takes longest, and only the tables are looked at
            for name in ("kl_against_mu", "flips_against_mu", "kl_against_rate", "rate_by_head", "gain_against_rate"):
                getattr(softmax_lamp, name)(opened)
        self.assertEqual({file.stem for file in out.iterdir()}, {*FIGURES})
        self.assertEqual(disagreements(out, copy), [])
        gaps = [(r["text"].removesuffix(".txt"), r["mu"], r["tau"], r["rule"]) for r in table(out / f"{FIGURES[2]}.csv") if r["kl [nat]"] == ""]
        self.assertEqual(gaps, [("prose", "2", "1.1", "random"), ("prose", "4", "1.5", "lamp")])  # none of code: its other sequence is whole
        self.assertIn("37 are pending and 1 failed", opened._repr_html_())
        self.assertIn("At μ = 4 on prose: not finished.", softmax_lamp.headline(opened)._repr_html_())

    def test_files_of_an_earlier_run_go_and_others_stay(self):
        from lib import execute
        made, out = self.scratch / "made", self.scratch / "kept"
        made.mkdir(), out.mkdir()
        (made / "01-1-new.png").write_text("new")
        for name in ("01-1-new.png", "01-9-old.csv", "notes.txt", "01-notes.txt", "02-1-other.png"):
            (out / name).write_text("old")
        with open(os.devnull, "w") as nowhere:
            sys.stdout, before = nowhere, sys.stdout
            execute.move_in(made, out, "01-softmax-lamp")
            sys.stdout = before
        self.assertEqual(sorted(p.name for p in out.iterdir()), ["01-1-new.png", "01-notes.txt", "02-1-other.png", "notes.txt"])
        self.assertEqual((out / "01-1-new.png").read_text(), "new")

    def test_bad_input_is_one_line(self):
        (self.scratch / "words.h5").write_text("not HDF5")
        with h5py.File(self.scratch / "foreign.h5", "w") as f:
            f["x"] = 1
        cut = self.scratch / "cut.h5"
        cut.write_bytes(self.result.read_bytes()[:20000])
        for arguments, code, words in ((["01", self.scratch / "absent.h5"], 66, "no such file"), (["01", self.scratch], 66, "no such file"),
                                       (["01", self.scratch / "words.h5"], 65, "not an HDF5 file"), (["01", cut], 65, "damaged"),
                                       (["01", self.scratch / "foreign.h5"], 65, "not a file of results"), (["77", self.result], 2, "01-softmax-lamp"),
                                       (["01"], 2, "usage"), (["01", self.result, self.scratch / "words.h5/out"], 73, "words.h5")):
            done = notebook(*arguments)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_notebook_is_committed_without_outputs(self):
        cells = json.loads(NOTEBOOK.read_text())["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        self.assertTrue(all(c["outputs"] == [] and c["execution_count"] is None for c in code))
        self.assertTrue(all(len(c["source"]) <= 5 for c in code))


class AnyGrid(unittest.TestCase):
    """Each figure of other experiments: drawn, or replaced by a sentence that says why."""

    DRAWINGS = ("kl_against_mu", "flips_against_mu", "kl_against_rate", "rate_by_head", "gain_against_rate", "headline")

    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def draw(self, result):
        """What each function gives, by its name: the caption of a figure, or the sentence; and the opened result."""
        from lib import results, softmax_lamp
        matplotlib.rcParams["savefig.dpi"] = 50
        os.environ["LAMP_OUT"] = str(result.parent / "figures")
        opened = results.open_result(result)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = [getattr(softmax_lamp, name)(opened) for name in self.DRAWINGS]
        self.assertTrue(opened._repr_html_())
        self.assertTrue(all(m._repr_html_() for m in made))
        kinds = [m.words if type(m).__name__ == "Sentence" else type(m).__name__ for m in made]
        return dict(zip(self.DRAWINGS, kinds)), opened

    def small(self, name, *changes):
        one = [(f'"{ROOT}/data/texts/prose.txt", ', ""), ("sequences = 2", "sequences = 1"),
               ('["lamp", "random", "none", "all"]', '["lamp", "random"]')]
        return config(self.scratch, name, *one, *changes)

    def test_one_value_on_every_axis(self):
        made, _ = self.draw(self.small("single", ("[2, 4, 10]", "[4]"), ("[2.0, 1.5, 1.1]", "[1.1]"), ('["lamp", "random"]', '["random"]')))
        self.assertEqual(made["kl_against_mu"], "Figure")
        self.assertEqual(made["rate_by_head"], "Figure")
        self.assertIn("recomputes nothing", made["gain_against_rate"])

    def test_bands_are_the_librarys(self):
        from lib import results, softmax_lamp
        result = self.small("three", ("sequences = 1", "sequences = 3"), ("[2, 4, 10]", "[4, 10]"), ("[2.0, 1.5, 1.1]", "[2.0, 1.1]"))
        self.draw(result)
        opened = results.open_result(result)
        os.environ["LAMP_OUT"] = str(result.parent / "bands")
        for draw, points in ((softmax_lamp.flips_against_mu, 2 * 2), (softmax_lamp.gain_against_rate, 2 * 2 * 2)):
            found, wrong = not_the_librarys(lambda: draw(opened))
            self.assertEqual((len(found), wrong), (points, []), draw)
        with h5py.File(result, "r") as f:
            kl = f["metrics/kl"][0]  # (sequence, mu, tau, rule)
        gains = np.log(kl[:, :, :1, :1] / kl)
        for name, column, values, change in (
                ("01-3-kl-against-rate", "kl [nat]", kl, float), ("01-5-gain-against-rate", "gain [1]", gains, math.exp)):
            for row in table(result.parent / f"figures/{name}.csv"):
                mu, tau = [4, 10].index(number(row["mu"])), [2.0, 1.1].index(number(row["tau"]))
                at = (slice(None), mu, tau, ["lamp", "random"].index(row["rule"]))
                shown = [number(row[c]) for c in (column, "95 % low", "95 % high")]
                np.testing.assert_allclose(shown, [change(x) for x in t_interval(list(values[at]))], rtol=1e-12)

    def test_bands_of_a_run_that_stopped_are_those_that_ended_it(self):
        from lib import results, softmax_lamp
        asked = ("[lamp.scores]", "[stop]\nmin_sequences = 20\nrelative_error = 0.5\n[lamp.scores]")
        cut = [("sequences = 1", "sequences = 40"), ("[2, 4, 10]", "[4]"), ("[2.0, 1.5, 1.1]", "[2.0]")]
        result = self.small("stopped", asked, *cut)
        made, opened = self.draw(result)
        with h5py.File(result) as f:
            kl, error = f["metrics/kl"][:, :, 0, 0], f["stop/relative_error"][()]  # (text, sequence, rule)
        for row in table(result.parent / "figures/01-3-kl-against-rate.csv"):
            values = kl[0, :, ["lamp", "random"].index(row["rule"])]
            shown = [number(row[c]) for c in ("kl [nat]", "95 % low", "95 % high", "sequences")]
            np.testing.assert_allclose(shown, [*t_interval(list(values)), 20], rtol=1e-10)
        self.assertIn("t interval that ended the run ([stop]), 20 sequences", softmax_lamp.band_words(opened, table_of(opened), metric="kl"))
        words = dict(results.head(opened))["stopped"]
        self.assertEqual(words, f"20 sequences of each text: {error.size} of {error.size} means of kl known to 50 % (95 % t interval), "
                                f"the widest {100 * error.max():.3g} %")
        next((result.parent / "shards").glob("*.h5")).unlink()
        lamp("merge", result.parent, check=False)
        self.assertEqual(dict(results.head(results.open_result(result)))["stopped"], "not yet: cells are missing")
        other = results.open_result(self.small("stopped-90", (asked[0], asked[1].replace("relative", "confidence = 0.9\nrelative")), *cut))
        self.assertIn("bootstrap", softmax_lamp.band_words(other, table_of(other), metric="kl"))

    def test_without_selection(self):
        made, opened = self.draw(self.small("plain", ('[lamp.scores]\nrule = "lamp"\ntau = 1.5\nrecompute = "high"\n', ""),
                                            ('"lamp.scores.tau" = [2.0, 1.5, 1.1]\n"lamp.scores.rule" = ["lamp", "random"]', "")))
        self.assertEqual((made["kl_against_mu"], made["flips_against_mu"]), ("Figure", "Figure"))
        self.assertTrue(all("selects no scores" in made[name] for name in self.DRAWINGS[2:]), made)

    def test_without_mu_and_an_axis_that_no_figure_knows(self):
        made, opened = self.draw(self.small("other", ('"arithmetic.low.mu" = [2, 4, 10]', '"plan.softmax" = ["high", "low"]')))
        self.assertIn("does not vary μ", made["kl_against_mu"])
        self.assertEqual((made["kl_against_rate"], made["rate_by_head"]), ("Figure", "Figure"))
        self.assertIn("plan.softmax", " ".join(opened.notes))

    def test_without_text(self):
        result = self.small("no-text", (f'path = ["{ROOT}/data/texts/code.txt"]', f'path = "{ROOT}/data/texts/code.txt"'))
        made, opened = self.draw(result)
        self.assertNotIn("text", opened.varied)
        self.assertEqual(made["kl_against_mu"], "Figure")
        self.assertNotIn("text", table(result.parent / "figures/01-3-kl-against-rate.csv")[0])

    def test_nan_that_was_computed_is_told_and_no_mean_goes_around_it(self):
        from lib import results, softmax_lamp, tables
        result = config(self.scratch, "with-nan", ("[2, 4, 10]", "[4, 10]"), ("[2.0, 1.5, 1.1]", "[2.0, 1.1]"))
        with h5py.File(result, "r+") as f:
            for name in ("kl", "cross_entropy"):
                f[f"metrics/{name}"][0, 1, 1, 1, 0] = np.nan     # prose, sequence 1, mu = 10, tau = 1.1, rule lamp: done, and NaN
                f[f"metrics/{name}"][0, 0, 0, :, 3] = np.nan     # prose, sequence 0, mu = 4, rule all
                f[f"metrics/{name}"][1, 0, 0, 0, 1] = np.nan     # code, sequence 0, mu = 4, tau = 2, random: not done
            f["metrics/status"][1, 0, 0, 0, 1] = 0
        made, opened = self.draw(result)
        said = " ".join(opened.notes)
        self.assertIn("1 are pending", said)
        self.assertIn("KL is NaN in 3 of 63 finished cells: text prose, sequence 0, mu 4, tau 2.0, rule all; ", said)
        self.assertIn("text prose, sequence 1, mu 10, tau 1.1, rule lamp. ", said)
        self.assertRegex(results.perplexity_words(opened), r"^prose: reference [\d.]+, runs [\d.]+ to [\d.]+, NaN at 3 of 16 grid points; code: [^N]*$")
        rows = {(r["text"], r["mu"], r["tau"], r["rule"]): r for r in table(result.parent / "figures/01-3-kl-against-rate.csv")}
        column = "sequences with KL NaN [1]"
        self.assertEqual({k: r[column] for k, r in rows.items() if r["kl [nat]"] == ""},
                         {("prose", "10", "1.1", "lamp"): "1", ("prose", "4", "2.0", "all"): "1", ("prose", "4", "1.1", "all"): "1", ("code", "4", "2.0", "random"): "0"})
        self.assertEqual({r[column] for r in rows.values() if r["kl [nat]"] != ""}, {"0"})
        self.assertIn("At 3 of 32 points KL is NaN in some sequence", softmax_lamp.kl_against_rate(opened).caption)
        words = tables.headline_words(opened, tables.headline_table(opened).to_dict("records")[1])
        self.assertEqual(words, "At μ = 10 on prose: KL is NaN in 1 of 16 finished cells.")

    def test_nothing_finished_and_a_kl_of_zero(self):
        result = self.small("zero", ("[2, 4, 10]", "[4, 10]"))
        with h5py.File(result, "r+") as f:
            f["metrics/kl"][..., 1, 2, 0] = 0.0
        made, _ = self.draw(result)
        self.assertEqual(set(made.values()), {"Figure", "Headline"} if made["headline"] == "Headline" else {"Figure", made["headline"]})
        rows = table(result.parent / "figures/01-1-kl-against-mu.csv")
        self.assertEqual([r["kl [nat]"] for r in rows if (r["mu"], r["tau"]) == ("10", "1.1")], ["0.0"])
        with h5py.File(result, "r+") as f:
            f["metrics/status"][...] = 0
            for name in ("kl", "flip_rate", "recompute_rate"):
                f[f"metrics/{name}"][...] = np.nan
        made, _ = self.draw(result)
        self.assertTrue(all("no cell of this result is finished" in words for words in made.values()), made)


if __name__ == "__main__":
    unittest.main()
