"""Notebook 02 on a small result: its numbers computed a second time with h5py, row by row, and what it says when there is less."""

import json
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

FIGURES = [
    "02-1-rank-scatter",
    "02-2-ranks-by-rule",
    "02-3-pooled-recall",
    "02-4-budget-curves",
    "02-5-attention-maps",
    "02-6-optimality-gaps",
    "02-7-additivity",
    "02-8-grains",
    "02-9-bound-check",
    "02-10-worst-rows",
    "02-11-failures",
    "02-12-controls",
    "02-13-layers",
    "02-14-forward-selection",
    "02-15-noise-floor",
]
DRAWINGS = {
    "truth_ranks": ("rank_scatter", "ranks_by_rule", "pooled_recall", "budget_curves"),
    "truth_examples": ("attention_maps", "worst_rows"),
    "truth_parts": ("optimality_gaps", "additivity", "grains", "bound_check"),
    "truth_layers": ("layers",),
    "truth_forward": ("forward_selection", "noise_floor"),
    "truth_failures": ("failures", "controls"),
    "truth_findings": ("findings",),
}
RULES, MUS, T, LAYERS, HEADS = ["lamp", "lamp-normwise1", "window", "z-error", "one-low"], [2, 7], 8, 4, 2
SHARES, STEPS = [0.01, 0.1, 0.3, 1.0], 4
CONFIG = f"""schema_version = 1
title = "some truth"
[model]
path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = {T}
sequences = 2
[arithmetic.low]
preset = "lamp-paper"
mu = 7
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
tau = 1.5
recompute = "high"
[truth]
rules = {json.dumps(RULES)}
budgets = {SHARES}
subset_limit = 7
forward = {STEPS}
[grid]
"arithmetic.low.mu" = {MUS}
"""
ALL = [(s, m) for s in range(4) for m in range(len(MUS))]
ROWS = [(layer, h, i) for layer in range(LAYERS) for h in range(HEADS) for i in range(T)]


def run(scratch, name, *changes):
    text = CONFIG
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (scratch / f"{name}.toml").write_text(text)
    lamp("run", scratch / f"{name}.toml", "--out", scratch / name, "--quiet")
    return scratch / name / "result.h5"


def read(f, name):
    """(sequence, mu, ..), the sequences of both texts one after the other."""
    values = f[name][()]
    return values.reshape(-1, *values.shape[2:])


def first(values, count):
    """Indices of the largest, the lower index first."""
    return set(sorted(range(len(values)), key=lambda j: (-values[j], j))[:count])


def average_rank(values, v):
    ordered = sorted(values)
    return (2 * ordered.index(v) + ordered.count(v) + 1) / 2


def correlation(x, y):
    x, y = [average_rank(x, v) for v in x], [average_rank(y, v) for v in y]
    mean = (len(x) + 1) / 2
    scale = math.sqrt(math.fsum((a - mean) ** 2 for a in x) * math.fsum((b - mean) ** 2 for b in y))
    return math.fsum((a - mean) * (b - mean) for a, b in zip(x, y)) / scale if scale else math.nan


def error(kl, e):
    return math.sqrt(2 * kl) * e + e * e / 2


class Recomputed:
    """What the tables should say, from the file alone."""

    def __init__(self, path):
        with h5py.File(path) as f:
            self.kl, self.error, self.all_low, self.half = (
                read(f, f"truth/{n}") for n in ("one_low_kl", "score_error", "all_low_kl", "half_variance_of_sum")
            )
            self.high = read(f, "truth/one_high_kl")
            self.forward = {"forward selection": read(f, "truth/forward/kl"), "one-high, ranked once": read(f, "truth/forward/single_kl")}
            self.best = read(f, "truth/local/best_error_rel")
            self.heads, self.sites = read(f, "truth/coarse/one_low_kl"), read(f, "truth/coarse/one_low_kl_site")
            self.low_layers, self.high_layers, self.all_low_layers, self.risk, self.high_sites = (
                read(f, f"truth/coarse/{n}")
                for n in ("one_low_layer_kl", "one_high_layer_kl", "all_low_layers_kl", "risk", "one_high_kl_site")
            )
            self.site = [s.decode() for s in f["truth/coarse/site"][()]].index("scores")
            self.set, self.size, self.rel = (
                read(f, "selection/lamp_set"),
                read(f, "selection/lamp/size"),
                read(f, "selection/lamp/local_rel"),
            )
            self.rule = {
                r: {
                    n: read(f, f"selection/{r}/{n}")
                    for n in ("priority", "recall", "spearman", "curve_error", "row_curve_error", "local_rel")
                }
                for r in RULES
            }
            self.violations = {r: read(f, f"selection/{r}/violations") for r in RULES[:2]}

    def row_mean(self, values, s, m):
        kept = [values[s, m][row] for row in ROWS if not math.isnan(values[s, m][row])]
        return math.fsum(kept) / len(kept)

    def chance(self, s, m):
        kept = [self.size[s, m][row] / (row[2] + 1) for row in ROWS if not math.isnan(self.rule["lamp"]["recall"][s, m][row])]
        return math.fsum(kept) / len(kept)

    def pooled(self, rule, share, s, m):
        kl, priority = ([v for row in ROWS for v in values[s, m][row][: row[2] + 1]] for values in (self.kl, self.rule[rule]["priority"]))
        count = math.ceil(share * len(kl))
        return len(first(kl, count) & first(priority, count)) / count

    def gaps(self, m):
        """(LAMP's size, least size as good) of every row that has a choice and all its sets."""
        found = []
        for s in range(4):
            for row in ROWS:
                n, size = row[2] + 1, self.size[s, m][row]
                if n <= 7 and 0 < size < n:
                    found.append((int(size), next(k for k in range(n + 1) if self.best[s, m][row][k] <= self.rel[s, m][row])))
        return found

    def rows(self, s, m):
        """Of every row with a choice: sum of KL that LAMP's set misses, that of the true set, whether the sets differ."""
        for row in ROWS:
            n, size = row[2] + 1, self.size[s, m][row]
            if 0 < size < n:
                kl = self.kl[s, m][row][:n]
                true, chosen = first(kl, int(size)), {j for j in range(n) if self.set[s, m][row][j] == 1}
                yield row, math.fsum(kl[j] for j in true) - math.fsum(kl[j] for j in chosen), math.fsum(kl[j] for j in true), true != chosen

    def said_of_layers(self, predictor, s, m):
        kl, sites, heads = self.kl[s, m], self.sites[s, m], self.heads[s, m]
        return {
            "risk score": list(self.risk[s, m]),
            "sites, summed": [math.fsum(x) for x in sites],
            "heads' scores, summed": [math.fsum(x) for x in heads],
            "scores, summed": [math.fsum(v for row in ROWS if row[0] == l for v in kl[row][: row[2] + 1]) for l in range(LAYERS)],
            "gains of sites, summed": [math.fsum(self.all_low_layers[s, m] - v for v in x) for x in self.high_sites[s, m]],
            "layer alone low": list(self.low_layers[s, m]),
        }[predictor]

    def biased(self, s, m):
        flags = []
        for row in ROWS:
            e = [float(v) for v in self.error[s, m][row][: row[2] + 1]]
            if len(e) > 2:
                mean = math.fsum(e) / len(e)
                flags.append(abs(mean) > math.sqrt(math.fsum((v - mean) ** 2 for v in e) / (len(e) - 1)))
        return sum(flags) / len(flags)


def disagreements(folder, path):
    """What in the CSV files that are there is not what the file says."""
    r, wrong = Recomputed(path), []

    def rows_of(name):
        return table(folder / f"{name}.csv") if (folder / f"{name}.csv").exists() else []

    def same(what, shown, expected):
        if not (math.isclose(shown, expected, rel_tol=1e-9, abs_tol=1e-13) or (math.isnan(shown) and math.isnan(expected))):
            wrong.append((what, shown, expected))

    def interval(what, row, column, values, ends=("95 % low", "95 % high"), change=float):
        mean, low, high = t_interval(values)
        same(what, number(row[column]), change(mean))
        for end, expected in zip(ends, (low, high)):
            near = 1e-9 * (high - mean) + 1e-13
            if not change(expected - near) <= number(row[end]) <= change(expected + near):
                wrong.append((what, end, row[end], change(expected)))

    setting = {f"μ = {mu}": m for m, mu in enumerate(MUS)}
    for row in rows_of("02-2-ranks-by-rule"):
        m, rule = setting[row["setting"]], row["rule"]
        for measure, name in (("spearman", "Spearman, one-low"), ("recall", "recall")):
            interval(
                (2, rule, name),
                row,
                f"{name} [1]",
                [r.row_mean(r.rule[rule][measure], s, m) for s in range(4)],
                (f"{name}, 95 % low", f"{name}, 95 % high"),
            )
        same((2, rule, "chance"), number(row["chance [1]"]), math.fsum(r.chance(s, m) for s in range(4)) / 4)
    for row in rows_of("02-3-pooled-recall"):
        m, count = setting[row["setting"]], LAYERS * HEADS * T * (T + 1) // 2
        share = next(x for x in SHARES if math.isclose(100 * math.ceil(x * count) / count, number(row["budget [%]"])))
        same((3, row["rule"], share), number(row["recall [1]"]), math.fsum(r.pooled(row["rule"], share, s, m) for s in range(4)) / 4)
    for row in rows_of("02-4-budget-curves"):
        m, asked = setting[row["setting"]], number(row["asked"])
        if row["rule"] == "none":
            values = r.all_low[:, m]
        elif row["budget"] == "pooled":
            values = r.rule[row["rule"]]["curve_error"][:, m, SHARES.index(asked)]
        else:
            values = r.rule[row["rule"]]["row_curve_error"][:, m, [1, 2, 4, 8].index(asked)]
            share = 100 * sum(min(i + 1, asked) for i in range(T)) / (T * (T + 1) / 2)
            same((4, "share"), number(row["realised share [%]"]), share)
        interval((4, row["rule"], asked), row, "KL [nat]", [math.log(v) for v in values], ("KL, 95 % low", "KL, 95 % high"), math.exp)
    counted = {}
    for row in rows_of("02-6-optimality-gaps"):
        if row["rows"] and row["rule"] == "":
            pair = int(number(row["size of LAMP's set"])), int(number(row["least size that is as good"]))
            counted[setting[row["setting"]], *pair] = int(number(row["rows"]))
    expected = [(m, *pair) for m in range(len(MUS)) for pair in r.gaps(m)]
    wrong += [] if not counted or counted == {key: expected.count(key) for key in expected} else [(6, counted)]
    for row in rows_of("02-7-additivity"):
        m = setting[row["setting"]]
        total = [math.fsum(v for at in ROWS for v in r.kl[s, m][at][: at[2] + 1]) for s in range(4)]
        values = {
            "sum of one-low KL": total,
            "half the variance of the summed logit changes": r.half[:, m],
            "KL, all low": r.all_low[:, m],
            "interaction: second / first": r.half[:, m] / total,
            "nonlinearity: third / second": r.all_low[:, m] / r.half[:, m],
        }[row["quantity"]]
        interval((7, row["quantity"]), row, "geometric mean", [math.log(v) for v in values], change=math.exp)
    for row in rows_of("02-8-grains"):
        m, rule = setting[row["setting"]], row["score"]
        values = r.kl if rule.startswith("one-low") else r.rule[rule]["priority"]
        rho = []
        for s in range(4):
            said = [
                math.fsum(v for i in range(T) for v in values[s, m, layer, h, i][: i + 1]) for layer in range(LAYERS) for h in range(HEADS)
            ]
            true = list(r.heads[s, m].ravel())
            if row["grain"] != "heads":
                said = [math.fsum(said[HEADS * layer : HEADS * (layer + 1)]) for layer in range(LAYERS)]
                true = [
                    r.sites[s, m, layer, r.site] if "low" in row["grain"] else math.fsum(r.sites[s, m, layer]) for layer in range(LAYERS)
                ]
            rho.append(correlation(said, true))
        if rule == "lamp":  # sums of probabilities
            wrong += [] if row["Spearman [1]"] == "" and row["sequences"] == "0" else [row]
        else:
            same((8, rule, row["grain"]), number(row["Spearman [1]"]), math.fsum(rho) / 4)
    for row in rows_of("02-13-layers"):
        m = setting[row["setting"]]
        if row["predictor"]:
            alone_low = row["truth"] == "this layer alone low"
            true = r.low_layers[:, m] if alone_low else r.all_low_layers[:, m, None] - r.high_layers[:, m]
            rho = [correlation(r.said_of_layers(row["predictor"], s, m), list(true[s])) for s in range(4)]
            same((13, row["truth"], row["predictor"]), number(row["Spearman [1]"]), math.fsum(rho) / 4)
        else:
            layer = int(row["layer"].removesuffix(".0"))
            for name, values in (
                ("this layer alone low [nat]", r.low_layers[:, m, layer]),
                ("this layer alone exact [nat]", r.high_layers[:, m, layer]),
                ("risk score [1]", r.risk[:, m, layer]),
            ):
                interval((13, name, layer), row, name, [math.log(v) for v in values], (f"{name}, 95 % low", f"{name}, 95 % high"), math.exp)
    for row in rows_of("02-14-forward-selection"):
        m, ranking, count = setting[row["setting"]], row["rule"], int(number(row["scores recomputed [1]"]))
        if ranking in r.forward:
            values = r.forward[ranking][:, m, count - 1]
        else:  # 3 of 288 scores
            same((14, ranking), count, 3)
            values = r.rule[ranking]["curve_error"][:, m, 0]
        left, over_none = "KL over that with none", [math.log(v / none) for v, none in zip(values, r.all_low[:, m])]
        interval((14, ranking, count), row, f"{left} [1]", over_none, (f"{left}, 95 % low", f"{left}, 95 % high"), math.exp)
    noise = rows_of("02-15-noise-floor")
    e = max((number(row["e [1]"]) for row in noise if row["e [1]"]), default=math.nan)
    for row in noise:
        if row["setting"]:
            m, below = setting[row["setting"]], []
            for s in range(4):
                low = r.all_low[s, m]
                for at in ROWS:
                    for j in range(at[2] + 1) if at[2] > 0 else ():
                        kl, high = r.kl[s, m][at][j], r.high[s, m][at][j]
                        gain_lost = abs(low - high) < error(low, e) + error(high, e)
                        below.append(kl < error(kl, e) if row["quantity"] == "one-low KL" else gain_lost)
            same((15, row["quantity"]), number(row["below the floor [%]"]), 100 * sum(below) / len(below))
        else:
            kl, exact = number(row["KL, binary64 [nat]"]), number(row["KL, 204 bits [nat]"])
            same((15, "error"), number(row["error [nat]"]) / (abs(kl - exact) or 1), 1 if kl != exact else 0)
            same((15, "floor"), number(row["floor [nat]"]) / error(exact, number(row["e [1]"])), 1)
    bound = rows_of("02-9-bound-check")
    for rule, values in r.violations.items():
        shown = [(int(row["rows"]), int(row["violations"])) for row in bound if row["rule"] == rule]
        same((9, rule, "rows"), sum(n for n, _ in shown), len(ALL) * len(ROWS))
        same((9, rule, "violations"), sum(n for _, n in shown), np.nansum(values))
    quantities = {(row["setting"], row["quantity"]): row for row in rows_of("02-11-failures")}
    worst = [max((loss, (s, *row)) for s in range(4) for row, loss, _, _ in r.rows(s, m)) for m in range(len(MUS))]
    shown = rows_of("02-10-worst-rows")[0]
    place = (["prose", "code"].index(shown["text"]) * 2 + int(shown["sequence"]), *(int(shown[n]) for n in ("layer", "head", "query")))
    wrong += [] if place == worst[1][1] else [(10, place, worst)]
    for name, m in setting.items():
        rows = [list(r.rows(s, m)) for s in range(4)]
        interval(
            (11, "missed"),
            quantities[name, "one-low KL that LAMP's sets miss, of the true sets'"],
            "mean",
            [100 * math.fsum(x[1] for x in part) / math.fsum(x[2] for x in part) for part in rows],
            ends=(),
        )
        interval(
            (11, "differ"),
            quantities[name, "rows whose sets differ, of those with a choice"],
            "mean",
            [100 * sum(x[3] for x in part) / len(part) for part in rows],
            ends=(),
        )
        interval(
            (11, "bias"),
            quantities[name, "rows that are biased: |mean error| above its spread"],
            "mean",
            [100 * r.biased(s, m) for s in range(4)],
            ends=(),
        )
        for which in ("rows, ", "missed KL, "):  # classes are all there is
            same(
                (11, which),
                math.fsum(number(row["mean"]) for (n, q), row in quantities.items() if n == name and q.startswith(which)),
                100.0,
            )
    return wrong


class GroundTruth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.result = run(cls.scratch, "some")
        cls.done = notebook("02", cls.result)
        assert cls.done.returncode == 0, cls.done.stderr
        cls.out = cls.result.parent / "02"

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def draw(self, result, *wanted):
        """What each function (of `wanted`) gives, by its name: "Figure", or the sentence; and the opened result."""
        import importlib
        from lib import ground_truth

        matplotlib.rcParams["savefig.dpi"] = 30
        os.environ["LAMP_OUT"] = str(result.parent / "figures")
        opened = ground_truth.open_truth(result)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = {
                name: getattr(importlib.import_module(f"lib.{module}"), name)(opened)
                for module, names in DRAWINGS.items()
                for name in names
                if not wanted or name in wanted
            }
        self.assertTrue(opened._repr_html_())
        self.assertTrue(all(m._repr_html_() for m in made.values()))
        return {name: m.words if type(m).__name__ == "Sentence" else type(m).__name__ for name, m in made.items()}, opened

    def changed(self, name, change):
        (self.scratch / name).mkdir()
        copy = shutil.copy(self.result, self.scratch / name / "result.h5")
        with h5py.File(copy, "r+") as f:
            change(f)
        return copy

    def test_files_and_page(self):
        names = sorted(p.name for p in self.out.iterdir())
        self.assertEqual(
            names, sorted([f"{f}{e}" for f in FIGURES for e in (".png", ".csv")] + ["02-findings.csv", "02-ground-truth.html"])
        )
        page = (self.out / "02-ground-truth.html").read_text()
        for words in ("some truth", "gpt2-nano", "μ = 2; μ = 7", "rank correlation with one-low KL within rows", "Bound: of"):
            self.assertIn(words.lower(), page.lower())
        for words in ("Traceback", "Warning", "Not drawn"):
            self.assertNotIn(words, page)

    def test_numbers_are_those_of_the_file(self):
        self.assertEqual(disagreements(self.out, self.result), [])
        lengths = {f: len(table(self.out / f"{f}.csv")) for f in FIGURES}
        self.assertTrue(all(lengths.values()), lengths)
        self.assertEqual(lengths["02-2-ranks-by-rule"], len(RULES) * len(MUS))
        self.assertEqual(lengths["02-3-pooled-recall"], len(RULES) * len(MUS) * len(SHARES))
        self.assertEqual(lengths["02-4-budget-curves"], len(MUS) * (1 + len(RULES) * (len(SHARES) + 4)))
        self.assertEqual(lengths["02-14-forward-selection"], len(MUS) * (2 * STEPS + len(RULES)))
        shares = [row for row in table(self.out / "02-15-noise-floor.csv") if row["setting"]]
        self.assertEqual(len(shares), len(MUS) * 2)
        self.assertEqual(lengths["02-8-grains"], len(MUS) * 3 * 4)  # one-low, lamp, lamp-normwise1, z-error
        self.assertEqual(lengths["02-13-layers"], len(MUS) * (4 + 6 + LAYERS))  # what predicts either truth; layers

    def test_findings_are_the_figures_numbers(self):
        found = {(r["setting"], r["quantity"]): r["mean"] for r in table(self.out / "02-findings.csv")}
        for row in table(self.out / "02-2-ranks-by-rule.csv"):
            if row["rule"] in ("lamp", "z-error"):
                self.assertEqual(found[row["setting"], f"Spearman with one-low, {row['rule']}"], row["Spearman, one-low [1]"])
        for file, column in (("02-7-additivity", "geometric mean"), ("02-11-failures", "mean")):
            for row in table(self.out / f"{file}.csv"):
                self.assertEqual(found[row["setting"], row["quantity"]], row[column])
        rows, columns, r = table(self.out / "02-findings.csv"), ("mean", "95 % low", "95 % high"), Recomputed(self.result)
        paired = {(row["setting"], row["quantity"]): [number(row[c]) for c in columns] for row in rows}
        for m, mu in enumerate(MUS):
            means = [[r.row_mean(r.rule[rule]["recall"], s, m) for rule in ("z-error", "lamp")] for s in range(4)]
            difference = t_interval([a - b for a, b in means])
            np.testing.assert_allclose(paired[f"μ = {mu}", "recall at LAMP's size, z-error less lamp"], difference, rtol=1e-9, atol=1e-13)
            spent = [[r.rule[rule]["row_curve_error"][s, m, 2] for rule in ("one-low", "lamp")] for s in range(4)]
            ratio = [math.exp(x) for x in t_interval([math.log(a / b) for a, b in spent])]
            np.testing.assert_allclose(paired[f"μ = {mu}", "KL with 4 scores a row by one-low / KL by lamp"], ratio, rtol=1e-9)
        words = (self.out / "02-ground-truth.html").read_text()
        self.assertIn(f"lamp {float(found['μ = 7', 'Spearman with one-low, lamp']):.3g} (", words)

    def test_comparison_sees_a_changed_file(self):
        def one_kl(f):
            f["truth/one_low_kl"][1, 0, 1, 2, 0, 5, 3] *= 1.5

        def one_recall(f):
            f["selection/z-error/recall"][0, 1, 0, 2, 1, 6] += 1e-6

        def one_error(f):
            f["truth/local/best_error_rel"][0, 0, 0, 2, 1, 6] = 0

        def one_layer(f):
            f["truth/coarse/one_high_layer_kl"][1, 0, 1, 2] *= 1.001

        def one_step(f):
            f["truth/forward/kl"][0, 1, 1, STEPS - 1] *= 1.001

        for name, change in (("kl", one_kl), ("recall", one_recall), ("best", one_error), ("layer", one_layer), ("step", one_step)):
            self.assertNotEqual(disagreements(self.out, self.changed(f"changed-{name}", change)), [], name)

    def test_bars_and_bands_are_the_librarys(self):
        from lib import ground_truth, truth_failures, truth_forward, truth_layers, truth_parts, truth_ranks

        os.environ["LAMP_OUT"] = str(self.scratch / "bars")
        matplotlib.rcParams["savefig.dpi"] = 30
        opened, rules, settings = ground_truth.open_truth(self.result), len(RULES), len(MUS)
        curves = rules - 1  # lamp-normwise1 has none
        for draw, count, cuts in (
            (truth_ranks.ranks_by_rule, settings * rules * 4, ()),
            (truth_ranks.pooled_recall, settings * (curves - 1) * len(SHARES), ()),
            (truth_ranks.budget_curves, settings * curves * (len(SHARES) - 1 + 4), ()),
            (truth_forward.forward_selection, settings * 2 * STEPS, ()),
            (truth_parts.optimality_gaps, settings * rules, ()),
            (truth_parts.additivity, settings * 5, ()),
            (truth_parts.grains, settings * 3 * (rules - 2), (-1, 1)),
            (truth_layers.layers, settings * (4 + 6 + 3 * LAYERS) + LAYERS, (-1, 1)),
            (truth_failures.failures, settings * 2, (0, 100)),
            (truth_failures.controls, settings * 5, (0, 100)),
        ):
            with self.subTest(draw.__name__):
                found, wrong = not_the_librarys(lambda: draw(opened), cuts)
                self.assertEqual((len(found), wrong), (count, []))

    def test_rows_without_errors_and_rows_recomputed_whole(self):
        def change(f):
            agreement = f["selection/lamp/jaccard"][0, 0, 1]
            worst = np.unravel_index(np.nanargmin(agreement), agreement.shape)
            f["truth/score_error"][(0, 0, 1, *worst)] *= 0  # no score of a row is wrong whose sets differ
            f["selection/lamp_set"][0, 1, 1, 2, 0, 6, :7] = 1
            for rule in RULES:
                f[f"selection/{rule}/size"][0, 1, 1, 2, 0, 6] = 7

        copy = self.changed("edges", change)
        self.draw(copy, "bound_check", "worst_rows", "failures")
        self.assertEqual(disagreements(copy.parent / "figures", copy), [])
        found = {(r["setting"], r["quantity"]): r["mean"] for r in table(copy.parent / "figures/02-11-failures.csv")}
        self.assertGreater(number(found["μ = 7", "rows, an error of 0 chosen"]), 0)
        self.assertEqual(number(found["μ = 2", "rows, an error of 0 chosen"]), 0)

    def test_unfinished_sequences_are_left_out(self):
        def one_pending(f):
            f["metrics/status"][1, 1, 0] = 0
            f["truth/one_low_kl"][1, 1, 0] = np.nan

        made, opened = self.draw(self.changed("pending", one_pending), "additivity", "findings")
        self.assertEqual(made, {"additivity": "Figure", "findings": "Findings"})
        self.assertIn("1 of 4 sequences", " ".join(opened.notes))
        self.assertEqual({r["sequences"] for r in table(self.scratch / "pending/figures/02-7-additivity.csv")}, {"3"})
        self.assertEqual(opened.sequences, [("prose", 0), ("prose", 1), ("code", 0)])

    def test_two_sequences_are_two_points(self):
        from lib import ground_truth, truth_findings, truth_parts

        copy = self.changed("two", lambda f: f["metrics/status"].write_direct(np.array([[[1, 1], [1, 1]], [[0, 0], [0, 0]]], np.uint8)))
        os.environ["LAMP_OUT"] = str(copy.parent)
        opened = ground_truth.open_truth(copy)
        self.assertTrue(truth_parts.additivity(opened).caption.endswith("Small points: the two sequences, no interval."))
        with h5py.File(copy) as f:
            kl = f["truth/all_low_kl"][0]
        for row in table(copy.parent / "02-7-additivity.csv"):
            self.assertEqual((row["95 % low"], row["95 % high"]), ("", ""))
            if row["quantity"] == "KL, all low":
                pair = [number(row["first of two"]), number(row["second of two"])]
                np.testing.assert_allclose(pair, kl[:, MUS.index(int(row["setting"].removeprefix("μ = ")))], rtol=1e-14)
        self.assertRegex(truth_findings.findings(opened).words[0], r"lamp 0\.\d+ \(0\.\d+ and 0\.\d+\)")

    def test_nothing_finished_and_no_truth(self):
        made, _ = self.draw(self.changed("nothing", lambda f: f["metrics/status"].write_direct(np.zeros((2, 2, len(MUS)), np.uint8))))
        self.assertTrue(all("no sequence" in words for words in made.values()), made)
        made, _ = self.draw(run(self.scratch, "none", (CONFIG[CONFIG.index("[truth]") : CONFIG.index("[grid]")], "")))
        self.assertTrue(all("no ground truth" in words for words in made.values()), made)

    def test_layers_without_a_risk_score_and_without_layers(self):
        def without(*names):
            def change(f):
                for name in names:
                    del f[f"truth/coarse/{name}"]

            return change

        made, _ = self.draw(self.changed("no-risk", without("risk")), "layers")
        self.assertEqual(made, {"layers": "Figure"})
        rows = table(self.scratch / "no-risk/figures/02-13-layers.csv")
        self.assertEqual(len(rows), len(MUS) * (3 + 5 + LAYERS))
        made, _ = self.draw(self.changed("no-layers", without("one_low_layer_kl")), "layers")
        self.assertIn("no /truth/coarse/one_low_layer_kl", made["layers"])

    def test_a_part_of_the_truth(self):
        some = run(
            self.scratch,
            "part",
            ("[truth]", '[truth]\nlayers = [1]\nlocal = false\ncoarse = false\nend_to_end = ["one-low"]'),
            ("sequences = 2", "sequences = 1"),
            (f"forward = {STEPS}", ""),
            (f', "{ROOT}/data/texts/code.txt"', ""),
            (f'"arithmetic.low.mu" = {MUS}', '"plan.scores" = ["low", "high"]'),
        )
        sentences = ("optimality_gaps", "grains", "layers", "additivity", "attention_maps", "failures", "forward_selection")
        figures = ("rank_scatter", "pooled_recall", "budget_curves", "worst_rows", "controls", "noise_floor")
        made, opened = self.draw(some, *sentences, *figures)
        self.assertEqual(opened.settings, ["low", "high"])
        for name, words in (
            ("optimality_gaps", "no /truth/local"),
            ("grains", "no /truth/coarse"),
            ("layers", "no /truth/coarse"),
            ("additivity", "part of the scores"),
            ("attention_maps", "no whole head"),
            ("failures", "no /truth/local"),
            ("forward_selection", "no /truth/forward"),
        ):
            self.assertIn(words, made[name])
        for name in figures:
            self.assertEqual(made[name], "Figure", name)  # with nothing low, KL and errors of one setting are 0

    def test_no_measured_errors(self):
        from lib import ground_truth, truth_forward

        made = truth_forward.noise_floor(ground_truth.open_truth(self.result), self.scratch / "noise-floor.csv")
        self.assertIn("noise-floor.csv of study 02 is not there", made.words)

    def test_noise_floor_is_where_the_error_is_the_value(self):
        from lib import ground_truth

        kl, e = ground_truth.NOISE_FLOOR, 2.0**-47.5
        self.assertAlmostEqual((math.sqrt(2 * kl) * e + e * e / 2) / kl, 1.0, places=12)

    def test_notebook_is_committed_without_outputs(self):
        cells = json.loads((ROOT / "notebooks/02-ground-truth.ipynb").read_text())["cells"]
        self.assertTrue(all(c.get("outputs", []) == [] and c.get("execution_count") is None for c in cells))


if __name__ == "__main__":
    unittest.main()
