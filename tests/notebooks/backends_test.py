"""Notebook 03 on a small result: every number of its tables computed a second time with h5py, and what it says when there is less."""
import math
import os
import pathlib
import shutil
import tempfile
import unittest
import warnings

import h5py
import matplotlib
import numpy as np
from softmax_lamp_test import ROOT, notebook, number, table  # sets the paths
from drawn import not_the_librarys, t_interval
from results import lamp

BACKENDS = ["sequential", "split-2", "h100", "coarse", "also-sequential"]
FIGURES = ["03-1-backends", "03-2-survival", "03-3-pairs", "03-4-orders"]
STEPS = 10
CONFIG = f"""schema_version = 1
title = "some backends"
[model]
path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = 24
sequences = 3
[continuation]
prefix = 8
tokens = {STEPS}
[arithmetic.single]
format = "binary32"
[arithmetic.sequential]
format = "binary32"
[arithmetic.also-sequential]
format = "binary32"
[arithmetic.split-2]
format = "binary32"
order = "split:2"
[arithmetic.h100]
engine = "h100"
operands = "bfloat16"
[arithmetic.coarse]
format = "ps3"
[plan]
default = "single"
softmax = "single"
[grid]
"plan.default" = [{", ".join(f'"{b}"' for b in BACKENDS)}]
"""


def run(scratch, name, *changes):
    text = CONFIG
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (scratch / f"{name}.toml").write_text(text)
    lamp("run", scratch / f"{name}.toml", "--out", scratch / name, "--quiet")
    return scratch / name / "result.h5"


def near(value, expected):
    return math.isclose(value, expected, rel_tol=1e-12, abs_tol=0.0) or (math.isnan(value) and math.isnan(expected))


def disagreements(folder, result):
    """Rows of the CSV files that are not those of the file, computed here sequence by sequence."""
    wrong = []
    with h5py.File(result) as f:
        kl, flips, first = (f[f"metrics/{n}"][()].reshape(-1, len(BACKENDS)) for n in ("kl", "flip_rate", "divergence_position"))
        runs = f["continuations/run"][()].reshape(-1, len(BACKENDS), STEPS)
        reference = f["continuations/reference"][()].reshape(-1, STEPS)
        positions = f["metrics/kl_position"][()].reshape(-1, len(BACKENDS), 24)
    count = len(kl)
    for row in table(folder / "03-1-backends.csv"):
        k = BACKENDS.index(row["backend"])
        expected = {"KL [nat]": math.fsum(kl[:, k]) / count, "flip rate [%]": 100 * math.fsum(flips[:, k]) / count,
                    "continuations that diverge [%]": 100 * sum((runs[s, k] != reference[s]).any() for s in range(count)) / count}
        ordered = sorted(first[:, k])
        median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        expected["median first diverging position [tokens]"] = median if median < STEPS else math.nan
        wrong += [(row["backend"], c) for c, e in expected.items() if not near(number(row[c]), e)]
        for c in ("KL [nat]", "flip rate [%]"):
            values = {"KL [nat]": kl, "flip rate [%]": 100 * flips}[c][:, k]
            ends = [number(row[c + end]) for end in (", 95 % low", ", 95 % high")]
            if not np.allclose(ends, np.clip(t_interval(list(values))[1:], *((-np.inf, np.inf) if c == "KL [nat]" else (0, 100))), rtol=1e-12, atol=1e-12 * values.max()) or row[c + ", sequences"] != "6":
                wrong.append((row["backend"], c + " interval"))
    for row in table(folder / "03-2-survival.csv"):
        k, n = BACKENDS.index(row["backend"]), int(row["generated [tokens]"])
        expected = 100 * sum((runs[s, k, :n] == reference[s, :n]).all() for s in range(count)) / count
        wrong += [] if near(number(row["still equal [%]"]), expected) else [("survival", row)]
    of = {name: runs[:, k] for k, name in enumerate(BACKENDS)} | {"reference (binary64)": reference}
    for row in table(folder / "03-3-pairs.csv"):
        expected = 100 * sum((of[row["one"]][s] != of[row["other"]][s]).any() for s in range(count)) / count
        wrong += [] if near(number(row["continuations that differ [%]"]), expected) else [("pairs", row)]
    rows = table(folder / "03-4-orders.csv")
    wrong += [] if [(r["backend"], r["against"]) for r in rows] == [("split-2", "sequential"), ("also-sequential", "sequential")] else [rows]
    for row in rows:
        one, two = BACKENDS.index(row["against"]), BACKENDS.index(row["backend"])
        expected = 100 * sum(a != b for s in range(count) for a, b in zip(positions[s, one], positions[s, two])) / positions[:, 0].size
        parted = [next(n for n in range(STEPS) if runs[s, one, n] != runs[s, two, n]) for s in range(count) if (runs[s, one] != runs[s, two]).any()]
        wrong += [] if near(number(row["positions with another distribution [%]"]), expected) else [("orders", row, expected)]
        wrong += [] if near(number(row["continuations that differ [%]"]), 100 * len(parted) / count) else [("orders", row)]
        wrong += [] if near(number(row["median first differing position [tokens]"]), np.median(parted) if parted else math.nan) else [row]
    return wrong


class Backends(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.result = run(cls.scratch, "some")
        cls.done = notebook("03", cls.result)
        assert cls.done.returncode == 0, cls.done.stderr
        cls.out = cls.result.parent / "03"

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def draw(self, result):
        """What each function gives, by its name: "Figure", or the sentence; and the opened result."""
        from lib import backends
        matplotlib.rcParams["savefig.dpi"] = 50
        os.environ["LAMP_OUT"] = str(result.parent / "figures")
        opened = backends.open_backends(result)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = {name: getattr(backends, name)(opened) for name in ("backends", "survival", "pairs", "orders", "headline")}
        self.assertTrue(opened._repr_html_())
        return {name: m.words if type(m).__name__ == "Sentence" else type(m).__name__ for name, m in made.items()}, opened

    def changed(self, name, change):
        (self.scratch / name).mkdir()
        copy = shutil.copy(self.result, self.scratch / name / "result.h5")
        with h5py.File(copy, "r+") as f:
            change(f)
        return copy

    def test_files_and_page(self):
        names = sorted(p.name for p in self.out.iterdir())
        self.assertEqual(names, sorted([f"{f}{e}" for f in FIGURES for e in (".png", ".csv")] + ["03-backends.html"]))
        page = (self.out / "03-backends.html").read_text()
        for words in ("some backends", "5 backend", "gpt2-nano", "The same KL in every bit, on every sequence: sequential, also-sequential.",
                      "bfloat16: KL "):
            self.assertIn(words, page)
        self.assertNotIn("Traceback", page)
        self.assertNotIn("Warning", page)

    def test_numbers_are_those_of_the_file(self):
        self.assertEqual(disagreements(self.out, self.result), [])
        rows = {row["backend"]: row for row in table(self.out / "03-1-backends.csv")}
        self.assertEqual([rows[b]["operands"] for b in BACKENDS], ["binary32", "binary32", "bfloat16", "ps3", "binary32"])
        self.assertGreater(number(rows["coarse"]["continuations that diverge [%]"]), 0)
        self.assertEqual(len(table(self.out / "03-2-survival.csv")), len(BACKENDS) * (STEPS + 1))

    def test_bars_are_the_librarys(self):
        from lib import backends
        os.environ["LAMP_OUT"] = str(self.scratch / "bars")
        made = []
        found, wrong = not_the_librarys(lambda: made.append(backends.backends(backends.open_backends(self.result))), cuts=(0, 100))
        self.assertEqual((len(found), wrong), (3 * len(BACKENDS), []))
        self.assertTrue(made[0].caption.endswith("Bar: 95 % t interval, 6 sequences of all texts."), made[0].caption)

    def test_pairs_that_are_told_apart(self):
        from lib import backends
        with h5py.File(self.result) as f:
            kl = f["metrics/kl"][()].reshape(-1, len(BACKENDS))
        one, two = BACKENDS.index("sequential"), BACKENDS.index("split-2")
        ratio = [math.exp(x) for x in t_interval([math.log(b / a) for a, b in zip(kl[:, one], kl[:, two])])]
        apart = not ratio[1] <= 1 <= ratio[2]  # both pairs with split-2, or none; the third pair is the same in every bit
        words = backends.headline(backends.open_backends(self.result)).words
        self.assertIn(f"(3 backends); of 3 pairs {2 * apart} have a ratio", words[0])
        if apart:
            self.assertIn(f"the furthest {ratio[0]:.3g} ({ratio[1]:.3g} to {ratio[2]:.3g}), split-2 over sequential.", words[0])
        apart = self.changed("apart", lambda f: f["metrics/kl"].__setitem__((..., two), f["metrics/kl"][..., one] * 3))
        words = backends.headline(backends.open_backends(apart)).words
        self.assertIn("of 3 pairs 2 have a ratio of KL with a 95 % interval that leaves out 1, the furthest 3 (3 to 3), split-2", words[0])

    def test_comparison_sees_a_changed_file(self):
        def other_tokens(f):
            f["continuations/run"][0, 1, 0, 4] += 1
        self.assertNotEqual(disagreements(self.out, self.changed("other", other_tokens)), [])

    def test_unfinished_sequences_are_left_out(self):
        def one_pending(f):
            f["metrics/status"][1, 2, 0] = 0
            for name in ("kl", "flip_rate", "divergence_position"):
                f[f"metrics/{name}"][1, 2, 0] = np.nan
        made, opened = self.draw(self.changed("pending", one_pending))
        self.assertEqual(set(made.values()), {"Figure", "Headline"})
        self.assertIn("1 are pending", " ".join(opened.notes))
        with h5py.File(self.result) as f:
            expected = f["metrics/kl"][()].reshape(-1, len(BACKENDS))[:5].mean(0)
        shown = [number(row["KL [nat]"]) for row in table(self.scratch / "pending/figures/03-1-backends.csv")]
        self.assertTrue(all(near(s, e) for s, e in zip(shown, expected)), (shown, expected))

    def test_nan_that_was_computed_is_told_and_no_mean_goes_around_it(self):
        from lib import backends

        def some_nan(f):
            for k in (2, 3):  # h100 and coarse, of the sequence (1, 0), from step 4 on
                f["metrics/kl"][1, 0, k] = f["metrics/kl_position"][1, 0, k] = np.nan
                f["continuations/run"][1, 0, k, :4] = f["continuations/reference"][1, 0, :4]
                f["continuations/run"][1, 0, k, 4:] = -1
                f["metrics/divergence_position"][1, 0, k] = 4
            f["metrics/kl"][0, 1, 4] = f["metrics/kl_position"][0, 1, 4] = np.nan  # also-sequential
        made, opened = self.draw(self.changed("nan", some_nan))
        self.assertEqual(set(made.values()), {"Figure", "Headline"})
        self.assertIn("KL is NaN in 3 of 30 finished cells: text prose, sequence 1, backend also-sequential; text code, sequence 0, backend h100; ",
                      " ".join(opened.notes))
        rows = {r["backend"]: r for r in table(self.scratch / "nan/figures/03-1-backends.csv")}
        with h5py.File(self.result) as f:
            expected = f["metrics/kl"][()].reshape(-1, len(BACKENDS)).mean(0)
        for k, name in enumerate(BACKENDS):  # of all six sequences, or none
            nan = name in ("h100", "coarse", "also-sequential")
            self.assertTrue(near(number(rows[name]["KL [nat]"]), math.nan if nan else expected[k]), name)
            self.assertEqual((rows[name]["sequences with KL NaN [1]"], rows[name]["KL [nat], 95 % low"] == ""), ("1" if nan else "0", nan))
        words = " ".join(backends.headline(opened).words)
        self.assertIn("ps3: KL NaN in 1 of 1, flips", words)
        self.assertIn("nat (and NaN in 1 of 3), flips", words)
        self.assertNotIn("The same KL in every bit", words)  # sequential and also-sequential were, and cannot be told
        pairs = {(r["one"], r["other"]): number(r["continuations that differ [%]"]) for r in table(self.scratch / "nan/figures/03-3-pairs.csv")}
        with h5py.File(self.scratch / "nan/result.h5") as f:
            run = f["continuations/run"][()].reshape(-1, len(BACKENDS), STEPS)
        differ = 100 * np.mean([(run[s, 2] != run[s, 3]).any() or (run[s, 2] == -1).any() for s in range(6)])  # no token is like no other
        self.assertTrue(near(pairs["h100", "coarse"], differ), pairs)

        def as_schema_1_had_them(f):
            some_nan(f)
            f.attrs["schema_version"] = 1
            for name in ("run", "reference"):
                ids = f[f"continuations/{name}"]
                scales = [scale[0].name for scale in ids.dims]
                floats = np.where(ids[()] < 0, np.nan, ids[()])
                del f[f"continuations/{name}"]
                for axis, scale in zip(f.create_dataset(f"continuations/{name}", data=floats).dims, scales):
                    axis.attach_scale(f[scale])
        self.draw(self.changed("schema 1", as_schema_1_had_them))
        for figure in ("03-2-survival", "03-3-pairs", "03-4-orders"):
            self.assertEqual(table(self.scratch / f"schema 1/figures/{figure}.csv"), table(self.scratch / f"nan/figures/{figure}.csv"))
        changed = {r["backend"]: r["positions with another distribution [%]"] for r in table(self.scratch / "nan/figures/03-4-orders.csv")}
        self.assertEqual((changed["also-sequential"], changed["split-2"] == ""), ("", False))

    def test_nothing_finished(self):
        made, _ = self.draw(self.changed("nothing", lambda f: f["metrics/status"].write_direct(np.zeros((2, 3, len(BACKENDS)), np.uint8))))
        self.assertTrue(all("no cell" in words for words in made.values()), made)

    def test_without_continuations_or_axis_and_with_others(self):
        plain = run(self.scratch, "plain", (f"[continuation]\nprefix = 8\ntokens = {STEPS}\n", ""), ("sequences = 3", "sequences = 1"),
                    (f', "{ROOT}/data/texts/code.txt"', ""), ("[grid]\n", '[grid]\n"plan.softmax" = ["single", "coarse"]\n'))
        made, opened = self.draw(plain)
        self.assertEqual((made["backends"], made["headline"]), ("Figure", "Headline"))
        self.assertTrue("no greedy continuations" in made["survival"] and "no greedy continuations" in made["pairs"])
        self.assertIn("plan.softmax", " ".join(opened.notes))
        self.assertEqual(made["orders"], "Figure")
        one = run(self.scratch, "one", ("sequences = 3", "sequences = 1"), (CONFIG[CONFIG.index("[grid]"):], ""))
        made, opened = self.draw(one)
        self.assertEqual((opened.names(), made["pairs"]), (["single"], "Figure"))
        self.assertIn("no two backends", made["orders"])

    def test_notebook_is_committed_without_outputs(self):
        import json
        cells = json.loads((ROOT / "notebooks/03-backends.ipynb").read_text())["cells"]
        self.assertTrue(all(c.get("outputs", []) == [] and c.get("execution_count") is None for c in cells))


if __name__ == "__main__":
    unittest.main()
