"""lamp reveal end to end: commands that add in one type and answer in another, that vary, or are narrower than the format; numpy's float16.

`reveal_test.py box KIND` is such a command: lines {"a":[..],"b":[..]} in, a number a line out."""
import json
import pathlib
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, lamp  # noqa: E402

LIBRARY = ROOT / "experiments/reveal/library"


def bfloat16(x):
    """A binary32 number rounded to bfloat16, ties to even."""
    if not np.isfinite(x):
        return x
    bits = int(np.float32(x).view(np.uint32))
    return np.uint32((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def chain(products):
    total = products[0].dtype.type(0)
    for product in products:
        total = total + product
    return total


def products(a, b, dtype):
    return np.array(a, dtype) * np.array(b, dtype)


BOXES = {
    "bfloat16": lambda a, b: bfloat16(chain(products(a, b, np.float32))),
    "bfloat16-lanes": lambda a, b: bfloat16(chain(products(a, b, np.float32)[::2]) + chain(products(a, b, np.float32)[1::2])),
    "bfloat16-exact": lambda a, b: bfloat16(np.float32(chain(products(a, b, np.float64)))),
    "binary32": lambda a, b: chain(products(a, b, np.float32)),
}


def box(kind):
    with np.errstate(all="ignore"):
        for count, line in enumerate(sys.stdin):
            product = json.loads(line)
            if kind == "varying":  # every third line backwards: where a line stands decides
                answer = BOXES["binary32"](product["a"][::-1 if count % 3 == 2 else 1], product["b"][::-1 if count % 3 == 2 else 1])
            else:
                answer = BOXES[kind](product["a"], product["b"])
            print(float(answer).hex())


def command(kind):
    return f"{sys.executable} {__file__} box {kind}"


def reveal(told, n=20, form="bfloat16"):
    done = lamp("reveal", "--n", n, "--format", form, "--json", "--command", told, check=False)
    return done, json.loads(done.stdout) if done.stdout else None


def dot(a, arith):
    line = json.dumps({"op": "dot", "a": a, "b": [1] * len(a), "arith": arith})
    return float.fromhex(json.loads(lamp("calc", input=line + "\n").stdout)["y"])


class Reveal(unittest.TestCase):
    def test_a_sum_in_binary32_that_is_rounded_once(self):
        done, answer = reveal(command("bfloat16"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(answer["arith"], {"format": "bfloat16", "order": "blocked:20", "block": {"format": "binary32"}})
        self.assertEqual(answer["names"][0], "sequential")
        self.assertEqual((answer["same_bits"], answer["of"]), (1000, 1000))

    def test_a_sum_in_binary64_is_another_one(self):
        done, answer = reveal(command("bfloat16-exact"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(answer["arith"], {"format": "bfloat16", "order": "blocked:20", "block": {"format": "binary64"}})

    def test_dot_products_of_numpy_in_float16(self):
        a = [2.0**15, 2.0**-24, -2.0**15] + [0] * 17
        self.assertEqual(float(np.dot(np.array(a, np.float16), np.ones(20, np.float16))), 0)
        for function in ("numpy.dot", "numpy.matmul"):
            done, answer = reveal(f"{LIBRARY} {function} --type float16", form="binary16")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(answer["arith"], {"format": "binary16", "order": "blocked:20", "block": {"format": "binary32"}})
            self.assertEqual(dot(a, answer["arith"]), 0)
        self.assertEqual(dot(a, {"format": "binary16", "order": "exact"}), 2.0**-24)  # what random products alone would not refute

    def test_other_trees_that_are_rounded_once_are_told_and_not_named(self):
        for told, form, sums in ((command("bfloat16-lanes"), "bfloat16", '{"format":"binary32","order":"lanes:2"}'),
                                 (f"{LIBRARY} numpy.sum --type float16", "binary16", '{"format":"binary32","product":"binary16","order":"numpy-sum:8192"}')):
            done, answer = reveal(told, form=form)
            self.assertEqual(done.returncode, 1)
            self.assertEqual((answer["arith"], answer["toml"]), (None, None))
            self.assertIn(f"the sum of {sums}, rounded once more at the end to {form} by RNE", answer["nameless"])
        text = lamp("reveal", "--n", 20, "--format", form, "--command", told, check=False)
        self.assertEqual(text.returncode, 1)
        self.assertIn(f"\narith: none; {answer['nameless']}\n", text.stdout)
        self.assertNotIn("[arithmetic", text.stdout)

    def test_a_command_whose_answers_vary(self):
        done, answer = reveal(command("varying"), form="binary32")
        self.assertEqual((done.returncode, answer), (1, None))
        self.assertRegex(done.stderr, r'^lamp reveal: --command: line \d+ of batch \d+, \{"a":\[.*\.\., was answered -?0x\S+ and, sent again, -?0x\S+: [^\n]*\n$')
        with tempfile.TemporaryDirectory() as folder:  # one answer of a run, not of a line: the first batch alone is off
            first = f"if mkdir {folder}/x 2>/dev/null; then sed s/.*/7/; else {command('binary32')}; fi"
            done, answer = reveal(first, form="binary32")
            self.assertEqual((done.returncode, answer), (1, None))
            self.assertIn("line 1 of batch 1, ", done.stderr)
            self.assertIn("was answered 0x1.cp+2 and, sent again, 0x1.4p+4", done.stderr)

    def test_a_format_that_is_wider_than_the_commands_type(self):
        done, answer = reveal(command("binary32"), n=5, form="binary64")  # +M is infinite there: what probes show is no tree
        self.assertEqual((done.returncode, answer, done.stderr.count("\n")), (1, None, 1), done.stderr)
        for word in ("1 + 2^-24 comes back as 0x1p+0", "narrower than binary64", "24 bits wide"):
            self.assertIn(word, done.stderr)
        done, answer = reveal(command("bfloat16"), n=5, form="binary32")  # +M is a number, so the tree is true
        self.assertEqual((done.returncode, answer["tree"]), (1, "(0 1 2 3 4)"), done.stderr)
        self.assertIn("1 + 2^-8 comes back as 0x1p+0, so the command's type is narrower than binary32", answer["narrower"])
        text = lamp("reveal", "--n", 5, "--format", "binary32", "--command", command("bfloat16"), check=False)
        self.assertIn(f"\ntype: {answer['narrower']}\n", text.stdout)

    def test_where_every_bit_is_reproduced_a_wider_format_does_no_harm(self):
        told = f"""sed 's/^{{/{{"op":"dot","arith":{{"operands":"tf32","format":"binary32"}},/' | {LAMP} calc"""
        done, answer = reveal(told, n=9, form="binary32")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(answer["arith"], {"format": "binary32", "operands": "tf32", "order": "sequential"})


if __name__ == "__main__":
    if sys.argv[1:2] == ["box"]:
        box(sys.argv[2])
    else:
        unittest.main()
