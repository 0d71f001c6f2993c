"""Results that are not as usual, through every notebook of one result: no exception, no warning, and no panel without a word or a mark."""
import os
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

import h5py
import matplotlib.figure
import numpy as np
from softmax_lamp_test import ROOT, config, notebook  # sets the paths
from drawn import shown_by

NOTEBOOKS = ("01-softmax-lamp", "02-ground-truth", "03-backends")  # of 00: any_result_test.py
MORE = """[record]
errors = ["scores", "resid_2"]
where = {"lamp.scores.tau" = [1.5]}
[continuation]
prefix = 4
tokens = 3
[truth]
rules = ["lamp", "z-error", "random"]
[lamp.scores]"""


def values_of(f, groups):
    found = []
    for group in groups:
        if group in f:
            f[group].visititems(lambda _, d: found.append(d) if isinstance(d, h5py.Dataset) and d.dtype.kind == "f" and not h5py.h5ds.is_scale(d.id) else None)
    return found


def only_nan(f):
    for values in values_of(f, ("metrics", "errors", "truth", "selection")):
        values[...] = np.nan


def some(f, status):
    done = f["metrics/status"][()]
    done[status(done)] = 0
    f["metrics/status"][...] = done
    for values in values_of(f, ("metrics", "errors")):
        if values.shape[:done.ndim] == done.shape:
            kept = values[()]
            kept[done == 0] = np.nan
            values[...] = kept


def every_second(done):
    return np.arange(done.size).reshape(done.shape) % 2 == 0


def last_sequence(done):
    return np.indices(done.shape)[1] == done.shape[1] - 1


def other_schema(f):
    f.attrs["schema_version"] = 9
    del f["metrics/recompute_rate"], f["provenance"], f["truth/score"]


CHANGES = {"nan only": only_nan, "nothing finished": lambda f: some(f, lambda done: np.ones_like(done, bool)),
           "half finished": lambda f: some(f, lambda done: every_second(done) | last_sequence(done))}


def silent(figure):
    """The panels that show nothing at all."""
    found = []
    for ax in figure.axes:
        marks = [line for line in ax.lines if np.isfinite(np.asarray(line.get_ydata(), float)).any()] + [*ax.images, *ax.patches, *ax.texts]
        marks += [c for c in ax.collections if len(c.get_offsets()) or c.get_paths()]
        if ax.get_visible() and ax.axison and ax.get_label() != "<colorbar>" and not marks:
            found.append(ax.get_title())
    return found


class Unusual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        small = [("sequence_length = 12", "sequence_length = 6"), ("[lamp.scores]", MORE)]
        cls.result = config(cls.scratch, "small", *small, ("[2, 4, 10]", "[2, 4]"), ("[2.0, 1.5, 1.1]", "[2.0, 1.5]"), ('["lamp", "random", "none", "all"]', '["lamp", "random"]'))
        cls.point = config(cls.scratch, "point", *small[:1], ("[lamp.scores]", MORE.replace('where = {"lamp.scores.tau" = [1.5]}\n', "")), ("sequences = 2", "sequences = 1"),
                           (f'path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]', f'path = "{ROOT}/data/texts/code.txt"'),
                           ('[grid]\n"arithmetic.low.mu" = [2, 4, 10]\n"lamp.scores.tau" = [2.0, 1.5, 1.1]\n"lamp.scores.rule" = ["lamp", "random", "none", "all"]', ""))

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def shown(self, result):
        """Of each notebook what its cells show, as words: a sentence, or the caption of a figure."""
        os.environ["LAMP_OTHER"] = ""
        found = {}
        for name in NOTEBOOKS:
            figures = []
            with mock.patch.object(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)), \
                    mock.patch("lib.output.Figure._repr_html_", lambda figure: figure.caption):
                found[name] = {cell: getattr(v, "words", None) or getattr(v, "caption", "") for cell, v in
                               shown_by(ROOT / f"notebooks/{name}.ipynb", result, self.scratch / "out").items()}
            self.assertEqual([(figure._suptitle.get_text(), empty) for figure in figures if (empty := silent(figure))], [], (result.parent.name, name))
        return found

    def test_one_point(self):
        self.assertIn("does not vary μ", self.shown(self.point)["01-softmax-lamp"]["figures.kl_against_mu(result)"])

    def test_changed(self):
        for name, change in CHANGES.items():
            with self.subTest(name):
                (self.scratch / name).mkdir()
                copy = pathlib.Path(shutil.copy(self.result, self.scratch / name / "result.h5"))
                with h5py.File(copy, "r+") as f:
                    change(f)
                shown = self.shown(copy)
                if name == "nothing finished":
                    self.assertTrue(all("Not drawn" in str(w) for cell, w in shown["01-softmax-lamp"].items() if cell != "result"), shown["01-softmax-lamp"])

    def test_a_tau_that_was_not_recorded_has_no_number(self):
        """Figure 8 called it 0 % exact: a sum of nothing."""
        from lib import results, site_errors
        os.environ["LAMP_OUT"] = str(self.scratch / "recorded")
        figures = []
        with mock.patch.object(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)):
            made = [site_errors.error_growth(results.open_result(self.result), "scores"), site_errors.error_bins(results.open_result(self.result))]
        self.assertTrue(all("τ = 1.5" in words for words in (figures[0].axes[0].get_title(), figures[1]._suptitle.get_text())))
        with h5py.File(self.result) as f:
            bins = f["errors/scores/local_bins"][:, :, 0, 1, 0].sum((0, 1, 2, 3))
            self.assertEqual(f["errors/scores/local_bins"][:, :, 0, 0].sum(), 0)
        words = [t.get_text() for t in figures[1].axes[0].texts]
        self.assertEqual(words[0], f"local: {100 * bins[0] / bins.sum():.3g} % exact")
        copy = pathlib.Path(shutil.copy(self.result, self.scratch / "unrecorded.h5"))
        with h5py.File(copy, "r+") as f:
            for kind in ("local", "forward"):
                for name in ("count", "bins"):
                    f[f"errors/scores/{kind}_{name}"][...] = 0
        with mock.patch.object(matplotlib.figure.Figure, "savefig", lambda figure, *_, **__: figures.append(figure)):
            made = [draw(results.open_result(copy)) for draw in (lambda r: site_errors.error_growth(r, "scores"), site_errors.forward_and_local, site_errors.error_bins)]
        self.assertIn("no finished cell of this result has errors of scores (record.where: lamp.scores.tau = [1.5])", made[0].words)
        self.assertTrue(all("Not drawn" in m.words for m in made), made)

    def test_another_schema(self):
        (self.scratch / "schema").mkdir()
        copy = pathlib.Path(shutil.copy(self.result, self.scratch / "schema/result.h5"))
        with h5py.File(copy, "r+") as f:
            other_schema(f)
        done = notebook("02", copy)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        page = (copy.parent / "02/02-ground-truth.html").read_text()
        self.assertIn("Not drawn: this file has the schema of results 9; these notebooks read 1 to 2 (KeyError: ", page)
        self.assertNotIn("Traceback", page)


if __name__ == "__main__":
    unittest.main()
