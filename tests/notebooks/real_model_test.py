"""Notebook 04 on small results in folders of any name: the numbers of its figures 1 to 4 computed a second time with h5py, and what it says
when there is less."""

import json
import math
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import h5py
import matplotlib
import numpy as np
from softmax_lamp_test import ROOT, number, table  # sets the paths
from drawn import shown_by, t_interval
from lib import real_model
from results import lamp

NOTEBOOK = ROOT / "notebooks/04-real-model.ipynb"
FIGURES = [
    "04-1-gain-against-share",
    "04-1-gain-by-mu",
    "04-3-law",
    "04-3-by-head",
    "04-3-sums",
    "04-4-metrics",
    "04-5-shares-by-layer",
    "04-6-same-share",
    "04-7-masks",
    "04-8-plans",
]
TABLES = ["04-2-claim", "04-3-law-by-mu", "04-8-continuations"]
MUS, TAUS, RULES = [4, 10], [2.0, 1.5, 1.1], ["lamp", "random"]
BASE = f"""schema_version = 1
title = "real model, a small one"
[model]
path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = 12
sequences = 2
[arithmetic.low]
preset = "lamp-paper"
mu = 7
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
"""
LAMP = """scores = "low"
[record]
concentration = true
[lamp.scores]
recompute = "high"
"""
GRIDS = {
    "apple": f'{LAMP}tau = 1.5\n[grid]\n"arithmetic.low.mu" = {MUS}\n"lamp.scores.tau" = {TAUS}\n"lamp.scores.rule" = {RULES}\n',
    "pear": (
        f'{LAMP}rate = 0.1\n[grid]\n"arithmetic.low.mu" = [10]\n"lamp.scores.rate" = [0.0, 0.034, 0.343]\n'
        '"lamp.scores.rule" = ["lamp", "largest-logit"]\n"lamp.scores.weights" = ["absolute", "relative"]\n'
    ),
    "plum": (
        f'{LAMP}tau = 1.5\n[grid]\n"arithmetic.low.mu" = [10]\n"lamp.scores.tau" = [2.0, 1.5]\n"lamp.scores.mask" = ["exclude",'
        ' "as-zero"]\n'
    ),
    "quince": f'{LAMP}tau = 1.5\n[grid]\n"arithmetic.low.mu" = [10]\n"lamp.scores.tau" = [2.0, 1.5]\n',
    "fig": '[continuation]\nprefix = 4\ntokens = 6\n[grid]\n"plan.default" = ["high", "low"]\n',
}


def run(scratch, name, grid, *changes):
    text = BASE + GRIDS[grid]
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (scratch / f"{name}.toml").write_text(text)
    lamp("run", scratch / f"{name}.toml", "--out", scratch / name, "--quiet")
    return scratch / name / "result.h5"


def same(field, expected):
    return math.isclose(number(field), expected, rel_tol=1e-10, abs_tol=1e-300)


def interval(values, change=math.exp):
    return [change(x) for x in t_interval(list(values))]


def disagreements(folder, result):
    """Rows of the tables of figures 1, 3 and 4 whose numbers are not those of the file, computed here."""
    wrong = []
    with h5py.File(result) as f:
        m = {
            name: f[f"metrics/{name}"][()].reshape(4, len(MUS), len(TAUS), len(RULES), *f[f"metrics/{name}"].shape[5:])
            for name in ("kl", "cross_entropy", "recompute_rate", "softmax_square", "softmax_square_low")
        }
        reference = f["reference/cross_entropy"][()].ravel()
    kl = m["kl"]
    gain = np.log(kl[:, :, 0:1, 0:1] / kl)  # tau = 2 recomputes nothing
    low = np.log(m["softmax_square"].sum((-2, -1)) / m["softmax_square_low"].sum((-2, -1)))

    def at(row):
        return MUS.index(int(row["mu"])), TAUS.index(float(row["at"])), RULES.index(row["rule"])

    rows = table(folder / "04-1-gain-by-mu.csv")
    for row in rows:
        expected = interval(gain[:, *at(row)])
        wrong += [] if all(same(row[c], e) for c, e in zip(("gain [1]", "95 % low", "95 % high"), expected)) else [("gain", row, expected)]
        share = 100 * m["recompute_rate"].mean((-2, -1))[:, *at(row)].mean()
        wrong += [] if same(row["recomputed [%]"], share) else [("share", row, share)]
    wrong += [] if len(rows) == len(MUS) * (len(TAUS) - 1) * len(RULES) else [("rows", len(rows))]
    rows = [row for row in table(folder / "04-3-law.csv") if row["kind"] == "tau"]
    for row in rows:
        wrong += [] if same(row["sum z^2 / sum z^2 left low [1]"], math.exp(low[:, *at(row)].mean())) else [("law", row)]
        expected = interval((gain - low)[:, *at(row)])
        names = ("gain / (sum z^2 / sum z^2 left low) [1]", "explained, 95 % low", "explained, 95 % high")
        wrong += [] if all(same(row[c], e) for c, e in zip(names, expected)) else [("quotient", row, expected)]
    wrong += [] if len(rows) == len(MUS) * (len(TAUS) - 1) * len(RULES) else [("rows", len(rows))]
    for row in table(folder / "04-4-metrics.csv"):
        change = m["cross_entropy"][:, *at(row)] - reference
        expected = interval(change, lambda x: 100 * math.expm1(x))
        names = [f"perplexity change [%]{end}" for end in ("", ", 95 % low", ", 95 % high")]
        wrong += [] if all(same(row[c], e) for c, e in zip(names, expected)) else [("perplexity", row, expected)]
    return wrong


class RealModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        matplotlib.rcParams["savefig.dpi"] = 40
        (cls.scratch / "fruit").mkdir()
        keep = ("concentration = true", 'activations = ["softmax", "scores"]\nselected = true\nwhere = {"lamp.scores.tau" = [2.0]}')
        cls.results = {name: run(cls.scratch / "fruit", name, name, *([keep] if name == "quince" else [])) for name in GRIDS}
        run(
            cls.scratch / "fruit",
            "stone",
            "apple",
            ("real model, a small one", "another study"),
            ("sequence_length = 12", "sequence_length = 10"),
        )
        cls.out = cls.scratch / "out"
        with h5py.File(cls.results["apple"]) as f:
            content = f["provenance/model_sha256"].asstr()[()]
        with mock.patch.object(real_model, "SMOLLM2_SHA256", (content,)):
            cls.shown = shown_by(NOTEBOOK, cls.results["apple"], cls.out)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def alone(self, name, change=lambda f: None, of="apple"):
        """A copy of a result with nothing beside it."""
        folder = self.scratch / name / "only"
        folder.mkdir(parents=True)
        copy = pathlib.Path(shutil.copy(self.results[of], folder / "result.h5"))
        with h5py.File(copy, "r+") as f:
            change(f)
        return copy

    def test_figures_and_tables_are_there(self):
        names = sorted(p.name for p in self.out.iterdir())
        self.assertEqual(names, sorted([f"{f}{e}" for f in FIGURES for e in (".png", ".csv")] + [f"{t}.csv" for t in TABLES]))

    def test_results_are_told_by_their_configs(self):
        study = next(iter(self.shown.values()))
        self.assertEqual(
            [(r.path.parent.name, r.kind, r.T) for r in study.runs],
            [("apple", "tau", 12), ("pear", "share", 12), ("plum", "masks", 12), ("quince", "kept", 12), ("fig", "plans", 12)],
        )

    def test_every_figure_and_table_says_what_the_weights_are(self):
        for source, value in self.shown.items():
            if source not in ("study",):
                self.assertIn("4-bit quantised", value._repr_html_(), source)

    def test_numbers_are_those_of_the_file(self):
        self.assertEqual(disagreements(self.out, self.results["apple"]), [])

    def test_comparison_sees_a_changed_file(self):
        for name, dataset, cell in (
            ("kl", "metrics/kl", (1, 1, 1, 1, 0)),
            ("square", "metrics/softmax_square_low", (1, 1, 1, 1, 0)),
            ("entropy", "reference/cross_entropy", (1, 1)),
        ):

            def change(f):
                f[dataset][cell] *= 1.5

            self.assertNotEqual(disagreements(self.out, self.alone(name, change)), [], name)

    def test_claim_is_interpolated_sequence_by_sequence(self):
        with h5py.File(self.results["apple"]) as f:
            kl, rate = (
                f[f"metrics/{n}"][()][..., 0] if n == "kl" else f[f"metrics/{n}"][()].mean((-2, -1))[..., 0]
                for n in ("kl", "recompute_rate")
            )
        kl, rate = kl.reshape(4, len(MUS), 3), 100 * rate.reshape(4, len(MUS), 3)
        rows = [r for r in table(self.out / "04-2-claim.csv") if r["kind"] == "tau"]
        self.assertEqual([(r["mu"], r["share [%]"]) for r in rows], [(str(mu), s) for mu in MUS for s in ("3.4", "15.0", "34.3")])
        for row in rows:
            logs = []
            for s in range(4):
                x, y = rate[s, MUS.index(int(row["mu"]))], np.log(kl[s, MUS.index(int(row["mu"])), 0] / kl[s, MUS.index(int(row["mu"]))])
                k = max(i for i in range(2) if x[i] <= float(row["share [%]"]))  # shares rise as tau falls
                logs.append(y[k] + (y[k + 1] - y[k]) * (float(row["share [%]"]) - x[k]) / (x[k + 1] - x[k]))
            self.assertTrue(
                all(same(row[c], e) for c, e in zip(("gain [1]", "95 % low", "95 % high"), interval(logs))), (row, interval(logs))
            )

    def test_shares_beyond_the_grid_are_not_guessed(self):
        cells = self.shown["study"].of("tau")
        cells = cells[(cells["rule"] == "lamp") & (cells["mu"] == 10)]
        self.assertIsNone(real_model.gain_at(cells, cells[real_model.SHARE].max() + 1))

    def test_continuations_are_marked_where_they_part(self):
        rows = table(self.out / "04-8-continuations.csv")
        with h5py.File(self.results["fig"]) as f:
            first = {"high": 0, "low": 1}
            for row in rows:
                if row["plan"] != "reference":
                    position = f["metrics/divergence_position"][["prose", "code"].index(row["text"]), 0, first[row["plan"]]]
                    self.assertEqual(number(row["first differing [tokens]"]) if row["first differing [tokens]"] else 6, position)
        self.assertEqual([r["plan"] for r in rows], 2 * ["reference", "high", "low"])

    def test_sums_are_those_of_the_kept_arrays(self):
        with h5py.File(self.results["quince"]) as f:
            z, y = (f[f"activations/{site}/run"][()].reshape(4, 2, -1, 12, 12)[:, 0] for site in ("softmax", "scores"))
            marks = f["selected/scores"][()].reshape(4, 2, -1, 12, 2)[:, 1]
        logs = {name: [] for name in ("Σz²", "Σ(zy)²", "Σ(z(1−z))²", "Σ(z(1−z)y)²")}
        for s in range(4):
            all_, low = np.zeros(4), np.zeros(4)
            for part in range(z.shape[1]):
                for i in range(12):
                    for j in range(i + 1):
                        a, b = z[s, part, i, j], y[s, part, i, j]
                        each = np.array([a * a, (a * b) ** 2, (a - a * a) ** 2, (a * b - a * a * b) ** 2])
                        all_ += each
                        low += each * (not marks[s, part, i, j // 8] >> j % 8 & 1)
            for name, ratio in zip(logs, all_ / low):
                logs[name].append(math.log(ratio))
        (row,) = table(self.out / "04-3-sums.csv")
        for name, values in logs.items():
            self.assertTrue(math.isclose(number(row[f"{name} / left low [1]"]), math.exp(np.mean(values)), rel_tol=1e-9), (row, values))

    def test_incomplete_folder(self):
        def pending(f):
            f["metrics/status"][1, 1] = 0
            f["metrics/status"][0, 0, 1, 1, 1] = 0
            f["metrics/kl"][0, 0, 1, 1, 1] = np.nan
            f["metrics/status"][0, 0, 1, 2, 0] = 0
            for name in ("softmax_square", "softmax_square_low"):
                del f[f"metrics/{name}"]

        result = self.alone("pending", pending)
        shown = shown_by(NOTEBOOK, result, self.scratch / "pending/out")
        kinds = {source: getattr(value, "words", type(value).__name__) for source, value in shown.items()}
        self.assertEqual(
            {k for k, v in kinds.items() if v in ("Figure", "Table")},
            {f"figures.{n}(study)" for n in ("gain_against_share", "gain_by_mu", "metrics_against_mu", "shares_by_layer")}
            | {"tables.claim(study)"},
        )
        for source, words in (
            ("law.law(study)", "record.concentration"),
            ("law.by_head(study)", "record.concentration"),
            ("kept.sums(study)", "record.selected"),
            ("figures.masks(study)", "masked entries"),
            ("figures.same_share(study)", "the same share in every row"),
            ("backends.plans(study)", "none of these results"),
            ("backends.continuations(study)", "none of these results"),
        ):
            self.assertTrue(kinds[source].startswith("Not drawn: ") and words in kinds[source], kinds[source])
        self.assertIn("14 are pending", shown["study"]._repr_html_())
        with h5py.File(result) as f:
            kl = f["metrics/kl"][()].reshape(4, len(MUS), len(TAUS), len(RULES))[:3]
        rows = {(r["mu"], r["at"], r["rule"]): r for r in table(self.scratch / "pending/out/04-1-gain-by-mu.csv")}
        self.assertEqual(rows["10", "1.5", "random"]["gain [1]"], "")  # no mean over the sequences that happen to be there
        told = {(r["mu"], r["at"]): r["KL [nat]"] for r in table(self.scratch / "pending/out/04-4-metrics.csv")}
        self.assertEqual((told["10", "1.1"], told["10", "1.5"] == ""), ("", False))
        self.assertTrue(same(rows["10", "1.5", "lamp"]["gain [1]"], math.exp(np.log(kl[:, 1, 0, 0] / kl[:, 1, 1, 0]).mean())))

    def test_nothing_finished_and_only_plans(self):
        shown = shown_by(NOTEBOOK, 
            self.alone("nothing", lambda f: f["metrics/status"].write_direct(np.zeros(f["metrics/status"].shape, np.uint8))),
            self.scratch / "nothing/out",
        )
        self.assertEqual({type(v).__name__ for s, v in shown.items() if s != "study"}, {"Sentence"})
        shown = shown_by(NOTEBOOK, self.alone("plans", of="fig"), self.scratch / "plans/out")
        self.assertEqual(
            {s for s, v in shown.items() if type(v).__name__ != "Sentence"},
            {"study", "backends.plans(study)", "backends.continuations(study)"},
        )

    def test_of_two_alike_the_one_asked_for_is_shown(self):
        folder = self.scratch / "two"
        for name in ("first", "second"):
            (folder / name).mkdir(parents=True)
            shutil.copy(self.results["apple"], folder / name / "result.h5")
        study = real_model.open_study(folder / "second/result.h5")
        self.assertEqual([run.path.parent.name for run in study.runs], ["second"])
        self.assertIn("first is left out", study.notes[0])

    def test_findings_are_printed(self):
        from lib import real_model_findings

        with mock.patch("builtins.print") as printed:
            self.assertEqual(real_model_findings.main([str(self.scratch / "fruit")]), 0)
        words = "\n".join(str(call.args[0]) for call in printed.call_args_list)
        for part in (
            "Gain in KL, one τ for all rows",
            "KL, flips and perplexity",
            "paper's shares",
            "Masked entries",
            "engine plans",
            "everything but random",
            "Which sum",
            "the same bits in 8 of 8",
        ):
            self.assertIn(part, words)

    def test_notebook_is_committed_without_outputs(self):
        cells = json.loads(NOTEBOOK.read_text())["cells"]
        self.assertTrue(all(c.get("outputs", []) == [] and c.get("execution_count") is None for c in cells))


if __name__ == "__main__":
    unittest.main()
