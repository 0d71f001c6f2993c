"""notebooks/questions and notebooks/tutorial: every cell runs, in an interpreter of the module; what a question may be; what is shown.
usage: book_test.py questions|tutorial"""
import ast
import contextlib
import io
import json
import os
import pathlib
import re
import sys
import tempfile
import time
import unittest
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "notebooks"), str(ROOT / "tests/notebooks")]
import h5py  # noqa: E402
import matplotlib  # noqa: E402

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

from page import Page  # noqa: E402

MOST_LINES = 10  # of a question
MOST_BYTES = 30000  # of a notebook: it has no outputs
QUESTIONS = sorted((ROOT / "notebooks/questions").glob("*.ipynb"))
LESSONS = sorted((ROOT / "notebooks/tutorial").glob("*.ipynb"))


def cells(notebook, kind="code"):
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def execute(codes, folder):
    """What the cells print, and what they show, as Jupyter would: the value of a last expression, and open figures. Warnings are errors."""
    names, printed, shown = {"__name__": "__main__"}, io.StringIO(), []
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for code in codes:
            *lines, last = ast.parse(code).body
            lines += [] if isinstance(last, ast.Expr) else [last]
            exec(compile(ast.Module(lines, []), "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                shown += [] if value is None else [value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)]
            for number in plt.get_fignums():
                plt.figure(number).savefig(io.BytesIO(), format="png")
                shown.append("<img")
            plt.close("all")
    return printed.getvalue(), shown


def pictures(shown):
    return sum("<img" in html for html in shown)


def not_drawn(shown):
    return [html for html in shown if "Not drawn" in html]


class Notebooks(unittest.TestCase):
    """What both folders have in common; the scratch folder has the runs."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        os.environ["LAMP_RUNS"] = cls.scratch.name

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def check_committed(self, notebook):
        self.assertLess(notebook.stat().st_size, MOST_BYTES, notebook)
        for cell in cells(notebook):
            self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None), notebook)
            self.assertLessEqual(max(map(len, source(cell).splitlines())), 140, notebook)

    def run_all(self, notebooks):
        """Every notebook: at least one picture, each drawn, and numbers."""
        told = {}
        for notebook in notebooks:
            with self.subTest(notebook.name):
                begin = time.monotonic()
                told[notebook.stem], shown = execute([source(cell) for cell in cells(notebook)], notebook.parent)
                self.assertGreater(pictures(shown), 0)
                self.assertEqual(not_drawn(shown), [])
                self.assertRegex(told[notebook.stem], r"\d")
                print(f"{notebook.stem}: {time.monotonic() - begin:.1f} s, {pictures(shown)} pictures\n{told[notebook.stem]}")
        return told


class Questions(Notebooks):
    def test_a_question_is_one_cell_of_at_most_ten_lines(self):
        self.assertEqual([q.name[:3] for q in QUESTIONS], [f"{k:02d}-" for k in range(1, 11)])
        for notebook in QUESTIONS:
            self.check_committed(notebook)
            asked = [source(cell) for cell in cells(notebook) if "question" in cell["metadata"].get("tags", [])]
            self.assertEqual(len(asked), 1, notebook)
            self.assertLessEqual(len(asked[0].splitlines()), MOST_LINES, notebook)
            self.assertRegex(source(cells(notebook, "markdown")[0]).splitlines()[0], r"^# \d+\. .+\?$")

    def test_every_cell_runs_and_says_what_the_result_holds(self):
        told = self.run_all(QUESTIONS)
        path, = pathlib.Path(self.scratch.name).glob("orders-of-the-sums-of-mlp-proj-*/result.h5")
        with h5py.File(path) as f:
            means = dict(zip([name.decode() for name in f["metrics/arithmetic.low.order"]], f["metrics/kl"][()].mean(0)))
        self.assertEqual(len(means), 5)
        for order, mean in means.items():
            self.assertRegex(told["03-kahan"], rf"(?m)^{order} +KL {mean:.2e} nat; sequential has {means['sequential'] / mean:.3g} times that$")
        path, = pathlib.Path(self.scratch.name).glob("e4m3-scores-*/result.h5")
        with h5py.File(path) as f:
            nans = int((f["metrics/kl"][:, 2] != f["metrics/kl"][:, 2]).sum())
            self.assertEqual(f["metrics/plan.scores"][2], b"e4m3-sums")
        self.assertIn(f"NaN in {nans} of 8" if nans else "e4m3-sums  KL", told["01-e4m3-scores"])

    def test_a_broken_cell_is_seen(self):
        notebook, = (q for q in QUESTIONS if q.name.startswith("09"))
        code = [source(cell) for cell in cells(notebook)]
        for good, bad, what in (("share.min()", "share.mni()", AttributeError), ("lamp.scores =", "lamp.scroes =", ValueError),
                                ("layer=2, head=1)\n", "layer=2)\n", TypeError)):
            broken = [text.replace(good, bad) for text in code]
            self.assertNotEqual(broken, code)
            with self.subTest(bad), self.assertRaises(what):
                execute(broken, notebook.parent)

    def test_a_figure_that_is_not_drawn_is_seen(self):
        notebook, = (q for q in QUESTIONS if q.name.startswith("09"))
        unrecorded = [source(cell).replace(', selected = true', '') for cell in cells(notebook)]
        _, shown = execute(unrecorded[:2], notebook.parent)
        self.assertEqual(len(not_drawn(shown)), 1)


class Tutorial(Notebooks):
    def test_five_lessons_with_exercises_and_where_to_read_on(self):
        self.assertEqual([lesson.name[:2] for lesson in LESSONS], [f"{k}-" for k in range(1, 6)])
        for notebook in LESSONS:
            self.check_committed(notebook)
            *_, last = map(source, cells(notebook, "markdown"))
            self.assertEqual(len(re.findall(r"(?m)^\d\. ", last.split("## Exercises")[1].split("## Read on")[0])), 2, notebook)
            for link in re.findall(r"\]\(([^)#]+)", "".join(map(source, cells(notebook, "markdown")))):
                self.assertTrue((notebook.parent / link).exists(), f"{notebook.name}: {link}")

    def test_every_cell_runs(self):
        self.run_all(LESSONS)


if __name__ == "__main__":
    group = {"questions": Questions, "tutorial": Tutorial}[sys.argv.pop(1)]
    outcome = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromTestCase(group))
    sys.exit(not outcome.wasSuccessful())
