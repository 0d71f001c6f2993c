"""notebooks/questions and notebooks/tutorial: every cell runs, in an interpreter of the module; what a question may be; what is shown.
usage: book_test.py questions|tutorial"""
import ast
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
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


def section(page, heading):
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def is_drawn(name, code):
    """Whether some figure is published under this name, or, by site, under one that begins so."""
    return f'"{name}"' in code or f'"{name.rsplit("-", 1)[0]}-{{site}}"' in code


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

    def test_the_page_leads_to_figures_questions_and_runs_that_there_are(self):
        page = (ROOT / "notebooks/README.md").read_text()
        figures = section(page, "Which figure answers which question")
        drawn = "".join(file.read_text() for file in (ROOT / "notebooks/lib").glob("*.py"))
        named = re.findall(r"`(\d\d-\d[^`]*)`", figures)
        self.assertGreater(len(named), 40)
        self.assertEqual([name for name in named if not is_drawn(name, drawn)], [])
        self.assertTrue(is_drawn("01-6-error-growth-resid_2", drawn) and not is_drawn("01-6-error-growth", drawn))
        for run in re.findall(r"\| S/(\S+) \||runs of S/(\S+)", figures):
            self.assertTrue((ROOT / "experiments/studies" / "".join(run)).exists(), run)
        for number in set(re.findall(r"bash notebooks/run ([\w/]+)", figures)):
            self.assertEqual(len([*(ROOT / "notebooks").glob(f"{number}-*.ipynb")]), 1, number)
        rows = dict(re.findall(r"\[\d\d\]\(questions/(\S+)\) \| (.+) \|", section(page, "Questions")))
        titles = {q.name: re.sub(r"^# \d+\. ", "", source(cells(q, "markdown")[0]).splitlines()[0]) for q in QUESTIONS}
        self.assertEqual(rows, titles)

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
            for link in re.findall(r"\]\((?!https)([^)#]+)", "".join(map(source, cells(notebook, "markdown")))):
                self.assertTrue((notebook.parent / link).exists(), f"{notebook.name}: {link}")

    def test_every_cell_runs(self):
        self.run_all(LESSONS)

    def test_a_page(self):
        """As `bash notebooks/run tutorial/1` makes it, by a kernel: with its pictures, and nothing that the network would have to bring."""
        out = pathlib.Path(self.scratch.name) / "page"
        words = [sys.executable, "-m", "lib.execute", "tutorial/1", out]
        done = subprocess.run(words, env=os.environ | {"PYTHONPATH": f"{ROOT / 'notebooks'}:{os.environ.get('PYTHONPATH', '')}"}, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, str(out / "1-round-a-number.html")), done.stderr)
        page = Page((out / "1-round-a-number.html").read_text())
        self.assertEqual((len(page.pictures), page.network, page.scripts), (2, [], 0))
        for wrong in ("tutorial/9", "tutorial/", "lib/asking"):
            done = subprocess.run([*words[:3], wrong], env=os.environ | {"PYTHONPATH": str(ROOT / "notebooks")}, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("legal: questions/01-e4m3-scores", done.stderr)

    def test_the_tables_of_the_method(self):
        """Every number of method.md that calc does not answer."""
        page = re.sub(r"```calc.*?```", "", (ROOT / "notebooks/tutorial/method.md").read_text(), flags=re.DOTALL)
        self.assertEqual([row for row in method_rows() if row not in page], [])
        numbers = set(re.findall(r"\b\d\.\d{5}", page))
        self.assertGreater(len(numbers), 25)
        self.assertEqual(numbers - set(re.findall(r"\d\.\d{5}", "".join(method_rows()))), set())


def method_rows():
    """The tables of notebooks/tutorial/method.md, from q and k on, with numpy's exp."""
    import lamp
    import numpy as np
    q, k = np.array([0.75, 2, -2, 1]), np.array([[-1.75, 1, -0.5, 1], [1.5, 0, -2, 0.25], [0.75, 1, -1.5, -0.25], [-0.5, -0.5, -1.5, 1.5]])
    y, y_low = (lamp.Arithmetic(keys).matmul(q, k.T) / 2 for keys in ({"format": "binary32"}, {"preset": "lamp-paper", "mu": 3}))

    def softmax(y):
        return np.exp(y) / np.exp(y).sum()

    def cost(chosen):
        return np.abs(np.eye(4) - softmax(y_low))[:, ~chosen].sum(1).max()

    def row(name, *numbers):
        return f"| {name} | " + " | ".join(f"{x:.5f}" for x in numbers) + " |\n"

    rows = []
    for name in ("{}", "{1}", "{1, 2}", "{1, 2, 3}"):
        chosen = np.isin(range(4), [int(j) for j in re.findall(r"\d", name)])
        z = softmax(y_low)
        rows.append(row(name, z[chosen].sum(), 2 * z[~chosen].min(), cost(chosen)))
    nothing, chosen = np.zeros(4, bool), lamp.select(y_low, tau=1.25)
    low, mixed, z = softmax(y_low), softmax(np.where(chosen, y, y_low)), softmax(y)
    rows += [row(j, *values) for j, values in enumerate(zip(y, y_low, z, low, mixed))]
    rows.append(row("sum of abs(dz)", *(np.abs(x - z).sum() for x in (low, mixed))))
    rows.append(row("largest abs(dz_i) / z_i", *(np.abs(x / z - 1).max() for x in (low, mixed))))
    rows.append(row("its bound to first order, cost(S) times the largest abs(dy_j) outside of S",
                    *(cost(s) * np.abs(y_low - y)[~s].max() for s in (nothing, chosen))))
    return rows


if __name__ == "__main__":
    group = {"questions": Questions, "tutorial": Tutorial}[sys.argv.pop(1)]
    outcome = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromTestCase(group))
    sys.exit(not outcome.wasSuccessful())
