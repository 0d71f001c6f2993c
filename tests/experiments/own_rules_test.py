"""Own rules, rule = "python:FILE:FUNCTION": twins of lamp's own rules have their bits, whatever the threads; what a rule does wrong, its
child suffers, or a file lacks is one line with a documented exit code; a rule's code runs where a run needs it and nowhere else."""
import importlib.util
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, differences, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
EXAMPLES = ROOT / "experiments/own_rules/examples.py"
SMALL = [f'tokens.path=["{ROOT}/data/texts/prose.txt"]', "tokens.sequences=1", "tokens.sequence_length=24", 'grid."arithmetic.low.mu"=[4]',
         'grid."lamp.scores.tau"=[1.2]', "record.selected=true"]
HASH = subprocess.run([sys.executable, "-c", "print(hash('lamp'))"], env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True,
                      check=True, text=True).stdout
TAKES_WHAT_LAMP_TAKES = "def f(row):\n    return row.lamp\n"


def own(file, function="f"):
    return f"python:{file}:{function}"


def axis(*rules):
    return f'grid."lamp.scores.rule"={json.dumps(rules)}'


def selection(site, rule, **keys):
    keys = {"rule": rule, "recompute": "high", **keys}
    return f"lamp.{site}={{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in keys.items()) + "}"


def module():
    """_rule.py as it is in the tree, without the module lamp."""
    spec = importlib.util.spec_from_file_location("_rule", ROOT / "experiments/python/lamp/_rule.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class OwnRules(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def command(self, out, *changes, threads=1):
        return ["run", CONFIG, "--out", self.folder / out, "--quiet", "--json", "--threads", threads, *sets(*SMALL, *changes)]

    def run_lamp(self, out, *changes, threads=1, **more):
        return lamp(*self.command(out, *changes, threads=threads), **more)

    def written(self, text, name="mine.py"):
        path = self.folder / name
        path.write_text(text)
        return path

    def refused(self, done, code):
        self.assertEqual(done.returncode, code, done.stderr)
        line = done.stderr.strip().splitlines()[-1]
        self.assertRegex(line, r"^lamp \w+: ")
        return line.replace(str(self.folder), "FOLDER")

    def failure(self, text, *changes, code=65, env=None, threads=1):
        """The last line of a run whose rule is f of such a file."""
        env = {**os.environ, **(env or {})}
        return self.refused(self.run_lamp("run", axis(own(self.written(text))), *changes, check=False, threads=threads, env=env), code)


class Bits(OwnRules):
    def test_twins_have_the_bits_of_lamps_own_rules(self):
        """At the scores; by one thread, and by two beside each other."""
        table, functions = ("largest-logit", "lamp", "page-bound"), ("largest_logit", "greedy", "page", "chance")
        rules = axis(*table, *(own(EXAMPLES, function) for function in functions))
        self.run_lamp("one", rules)
        self.run_lamp("two", rules, threads=2)
        self.assertEqual(differences(self.folder / "one/result.h5", self.folder / "two/result.h5"), [])
        with h5py.File(self.folder / "one/result.h5") as f:
            labels = [label.decode() for label in f["metrics/lamp.scores.rule"][()]]
            found = {}
            for name in ("metrics/kl", "metrics/kl_position", "metrics/recompute_rate", "selected/scores"):
                rule = [d.label for d in f[name].dims].index("lamp.scores.rule")
                found[name] = [f[name][()].take(i, axis=rule) for i in range(len(labels))]
            kept = {name: f[f"provenance/{name}"][()].decode() for name in ("rule_0", "rule_0_source", "python", "numpy")}
        self.assertEqual(labels, [*table, *(own("examples.py", function) for function in functions)])
        for name, values in found.items():
            for i in range(len(table)):
                self.assertEqual(values[i].tobytes(), values[i + len(table)].tobytes(), (name, table[i]))
        first = [s[..., 0, :, :, :] for s in found["selected/scores"]]  # of the first layer, which all cells see alike
        sizes = [np.unpackbits(s, axis=-1).sum(axis=-1) for s in first]
        for size in sizes:
            np.testing.assert_array_equal(size, sizes[1])
        self.assertEqual(len({s.tobytes() for s in first}), 3)  # lamp's, pages, chance
        self.assertGreater(sizes[1].sum(), 20)
        self.assertEqual(kept["rule_0_source"], EXAMPLES.read_text())
        self.assertTrue(kept["rule_0"].startswith(f"{EXAMPLES} "))
        self.assertRegex(f"{kept['python']} {kept['numpy']}", r"^3\.\d+\.\S+ \d+\.\d+\S*$")

    def test_a_twin_at_every_site_with_budgets_fallbacks_and_continuations(self):
        rate = {"attn_proj": {}, "mlp_fc": {}, "mlp_proj": {"weights": "dot"}, "values": {"norm": "normwise1"}, "logits": {}}

        def changes(rule):
            return [selection(site, rule, rate=0.1, **more) for site, more in rate.items()] + [
                axis(rule), "plan.default=low", "lamp.layer.1.scores.rate=0.3", "lamp.layer.1.head.1.scores.tau=0.5",
                "lamp.mlp_fc.fallback.tolerance=0.3", "continuation={prefix=8, tokens=4}"]

        self.run_lamp("table", *changes("largest-logit"))
        self.run_lamp("python", *changes(own(EXAMPLES, "largest_logit")), threads=2)
        table, python = (self.folder / name / "result.h5" for name in ("table", "python"))
        differ = [path for path in differences(table, python) if not path.endswith("/lamp.scores.rule")]
        self.assertEqual(differ, ["/@experiment"])
        with h5py.File(python) as f:
            self.assertTrue(set(rate) | {"scores"} <= set(f["selected"]))
            self.assertTrue((f["metrics/fallback_mlp_fc"][()] > 0).any())

    def test_what_a_rule_is_shown(self):
        """Of each site; the rule notes it, and takes what LAMP takes."""
        self.written("""
import json
def f(row):
    arrays = {name: getattr(row, name) for name in ("y", "z", "g", "w", "columns", "lamp", "q", "k")}
    said = {name: None if array is None else [str(array.dtype), *array.shape] for name, array in arrays.items()}
    for name in ("site", "function", "layer", "head", "position", "sequence", "seed", "length", "tau", "rate", "count", "eps"):
        said[name] = getattr(row, name)
    said["weights"] = bool((row.w == (1 if row.g is None else abs(row.g))).all())
    said["softmax"] = row.z is not None and bool(abs(row.z.sum() - 1) < 1e-12)
    with open(__file__ + ".seen", "a") as seen:
        seen.write(json.dumps(said) + "\\n")
    return row.lamp
f.keys = True
""")
        rule = own(self.folder / "mine.py")
        more = {"mlp_proj": {"weights": "relative"}, "values": {"norm": "normwise1"}, "logits": {}, "mlp_fc": {}}
        self.run_lamp("run", axis(rule), "tokens.sequence_length=6", "plan.default=low",
                      *(selection(site, rule, rate=0.25, **keys) for site, keys in more.items()))
        rows = [json.loads(line) for line in (self.folder / "mine.py.seen").read_text().splitlines()]
        of = {(row["site"], row["layer"], row["head"], row["position"]): row for row in rows}
        self.assertEqual(len(of), len(rows))
        with h5py.File(self.folder / "run/result.h5") as f:
            layers, heads = f["metrics/recompute_rate"].shape[-2:]
        self.assertEqual(len(rows), 6 * (layers * heads + 3 * layers + 1))  # once each

        def array(*shape, dtype="float64"):
            return [dtype, *shape]

        scores, logits, norm, values, fc = (of[key] for key in (("scores", 1, 1, 3), ("logits", None, None, 5), ("mlp_proj", 0, None, 2),
                                                                 ("values", 1, None, 4), ("mlp_fc", 0, None, 0)))
        n = norm["y"][1]
        of_scores = ("y", "z", "w", "g", "columns", "lamp", "k", "tau", "rate", "length", "seed", "sequence")
        self.assertEqual({name: scores[name] for name in of_scores},
                         {"y": array(4), "z": array(4), "w": array(4), "g": None, "columns": None, "lamp": array(4, dtype="bool"),
                          "k": array(4, n // heads), "tau": 1.2, "rate": None, "length": 6, "seed": 7, "sequence": 0})
        self.assertEqual(scores["q"], array(n // heads))
        self.assertTrue(logits["softmax"])
        self.assertTrue(all(row["weights"] for row in rows))
        self.assertEqual((norm["g"], norm["z"], norm["k"], norm["rate"], norm["tau"]), (array(n), None, None, 0.25, None))
        self.assertGreater(norm["eps"], 0)
        self.assertEqual((values["columns"], values["length"]), (array(n), n))
        self.assertEqual((fc["count"], fc["function"]), (-(-fc["y"][1] // 4), "gelu_tanh"))
        self.assertEqual({row["function"] for row in rows}, {"softmax", "layernorm", "linear", "gelu_tanh"})


class Marks(unittest.TestCase):
    """What is a set, and what is not: marks_of, of a row of 5."""

    @classmethod
    def setUpClass(cls):
        cls.rule = module()

    def test_sets(self):
        for answer, members in [([], []), (np.array([]), []), (range(0), []), (np.array([], int), []), ([3, 0], [0, 3]),
                                (np.uint8([4]), [4]), (range(2), [0, 1]), (np.zeros(5, bool), []),
                                ([True, False, False, False, True], [0, 4]), (np.arange(5) > 2, [3, 4])]:
            marks = self.rule.marks_of(answer, 5)
            self.assertEqual((marks.dtype, marks.shape, np.flatnonzero(marks).tolist()), (np.dtype(bool), (5,), members))

    def test_nonsense(self):
        for answer, words in [(None, "None"), (1, "int64 of shape"), ([-1], "index -1"), ([0, 5], "index 5"), ([1, 3, 1], "index 1 twice"),
                              (np.ones(4, bool), "bool of shape (4,)"), (np.ones((1, 5), bool), "bool of shape (1, 5)"),
                              (np.zeros(0, bool), "bool of shape (0,)"), ([0.0, 1.0], "float64"), ([np.nan], "float64 with NaN"),
                              ("all", "<U3"), ([[1], [1, 2]], "list of which"), ([2**70], "object"), (True, "bool of shape ()"),
                              ({1, 2}, "object"), (np.uint64([2**63]), f"index {2**63}")]:
            with self.assertRaisesRegex(self.rule.WrongMarks, "the answer (is|has) .*" + re.escape(words) + r".*legal: a bool array of 5"):
                self.rule.marks_of(answer, 5)


class Failures(OwnRules):
    PLACE = "lamp run: python:FOLDER/mine.py:f: at scores, layer 1, head 1, row 5, sequence 0: "
    AT = "def f(row):\n    if (row.layer, row.head, row.position) == (1, 1, 5):\n        {}\n    return row.lamp\n"

    def test_a_rule_that_raises_or_answers_nonsense(self):
        self.assertEqual(self.failure(self.AT.format("return g(0)") + "def g(x):\n    return 1 / x\n"),
                         self.PLACE + "FOLDER/mine.py:6: ZeroDivisionError: division by zero")
        self.assertEqual(self.failure(self.AT.format("return [6]")),
                         self.PLACE + "the answer has the index 6; legal: a bool array of 6, or the indices of what is recomputed, 0 to 5, "
                                      "each once")
        self.assertEqual(self.failure(self.AT.format('raise ValueError("two\\nlines")')),
                         self.PLACE + "FOLDER/mine.py:3: ValueError: two\\u000Alines")

    def test_a_child_that_dies_or_hangs(self):
        self.assertEqual(self.failure("import os\n" + self.AT.format("os._exit(3)"), threads=2),
                         self.PLACE + "its python3 ended with exit code 3")
        self.assertEqual(self.failure("import os\n" + self.AT.format("os.kill(os.getpid(), 9)")),
                         self.PLACE + "its python3 was ended by signal 9 (Killed)")
        started = time.monotonic()
        self.assertEqual(self.failure(self.AT.format("while True: pass"), env={"LAMP_PYTHON_SECONDS": "2"}),
                         self.PLACE + "its python3 gave no answer within 2 s (LAMP_PYTHON_SECONDS)")
        self.assertLess(time.monotonic() - started, 30)
        self.assertIn("legal: whole seconds", self.failure(TAKES_WHAT_LAMP_TAKES, code=2, env={"LAMP_PYTHON_SECONDS": "0"}))

    def test_files_without_a_rule(self):
        self.assertEqual(self.failure("def f(row:\n"), "lamp run: FOLDER/mine.py:1: SyntaxError: '(' was never closed")
        self.assertEqual(self.failure("def g(row):\n    return []\n"), "lamp run: FOLDER/mine.py: has no function f; legal: g")
        self.assertEqual(self.failure("f = 3\n"), "lamp run: FOLDER/mine.py: f is no function; legal: a file with a function of a row")
        self.assertEqual(self.failure("\nimport nothing_of_this_name\n"),
                         "lamp run: FOLDER/mine.py:2: ModuleNotFoundError: No module named 'nothing_of_this_name'")
        absent = self.run_lamp("run", axis(own(self.folder / "absent.py")), check=False)
        self.assertIn("FOLDER/absent.py", self.refused(absent, 66))
        self.assertFalse((self.folder / "run").exists())

    def test_no_python_and_no_numpy(self):
        absent = self.failure(TAKES_WHAT_LAMP_TAKES, code=66, env={"LAMP_PYTHON": "/nowhere/python3"})
        self.assertEqual(absent, "lamp run: LAMP_PYTHON: /nowhere/python3 is no program, and rules of Python need one with numpy; legal: "
                                 "python3 on PATH, or LAMP_PYTHON=/path/to/python3")
        self.assertIn("no python3 on PATH", self.failure(TAKES_WHAT_LAMP_TAKES, code=66, env={"LAMP_PYTHON": "", "PATH": "/nowhere"}))
        bare = self.written(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n', "bare")
        bare.chmod(0o755)
        self.assertIn("has no numpy", self.failure(TAKES_WHAT_LAMP_TAKES, code=66, env={"LAMP_PYTHON": str(bare), "PYTHONPATH": ""}))
        self.assertIn("/bin/true: ended with exit code 0", self.failure(TAKES_WHAT_LAMP_TAKES, env={"LAMP_PYTHON": "/bin/true"}))

    def test_what_a_rule_prints_goes_to_standard_error(self):
        """And what would make its answers depend on more than the row is settled."""
        done = self.run_lamp("run", axis(own(self.written("import os\ndef f(row):\n    print('said', row)\n    os.write(1, b'written')\n"
                                                          "    assert not os.read(0, 1)\n    assert os.environ['OMP_NUM_THREADS'] == '1'\n"
                                                          f"    return row.lamp if hash('lamp') == {HASH.strip()} else None\n"))))
        self.assertEqual(json.loads(done.stdout)["cells"], 1)
        self.assertIn("said scores, layer 1, head 1, row 23, sequence 0\n", done.stderr)
        self.assertIn("written", done.stderr)

    def test_finished_cells_are_kept_and_the_same_command_goes_on(self):
        text = "import os\n" + self.AT.format("assert 'BREAK' not in os.environ or row.count > 40")
        rules = ("none", own(self.written(text)), "lamp")
        broken = self.run_lamp("run", axis(*rules), check=False, env={**os.environ, "BREAK": "1"})
        self.refused(broken, 65)
        done = json.loads(self.run_lamp("run", axis(*rules)).stdout)
        self.assertGreaterEqual(done["resumed"], 1)
        self.run_lamp("whole", axis(*rules))
        assert_same_bits(self.folder / "run/result.h5", self.folder / "whole/result.h5")


class Identity(OwnRules):
    def test_a_changed_source(self):
        """In the config it makes another experiment; on an axis other cells of the same one."""
        path = self.written(TAKES_WHAT_LAMP_TAKES)
        alone = f'lamp.mlp_fc={{rule="{own(path)}", rate=0.1, recompute="high"}}'
        self.run_lamp("alone", alone, axis("lamp"))
        self.run_lamp("axis", axis("lamp", own(path)))
        again = json.loads(self.run_lamp("axis", axis("lamp", own(path))).stdout)
        self.assertEqual((again["computed"], again["resumed"]), (0, 2))
        moved = self.written(TAKES_WHAT_LAMP_TAKES, "other name.py")
        again = json.loads(self.run_lamp("axis", axis("lamp", own(moved))).stdout)
        self.assertEqual((again["computed"], again["resumed"]), (0, 2))
        self.assertEqual(lamp("status", self.folder / "alone").returncode, 0)

        path.write_text("def f(row):\n    return ~row.lamp\n")
        again = json.loads(self.run_lamp("axis", axis("lamp", own(path))).stdout)
        self.assertEqual((again["computed"], again["resumed"]), (1, 1))
        with h5py.File(self.folder / "axis/result.h5") as f:
            kl = f["metrics/kl"][()].ravel()
        self.assertNotEqual(kl[0], kl[1])
        changed = "the content of the rule \"" + own("FOLDER/mine.py") + '"'
        self.assertIn(changed, self.refused(self.run_lamp("alone", alone, axis("lamp"), check=False), 73))
        for command in (["merge"], ["status"], ["verify", "--trust"]):
            self.assertIn(changed, self.refused(lamp(*command, self.folder / "alone", check=False), 65))
        path.unlink()
        self.assertIn("FOLDER/mine.py", self.refused(lamp("merge", self.folder / "alone", check=False), 66))
        self.assertIn("1 of 1 done", lamp("status", self.folder / "alone").stdout)

    def test_the_code_runs_where_a_run_needs_it_and_nowhere_else(self):
        """A file that says so when it is executed; its path is relative to the config."""
        self.written("open(__file__ + '.executed', 'w').close()\n" + TAKES_WHAT_LAMP_TAKES, "marks.py")
        mark = self.folder / "marks.py.executed"
        text = CONFIG.read_text().replace("../../data", str(ROOT / "data")).replace('rule = "lamp"', 'rule = "python:marks.py:f"', 1)
        config = self.folder / "study.toml"
        config.write_text(re.sub(r'"lamp.scores.rule" = .*\n', "", text))
        out, small = self.folder / "out", sets("tokens.sequences=1", "tokens.sequence_length=8", 'grid."arithmetic.low.mu"=[4]')
        said = lamp("plan", config, *small).stdout
        self.assertIn(f"own rules   {own(self.folder / 'marks.py')}\n            evaluated by a python3 for each thread, 32 MiB", said)
        plans = [json.loads(lamp("plan", config, "--json", "--threads", 5, *small, *more).stdout)
                 for more in ([], sets("lamp.scores.rule=lamp"))]
        self.assertEqual([plan["own_rules"] for plan in plans], [[own(self.folder / "marks.py")], []])
        self.assertAlmostEqual(plans[0]["memory"]["peak"] - plans[1]["memory"]["peak"], 5 * 2**25, delta=2**24)
        lamp("slurm", config, "--out", out, "--shards", 2, *small)
        self.assertFalse(mark.exists())
        lamp("run", config, "--out", out, "--quiet", *small)
        self.assertTrue(mark.exists())
        mark.unlink()
        for command in (["merge", out], ["status", out], ["inspect", out / "result.h5"], ["plan", out / "study.toml"], ["config"]):
            lamp(*command)
        refused = self.refused(lamp("verify", out, check=False), 65)
        self.assertIn("whose code runs only on request; legal: --trust, where you trust that file", refused)
        self.assertFalse(mark.exists())
        with h5py.File(out / "result.h5") as f:  # merge knows it from study.toml
            self.assertTrue(f["provenance/python"][()].decode().startswith("3."))
        self.assertIn("the same bits in 6 cells", lamp("verify", out, "--trust", "--fraction", 1).stdout)
        self.assertTrue(mark.exists())
        done = json.loads(lamp("run", out / "study.toml", "--out", out, "--quiet", "--json").stdout)
        self.assertEqual((done["computed"], done["resumed"]), (0, 6))


class Signals(OwnRules):
    HANGS = "import os, time\ndef f(row):\n    open(__file__ + f'.{os.getpid()}', 'w').close()\n    time.sleep(100)\n"

    def hanging(self):
        """A run whose two children hang in a row, in a group of its own, and they."""
        rules = axis(own(self.written(self.HANGS)), own(self.written(self.HANGS, "other.py")))
        run = subprocess.Popen([str(LAMP), *map(str, self.command("run", rules, threads=2))], stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
        self.addCleanup(run.stderr.close)
        until = time.monotonic() + 60
        while len(children := [int(path.suffix[1:]) for path in self.folder.glob("*.py.*")]) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        self.assertEqual(len(children), 2)
        return run, children

    def all_end(self, children):
        until = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{child}") for child in children):
            self.assertLess(time.monotonic(), until, "a child is left")
            time.sleep(0.02)

    def test_an_interrupt_leaves_no_child(self):
        run, children = self.hanging()
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does it
        self.assertEqual(run.wait(20), 130)
        self.assertEqual(len(run.stderr.read().splitlines()), 1)
        self.all_end(children)

    def test_nor_does_an_end_without_warning(self):
        run, children = self.hanging()
        run.kill()
        run.wait(20)
        self.all_end(children)


if __name__ == "__main__":
    unittest.main(verbosity=1)
