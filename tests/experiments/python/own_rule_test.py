"""Own rules in this process: callables in lamp.select and in passes against lamp's own rules, bit by bit; what they raise."""
import os
import pathlib
import tempfile
import unittest

import lamp
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "experiments/own_rules/examples.py"
PLAN = {"default": "binary32", "scores": lamp.Arithmetic(preset="lamp-paper", mu=4)}


def largest(row):
    return numpy.argsort(-row.y, kind="stable")[:row.count]


def same_bits(x, y):
    return x.shape == y.shape and x.tobytes() == y.tobytes()


class Callables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = lamp.Model(ROOT / "data/models/gpt2-nano")
        cls.tokens = numpy.arange(24) * 37 % cls.model.vocab_size

    def pass_by(self, rule, threads=1, tokens=None):
        selections = {site: {"rule": rule, "recompute": "binary32", **keys}
                      for site, keys in {"scores": {"tau": 1.2}, "mlp_fc": {"rate": 0.1}, "logits": {"rate": 0.01}}.items()}
        plan = {**PLAN, "mlp_fc": PLAN["scores"], "logits": PLAN["scores"]}
        return self.model.forward(self.tokens if tokens is None else tokens, plan, ["scores.selected", "mlp_fc.selected"], lamp=selections,
                                  threads=threads)

    def test_a_pass_has_the_bits_of_lamps_own_rule(self):
        expected = self.pass_by("largest-logit")
        self.assertTrue(expected.scores_selected.any() and not expected.scores_selected.all())
        for rule in (largest, f"python:{EXAMPLES}:largest_logit"):
            for threads in (1, 2):
                found = self.pass_by(rule, threads)
                self.assertEqual(set(found), set(expected))
                for name in expected:
                    self.assertTrue(same_bits(found[name], expected[name]), (rule, threads, name))
        self.assertFalse(same_bits(self.pass_by(lambda row: []).logits, expected.logits))

    def test_a_continuation(self):
        selection = {"tau": 1.2, "recompute": "binary32"}
        ours, theirs = (self.model.generate(self.tokens, 4, PLAN, lamp={"scores": {"rule": rule, **selection}}).tolist()
                        for rule in (largest, "largest-logit"))
        self.assertEqual(ours, theirs)

    def test_keys_are_there_where_the_function_asks_for_them(self):
        shapes = set()

        def keys(row):
            shapes.add((row.site, row.position, None if row.k is None else row.k.shape == (len(row), len(row.q))))
            return row.lamp

        self.pass_by(keys, tokens=[1, 2])
        self.assertEqual(shapes, {(site, i, None) for site in ("scores", "mlp_fc", "logits") for i in (0, 1)})
        shapes.clear()
        keys.keys = True
        self.pass_by(keys, tokens=[1, 2])
        self.assertEqual(shapes, {(site, i, site == "scores" or None) for site in ("scores", "mlp_fc", "logits") for i in (0, 1)})

    def test_what_a_rule_raises_names_the_row_and_keeps_the_cause(self):
        def wrong(row):
            return 1 // (row.position != 5)

        for threads, row in ((1, "0"), (2, r"\d+")):  # of two that fail at once either may be told
            with self.assertRaisesRegex(ValueError, rf"^at scores, layer 0, head 0, row {row}, sequence 0: the answer is int64 of "):
                self.pass_by(wrong, threads)
            place = rf"^at scores, layer 0, head \d, row 5, sequence 0: {__file__}:\d+: ZeroDivisionError: "
            with self.assertRaisesRegex(ValueError, place) as found:
                self.pass_by(lambda row: row.lamp & bool(wrong(row)), threads)
            self.assertIsInstance(found.exception.__cause__, ZeroDivisionError)
        with self.assertRaisesRegex(ValueError, r"^at row 1: the answer has the index 3; legal: a bool array of 2"):
            lamp.select([[1.0, 2.0], [3.0, 4.0]], tau=1.5, rule=lambda row: [3] * row.position)

    def test_what_is_no_rule(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "r.py")
            file.write_text("x = 1\n")
            for rule, error, words in ((f"python:{file}:f", ValueError, "has no function f"),
                                       (f"python:{file}:x", ValueError, "x is no function"),
                                       ("python:/nowhere.py:f", FileNotFoundError, "/nowhere.py"),
                                       ("python:r.py", ValueError, "FILE:FUNCTION"), (3, ValueError, "not legal here")):
                with self.assertRaisesRegex(error, words):
                    self.pass_by(rule)

    def test_runs_take_a_function_by_its_file(self):
        config = {"title": "own", "model": {"path": ROOT / "data/models/gpt2-nano"},
                  "tokens": {"path": ROOT / "data/texts/prose.txt", "sequence_length": 8, "sequences": 1},
                  "arithmetic": {"low": PLAN["scores"], "high": {"format": "binary32"}}, "plan": {"default": "high", "scores": "low"},
                  "lamp": {"scores": {"rule": f"python:{EXAMPLES}:greedy", "tau": 1.2, "recompute": "high"}}}
        os.environ.pop("LAMP_PYTHON", None)
        with tempfile.TemporaryDirectory() as folder:
            found = lamp.open(lamp.run(config, out=folder + "/run", threads=1, progress=False))
            self.assertEqual(found.provenance["numpy"], numpy.__version__)
        with self.assertRaisesRegex(TypeError, "python:FILE:FUNCTION"):
            lamp.run({**config, "lamp": {"scores": {"rule": largest, "recompute": "high"}}})


class Select(unittest.TestCase):
    def test_a_twin_of_lamp(self):
        random = numpy.random.default_rng(5)
        y = random.standard_normal((40, 12)) * 4
        for keys in ({"tau": 1.1}, {"rate": 0.3}, {"tau": 0.3, "norm": "normwise1"}, {"tau": 1.0, "weights": "dot", "w": numpy.abs(y) + 1}):
            marks, costs = lamp.select(y, **keys, return_cost=True)
            again, same = lamp.select(y, **keys, rule=lambda row: row.lamp, return_cost=True)
            self.assertTrue(same_bits(marks, again) and same_bits(costs, same))
            nothing, more = lamp.select(y, **keys, rule=lambda row: [], return_cost=True)
            self.assertFalse(nothing.any())
            self.assertTrue((more >= costs).all() and (more > costs).any())

    def test_what_is_shown(self):
        seen = []

        def see(row):
            seen.append((row.position, row.function, row.y.tolist(), None if row.z is None else round(row.z.sum(), 12), row.w.tolist(),
                         row.g is None, None if row.columns is None else row.columns.tolist(), row.tau, row.rate, row.count, row.length,
                         row.eps))
            row.random()
            return row.lamp

        lamp.select([[1.0, 2.0], [3.0, 3.0]], rate=0.5, row_length=9, weights="relative", rule=see)
        lamp.select([1.0, -2.0], tau=0.1, function="linear", norm="normwise1", W=[[1.0, -3.0], [2.0, 0.0]], rule=see)
        lamp.select([1.0, 2.0], tau=9.0, function="rmsnorm", eps=0.5, g=[0.5, 0.0], weights="relative", rule=see)
        self.assertEqual(seen, [(0, "softmax", [1.0, 2.0], 1.0, [1.0, 2.0], True, None, None, 0.5, 1, 9, 0.0),
                                (1, "softmax", [3.0, 3.0], 1.0, [3.0, 3.0], True, None, None, 0.5, 1, 9, 0.0),
                                (0, "linear", [1.0, -2.0], None, [1.0, 1.0], True, [3.0, 3.0], 0.1, None, 2, 2, 0.0),
                                (0, "rmsnorm", [1.0, 2.0], None, [0.5, 0.0], False, None, 9.0, None, 0, 2, 0.5)])
        with self.assertRaisesRegex(ValueError, "read-only"):
            lamp.select([1.0, 2.0], tau=1.0, rule=lambda row: row.y.fill(0))


if __name__ == "__main__":
    unittest.main(verbosity=1)
