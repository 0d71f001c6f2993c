"""Notebook 06 on small results: the numbers of its figures computed a second time with h5py, and what it says when there is less."""

import itertools
import json
import math
import pathlib
import shutil
import tempfile
import unittest

import h5py
import matplotlib
import numpy as np
from softmax_lamp_test import ROOT, number, table  # sets the paths
from drawn import shown_by, t_interval
from results import lamp

NOTEBOOK = ROOT / "notebooks/06-everywhere.ipynb"
FIGURES = ["06-1-alone", "06-1-layers", "06-2-gains", "06-3-together", "06-4-additivity", "06-5-guards", "06-6-fallback"]
TABLES = ["06-3-quality", "06-4-allocation", "06-7-ahead", "06-8-weights", "06-9-operands", "06-10-continuations"]
MUS, RATES = [4, 7], [0.0, 0.25]
BASE = f"""schema_version = 1
title = "everywhere: PART"
[model]
path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = 12
sequences = 2
[arithmetic.low]
preset = "lamp-paper"
mu = 7
[arithmetic.short]
format = "binary32"
operands = "bfloat16"
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
"""


def lamp_at(*sites, low="low", rate=0.25):
    plan = "".join(f'{site} = "{low}"\n' for site in sites)
    return plan + "".join(f'[lamp.{site}]\nweights = "relative"\nrecompute = "high"\nrate = {rate}\n' for site in sites)


GRID = f'[grid]\n"arithmetic.low.mu" = {MUS}\n'
RULES = {"scores": ["lamp", "random"], "mlp_fc": ["lamp", "random", "value-aware"]}
RUNS = {  # folder: (part, the rest of the config)
    **{
        f"alone-{s}": ("alone", f'{lamp_at(s)}{GRID}"lamp.{s}.rate" = {RATES}\n"lamp.{s}.rule" = {RULES[s]}\n')
        for s in RULES
    },
    "alone-qkv": ("alone", f'qkv = "low"\n{GRID}'),
    "short": ("alone", f'{lamp_at("scores", low="short")}[grid]\n"arithmetic.short.operands" = ["bfloat16", "e4m3fn"]\n'
                       f'"lamp.scores.rate" = {RATES}\n"lamp.scores.rule" = ["lamp", "random"]\n'),
    **{
        f"all-{rate}": ("together", f'{lamp_at("scores", "mlp_fc", rate=rate)}{GRID}"lamp.mlp_fc.rule" = ["lamp", "value-aware"]\n')
        for rate in RATES
    },
    "all-short": ("together", f'{lamp_at("scores", "mlp_fc", low="short")}[grid]\n"arithmetic.short.operands" = ["bfloat16", "e4m3fn"]\n'
                              '"lamp.mlp_fc.rule" = ["lamp", "value-aware"]\n'),
    "which": ("subsets", f'{lamp_at("scores", "mlp_fc")}[grid]\n"lamp.scores.rule" = ["all", "none"]\n"lamp.mlp_fc.rule" = ["all", "none"]\n'),
    "deep": ("layers", '[grid]\n"plan.layer.0.scores" = ["high", "low"]\n"plan.layer.2.scores" = ["high", "low"]\n'),
    "guarded": ("guards", f'{lamp_at("scores", "mlp_fc")}[grid]\n"lamp.scores.rule" = ["none", "lamp"]\n'
                          '"lamp.mlp_fc.rule" = ["none", "value-aware"]\n'),
    "shared": ("allocated", f'{lamp_at("scores", "mlp_fc", rate=0.25)}rule = "value-aware"\n'),
    "rows": ("fallback", f'{lamp_at("scores")}[grid]\n"lamp.scores.fallback.tolerance" = [1000, 0.004]\n'),
    "before": ("ahead", f'{lamp_at("scores")}[record]\nselected = true\n[grid]\n"lamp.scores.tau" = [1.5, 1.1]\n'
                        '"lamp.scores.rule" = ["none", "lamp", "previous-token", "random"]\n'),
    "weighed": ("weights", f'{lamp_at("mlp_fc")}[grid]\n"lamp.mlp_fc.rate" = [0.25]\n'
                           '"lamp.mlp_fc.weights" = ["absolute", "relative", "dot"]\n'),
    "said": ("text", f'{lamp_at("scores", "mlp_fc")}[continuation]\nprefix = 4\ntokens = 6\n{GRID}'),
}


def metric(folder, name, *shape):
    with h5py.File(folder / "result.h5") as f:
        return f[f"metrics/{name}"][()].reshape(4, *shape)  # sequences of both texts first


def same(field, expected):
    return math.isclose(number(field), expected, rel_tol=1e-9, abs_tol=1e-300)


class Everywhere(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        matplotlib.rcParams["savefig.dpi"] = 40
        cls.folder = cls.scratch / "runs"
        cls.folder.mkdir()
        for name, (part, rest) in RUNS.items():
            (cls.folder / "study.toml").write_text(BASE.replace("PART", part) + rest)
            lamp("run", cls.folder / "study.toml", "--out", cls.folder / name, "--quiet")
        cls.out = cls.scratch / "out"
        cls.shown = shown_by(NOTEBOOK, cls.folder / "rows/result.h5", cls.out)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def test_every_figure_and_table_is_there(self):
        names = sorted(p.name for p in self.out.iterdir())
        self.assertEqual(names, sorted([f"{f}{e}" for f in FIGURES for e in (".png", ".csv")] + [f"{t}.csv" for t in TABLES]))
        self.assertFalse([s for s, v in self.shown.items() if "Not drawn" in v._repr_html_()])
        study = next(iter(self.shown.values()))
        self.assertEqual(sorted(r.part for r in study.runs), sorted(part for part, _ in RUNS.values()))

    def test_what_one_product_costs(self):
        rows = table(self.out / "06-1-alone.csv")
        self.assertEqual({r["site"] for r in rows}, {"scores", "mlp_fc", "qkv"})
        for row in rows:
            site = row["site"]
            kl = metric(self.folder / f"alone-{site}", "kl", *((2,) if site == "qkv" else (2, 2, len(RULES[site]))))
            kl = kl[:, MUS.index(int(float(row["mu"])))]
            mean, low, _ = map(math.exp, t_interval(list(np.log(kl if site == "qkv" else kl[:, 0, 0]))))
            self.assertTrue(same(row["KL [nat]"], mean) and same(row["KL [nat], 95 % low"], low), row)

    def test_gains_by_rule(self):
        rows = table(self.out / "06-2-gains.csv")
        self.assertEqual({(r["site"], r["rule"]) for r in rows}, {(s, r) for s in RULES for r in RULES[s]})
        for row in rows:
            kl = metric(self.folder / f"alone-{row['site']}", "kl", 2, 2, len(RULES[row["site"]]))[:, 1]  # mu = 7
            logs = np.log(kl[:, 0, 0] / kl[:, 1, RULES[row["site"]].index(row["rule"])])
            mean, _, high = t_interval(list(logs))
            self.assertTrue(same(row["gain [1]"], math.exp(mean)) and same(row["gain [1], 95 % high"], math.exp(high)), row)

    def test_all_together(self):
        rows = table(self.out / "06-3-together.csv")
        self.assertEqual(len(rows), 2 * 2 + 2)
        for row in rows:
            name, place = ("all-short", ["bfloat16", "e4m3fn"].index(row["operands"])) if row["low"] == "short" else (
                f"all-{float(row['rate'])}", MUS.index(int(float(row["mu"]))))
            for column, what, factor in (("KL [nat]", "kl", 1), ("cost, all-high plan = 1 [1]", "cost", 1),
                                         ("multiply-accumulates redone [%]", "recomputed_macs", 100)):
                found = metric(self.folder / name, what, 2, 2)[:, place, 1]
                expected = np.exp(np.log(found).mean()) if what == "kl" else factor * found.mean()
                self.assertTrue(same(row[column], expected), (row, column))

    def test_sums_of_effects(self):
        kl = metric(self.folder / "which", "kl", 2, 2)  # scores, mlp_fc: all, none
        rows = {r["sites"]: r for r in table(self.out / "06-4-additivity.csv")}
        both = rows["scores mlp_fc"]
        self.assertTrue(same(both["sum of KL alone [nat]"], (kl[:, 1, 0] + kl[:, 0, 1]).mean()))
        self.assertTrue(same(both["KL / sum [1]"], np.exp(np.log(kl[:, 1, 1] / (kl[:, 1, 0] + kl[:, 0, 1])).mean())))
        each = [metric(self.folder / f"alone-{s}", "kl", 2, 2, len(RULES[s]))[:, 0, 1, r] for s, r in (("scores", 0), ("mlp_fc", 2))]
        every = metric(self.folder / "all-0.25", "kl", 2, 2)[:, 0, 1]
        self.assertTrue(same(rows["mu = 4, rate = 0.25"]["KL / sum [1]"], np.exp(np.log(every / sum(each)).mean())))
        kl = metric(self.folder / "deep", "kl", 2, 2)
        self.assertTrue(same(rows["scores in layers 0 2"]["sum of KL alone [nat]"], (kl[:, 1, 0] + kl[:, 0, 1]).mean()))
        self.assertEqual(len(rows), 1 + 4 + 1)
        by_layer = table(self.out / "06-1-layers.csv")
        self.assertEqual([(r["site"], r["layer"]) for r in by_layer], [("scores", "0"), ("scores", "2")])
        self.assertTrue(same(by_layer[1]["KL [nat]"], np.exp(np.log(kl[:, 0, 1]).mean())))

    def test_shares_by_product(self):
        """Of two rates a product the best within what both at 0.25 redo is both at 0.25, whose KL the run says."""
        (row,) = table(self.out / "06-4-allocation.csv")
        self.assertEqual(row["shares by product"], "scores 25 %, mlp_fc 25 %")
        each = [metric(self.folder / f"alone-{s}", "kl", 2, 2, len(RULES[s]))[:, 1, 1, r].mean() for s, r in (("scores", 0), ("mlp_fc", 2))]
        self.assertTrue(same(row["by product, predicted KL [nat]"], sum(each)))
        self.assertTrue(same(row["by product, KL [nat]"], metric(self.folder / "shared", "kl").mean()))

    def test_best_shares_are_those_of_all_combinations(self):
        from lib.everywhere_tables import best_shares
        random = np.random.default_rng(1)
        for _ in range(50):
            options = {s: [(r, *random.random(2)) for r in range(4)] for s in "abc"}
            most = 0.5 + 2 * random.random()
            every = [p for p in itertools.product(*options.values()) if sum(x[1] for x in p) <= most]
            if every:
                self.assertAlmostEqual(best_shares(options, most)[2], min(sum(x[2] for x in p) for p in every))

    def test_guards(self):
        kl = metric(self.folder / "guarded", "kl", 2, 2)
        rows = {r["site"]: r for r in table(self.out / "06-5-guards.csv")}
        for site, alone, left in (("scores", kl[:, 0, 0] / kl[:, 1, 0], kl[:, 0, 1] / kl[:, 1, 1]),
                                  ("mlp_fc", kl[:, 0, 0] / kl[:, 0, 1], kl[:, 1, 0] / kl[:, 1, 1])):
            self.assertTrue(same(rows[site]["this one guarded alone [gain, 1]"], np.exp(np.log(alone).mean())), site)
            self.assertTrue(same(rows[site]["this one left out [loss, 1]"], np.exp(np.log(left).mean())), site)

    def test_rows_that_fall_back(self):
        with h5py.File(self.folder / "rows/result.h5") as f:
            rows_ = f["metrics/fallback_scores"][()].reshape(4, 2, -1).mean(-1)
        for row in (r for r in table(self.out / "06-6-fallback.csv") if r["what"] == "fallback"):
            expected = rows_[:, [1000.0, 0.004].index(float(row["fallback.tolerance"]))].mean()
            self.assertTrue(same(row["fallback"], expected), row)
        self.assertTrue(0 < rows_[:, 1].mean() < 1)

    def test_recall_and_gain_of_sets_chosen_ahead(self):
        with h5py.File(self.folder / "before/result.h5") as f:
            sets = np.unpackbits(f["selected/scores"][()], axis=-1).astype(bool)
            sets = sets.reshape(4, 2, 4, -1)
        kl = metric(self.folder / "before", "kl", 2, 4)
        rules = ["none", "lamp", "previous-token", "random"]
        rows = table(self.out / "06-7-ahead.csv")
        self.assertEqual(len(rows), 8)
        for row in rows:
            t, r = [1.5, 1.1].index(float(row["tau"])), rules.index(row["rule"])
            recall = np.mean([100 * (s[t, r] & s[t, 1]).sum() / s[t, 1].sum() for s in sets])
            self.assertTrue(same(row["recall of LAMP's set [%]"], recall), row)
            self.assertTrue(same(row["gain [1]"], np.exp(np.log(kl[:, t, 0] / kl[:, t, r]).mean())), row)
        self.assertTrue(any(0 < float(r["recall of LAMP's set [%]"]) < 100 for r in rows))

    def test_less_than_all(self):
        only = self.scratch / "less/only"
        only.mkdir(parents=True)
        copy = pathlib.Path(shutil.copy(self.folder / "alone-scores/result.h5", only / "result.h5"))
        with h5py.File(copy, "r+") as f:
            f["metrics/status"][0, 1, 1, 1, 0] = 0
            f["metrics/kl"][0, 1, 1, 1, 0] = np.nan
        shown = shown_by(NOTEBOOK, copy, self.scratch / "less/out")
        drawn = {s for s, v in shown.items() if type(v).__name__ in ("Figure", "Table")}
        self.assertEqual(drawn, {"figures.alone(study)", "figures.gains(study)"})
        for source, value in shown.items():
            if source not in drawn | {"study"}:
                self.assertIn("Not drawn: ", value.words, source)
        rows = {(r["rule"], r["rate"]): r for r in table(self.scratch / "less/out/06-2-gains.csv")}
        self.assertEqual(rows["lamp", "0.25"]["gain [1]"], "")  # no mean over the sequences that happen to be there
        self.assertNotEqual(rows["random", "0.25"]["gain [1]"], "")

    def test_notebook_is_committed_without_outputs(self):
        cells = json.loads(NOTEBOOK.read_text())["cells"]
        self.assertTrue(all(c.get("outputs", []) == [] and c.get("execution_count") is None for c in cells))


if __name__ == "__main__":
    unittest.main()
