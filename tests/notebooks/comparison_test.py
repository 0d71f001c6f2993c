"""Figures 6 to 11 of notebook 01 on small results: every number of their tables computed a second time with h5py, cell by cell."""
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
from results import lamp

TEXTS, MUS, TAUS = ["prose", "code"], [4, 8, 12], [2.0, 1.1]


def run(scratch, name, *settings):
    """tests/experiments/nano.toml made smaller, with another grid."""
    text = (ROOT / "tests/experiments/nano.toml").read_text().replace('"../../', f'"{ROOT}/')
    text = text.replace("sequence_length = 48", "sequence_length = 12")
    head = text[:text.index("[grid]")]
    (scratch / f"{name}.toml").write_text(head + "[grid]\n" + "\n".join(settings) + "\n")
    lamp("run", scratch / f"{name}.toml", "--out", scratch / name, "--quiet")
    return scratch / name / "result.h5"


def close(value, expected):
    # sums of at most some thousand positive terms in two orders
    return math.isclose(value, expected, rel_tol=1e-12) or (math.isnan(value) and math.isnan(expected))


def rms_and_median(group, kind, where):
    """Over the cells `where` (indices of all axes but bin): rms in u, rms, median in u by walking through the bins."""
    count, u, rel = (group[f"{kind}_{name}"][()][where].astype(float).ravel() for name in ("count", "rms_u", "rms_rel"))
    total = math.fsum(count)
    rms = [math.sqrt(math.fsum(n * x * x for n, x in zip(count, part)) / total) for part in (u, rel)]
    bins = group[f"{kind}_bins"][()][where].reshape(-1, group["bin"].shape[0]).sum(0)
    below, median = 0, math.nan
    for edge, inside in zip(group["bin"][()], bins):
        if below + inside >= bins.sum() / 2:
            median = edge * 2.0 ** ((bins.sum() / 2 - below) / inside)
            break
        below += inside
    return *rms, median, bins / bins.sum()


def disagreements(folder, result):
    """Rows of figures 6 to 8 that are not those of the file."""
    wrong = []
    with h5py.File(result, "r") as f:
        for site in ("resid_2", "scores"):
            for row in table(folder / f"01-6-error-growth-{site}.csv"):
                where = np.s_[:, :, MUS.index(float(row["mu"])), TAUS.index(float(row["tau"])), int(row["layer"])]
                rms, rel, median, _ = rms_and_median(f["errors"][site], "forward", where)
                expected = {"rms relative error [u]": rms, "median relative error [u]": median, "u [1]": rel / rms}
                wrong += [(site, row, c) for c, e in expected.items() if not close(number(row[c]), e)]
        for row in table(folder / "01-7-forward-and-local.csv"):
            where = np.s_[:, :, MUS.index(float(row["mu"])), TAUS.index(float(row["tau"]))]
            rms, rel, median, _ = rms_and_median(f["errors"][row["site"]], row["error"], where)
            expected = {"rms relative error [1]": rel, "median relative error [1]": median * (rel / rms)}
            wrong += [("7", row, c) for c, e in expected.items() if not close(number(row[c]), e)]
        for row in table(folder / "01-8-error-bins.csv"):
            group = f["errors"][row["site"]]
            shares = rms_and_median(group, row["error"], np.s_[:, :, MUS.index(float(row["mu"])), TAUS.index(float(row["tau"]))])[3]
            share = 100 * shares[list(group["bin"][()]).index(float(row["lower edge [u]"]))]
            wrong += [("8", row)] if not close(number(row["components [%]"]), share) else []
    return wrong


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        errors = '[record]\nerrors = ["resid_2", "scores", "softmax"]'
        cls.result = run(cls.scratch, "errors", f'"arithmetic.low.mu" = {MUS}', f'"lamp.scores.tau" = {TAUS}', errors)
        cls.plain = run(cls.scratch, "plain", f'"arithmetic.low.mu" = {MUS}', '"lamp.scores.tau" = [2.0, 1.5, 1.1]')
        cls.weights = run(cls.scratch, "weights", '"arithmetic.low.mu" = [4, 8]', '"lamp.scores.tau" = [2.0, 1.1]',
                          '"lamp.scores.rule" = ["lamp", "random"]', '"lamp.scores.weights" = ["absolute", "relative"]')
        cls.solvers = run(cls.scratch, "solvers", '"arithmetic.low.mu" = [4, 8]', '"lamp.scores.tau" = [2.0, 1.1]',
                          '"lamp.scores.solver" = ["greedy", "exact"]', '"lamp.scores.mask" = ["exclude", "as-zero"]')
        cls.out = cls.scratch / "out"
        cls.done = notebook("01", cls.result, cls.out, "--with", cls.plain)
        assert cls.done.returncode == 0, cls.done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def draw(self, name, result, *others):
        from lib import comparison, results
        matplotlib.rcParams["savefig.dpi"] = 50
        os.environ["LAMP_OUT"] = str(result.parent / "figures")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = getattr(comparison, name)(*map(results.open_result, (result, *others)))
        self.assertEqual(type(made).__name__, "Figure", getattr(made, "words", ""))
        return table(made.png.with_suffix(".csv"))

    def test_errors_are_those_of_the_file(self):
        self.assertEqual(disagreements(self.out, self.result), [])
        self.assertEqual(len(table(self.out / "01-6-error-growth-scores.csv")), len(MUS) * len(TAUS) * 4)
        self.assertEqual([r["site"] for r in table(self.out / "01-7-forward-and-local.csv")][::4], ["scores", "softmax", "resid_2"])
        for site in ("scores", "softmax", "resid_2"):
            for kind in ("forward", "local"):
                rows = [r for r in table(self.out / "01-8-error-bins.csv") if (r["site"], r["error"]) == (site, kind)]
                self.assertAlmostEqual(math.fsum(number(r["components [%]"]) for r in rows), 100, places=9)

    def test_comparison_sees_a_changed_file(self):
        for name, cell in (("resid_2/forward_rms_u", (0, 1, 2, 1, 3)), ("scores/local_bins", (1, 0, 1, 0, 2, 1, 66)),
                           ("scores/forward_count", (1, 1, 0, 1, 0, 0))):
            copy = self.scratch / "changed.h5"
            shutil.copyfile(self.result, copy)
            with h5py.File(copy, "r+") as f:
                f[f"errors/{name}"][cell] = f[f"errors/{name}"][cell] * 2 + 1
            self.assertNotEqual(disagreements(self.out, copy), [], name)

    def test_components_that_are_nan_are_counted(self):
        from lib import results, site_errors
        (self.scratch / "nan").mkdir()
        copy = shutil.copy(self.result, self.scratch / "nan/result.h5")
        with h5py.File(copy, "r+") as f:
            middle = (len(MUS) - 1) // 2
            f["errors/scores/forward_nan"][0, 1, middle, 0, 2, 1] = 5
            f["errors/scores/forward_nan"][1, 0, middle, 0, 2, 0] = 2
        os.environ["LAMP_OUT"] = str(self.scratch / "nan/figures")
        for path, expected in ((self.result, [False] * 3), (copy, [True] * 3)):
            opened = results.open_result(path)
            captions = [figure.caption for figure in (site_errors.error_growth(opened, "scores"), site_errors.forward_and_local(opened),
                                                      site_errors.error_bins(opened))]
            self.assertEqual(["NaN" in caption for caption in captions], expected, captions)
        self.assertIn("components that are NaN, 7 over the rows", captions[0])
        self.assertIn("components that are NaN (forward of scores: 7)", captions[2])
        rows = table(self.scratch / "nan/figures/01-6-error-growth-scores.csv")
        self.assertEqual([r["layer"] for r in rows if number(r["NaN components [1]"]) == 7], ["2"])

    def test_weights(self):
        rows = self.draw("kl_by_weights", self.weights)
        self.assertEqual(len(rows), 2 * 2 * 2 * 3)  # text, mu, tau; two of lamp and one of random
        with h5py.File(self.weights, "r") as f:
            kl, rate = f["metrics/kl"][()], f["metrics/recompute_rate"][()].mean((-2, -1))
        for row in rows:
            at = (TEXTS.index(row["text"]), slice(None), [4, 8].index(float(row["mu"])), [2.0, 1.1].index(float(row["tau"])),
                  int(row["choice"] == "random"), int(row["choice"] == "lamp, relative"))
            self.assertTrue(close(number(row["kl [nat]"]), kl[at].mean()), row)
            self.assertTrue(close(number(row["recompute rate [%]"]), 100 * rate[at].mean()), row)
            self.assertEqual([number(row["first of two"]), number(row["second of two"]), row["95 % low"]], [*kl[at], ""])

    def test_solvers_and_masks(self):
        rows = self.draw("solvers", self.solvers)
        self.assertEqual(len(rows), 2 * 2 * 4)
        with h5py.File(self.solvers, "r") as f:
            kl, rate = f["metrics/kl"][()], f["metrics/recompute_rate"][()].mean((-2, -1))
        for row in rows:
            solver, mask = row["choice"].split(", ")
            at = (TEXTS.index(row["text"]), slice(None), [4, 8].index(float(row["mu"])), [2.0, 1.1].index(float(row["tau"])),
                  ["greedy", "exact"].index(solver), ["exclude", "as-zero"].index(mask))
            self.assertTrue(close(number(row["kl [nat]"]), kl[at].mean()), row)
            self.assertTrue(close(number(row["recompute rate [%]"]), 100 * rate[at].mean()), row)

    def test_two_results_at_what_they_have_in_common(self):
        rows = table(self.out / "01-11-overlay.csv")
        self.assertEqual(len(rows), 2 * 2 * len(MUS) * len(TAUS))  # tau = 1.5 is in one only
        for name, result, taus in (("errors", self.result, TAUS), ("plain (other)", self.plain, [2.0, 1.5, 1.1])):
            with h5py.File(result, "r") as f:
                kl = f["metrics/kl"][()]
            own = [r for r in rows if r["result"] in (name, result.parent.name, f"{result.parent.name} (other)")]
            self.assertEqual(len(own), len(rows) // 2)
            for row in own:
                at = (TEXTS.index(row["text"]), slice(None), MUS.index(float(row["mu"])), taus.index(float(row["tau"])))
                self.assertTrue(close(number(row["kl [nat]"]), kl[at].mean()), row)

    def test_what_is_missing_is_a_sentence(self):
        from lib import comparison, results, site_errors
        plain = results.open_result(self.plain)
        for made in (site_errors.error_growth(plain, "scores"), site_errors.forward_and_local(plain), site_errors.error_bins(plain),
                     comparison.kl_by_weights(plain), comparison.solvers(plain), comparison.overlay(plain, None)):
            self.assertTrue(made.words.startswith("Not drawn"), made)

    def test_bad_second_file_is_one_line(self):
        for arguments, code in (([self.plain, "--with", self.scratch / "absent.h5"], 66), ([self.plain, "--with"], 2)):
            done = notebook("01", *arguments)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (code, 1), done.stderr)


if __name__ == "__main__":
    unittest.main()
