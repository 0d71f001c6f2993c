"""lamp.reveal of callables: our own orders come back, the command line finds the same, and what no arithmetic has is said."""
import json
import os
import random
import subprocess
import sys
import unittest

import lamp
import numpy

ASK = "import json, sys, numpy\nfor line in sys.stdin:\n    p = json.loads(line)\n    print(float(%s))"


class Reveal(unittest.TestCase):
    def test_our_orders_come_back(self):
        for order in ("sequential", "reverse", "pairwise:4", "lanes:4", "blocked:3", "numpy-sum:8192"):
            fl = lamp.Arithmetic(format="binary32", product="binary32", order=order)
            found = lamp.reveal(fl.dot, 13)
            self.assertIn(order, found.names)
            self.assertEqual((found.same_bits, found.of), (1000, 1000), order)
            a, b = numpy.random.default_rng(1).normal(size=(2, 50, 13)).astype(numpy.float32)
            self.assertTrue(numpy.array_equal(found.arithmetic.dot(a, b), fl.dot(a, b)), order)
        engine = lamp.Arithmetic(engine="h100")
        self.assertEqual(lamp.reveal(engine.dot, 32, "binary16").same_bits, 1000)

    def test_the_command_line_finds_the_same(self):
        command = f"{sys.executable} -c '{ASK % 'numpy.add.reduce(numpy.float32(p[chr(97)]) * numpy.float32(p[chr(98)]))'}'"
        done = subprocess.run([os.environ["LAMP_BINARY"], "reveal", "--n", "40", "--format", "binary32", "--command", command, "--json"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = lamp.reveal(lambda a, b: numpy.add.reduce(a * b), 40)
        self.assertEqual(found.facts, json.loads(done.stdout))
        self.assertIn("numpy-sum:8192", found.names)
        self.assertTrue(found.drawing)

    def test_what_the_operands_are(self):
        for format, dtype in (("binary16", numpy.float16), ("bfloat16", numpy.float32), ("binary64", numpy.float64)):
            seen = set()
            lamp.reveal(lambda a, b: seen.add((a.dtype, b.dtype)) or float(lamp.Arithmetic(format=format).dot(a, b)), 4, format)
            self.assertEqual(seen, {(numpy.dtype(dtype),) * 2})

    def test_what_is_refused(self):
        dice = random.Random(5)
        for call, error, words in (
                (lambda: lamp.reveal(lambda a, b: dice.random(), 8), ValueError, "."),
                (lambda: lamp.reveal(lambda a, b: "a", 8), TypeError, "callable: answer 1 is str; legal: a number"),
                (lambda: lamp.reveal(lambda a, b: 1 / 0, 8), ZeroDivisionError, "division"),
                (lambda: lamp.reveal(numpy.dot, 0), ValueError, "n is 0; legal: 1 to 4096"),
                (lambda: lamp.reveal(numpy.dot, -5), ValueError, "n is -5"),
                (lambda: lamp.reveal(numpy.dot, 8, "binary17"), ValueError, "format: "),
                (lambda: lamp.reveal(lambda a, b: 3.0, 8), ValueError, "no summation tree")):
            with self.assertRaisesRegex(error, words):
                call()


if __name__ == "__main__":
    unittest.main(verbosity=1)
