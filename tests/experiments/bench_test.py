"""`lamp bench`: its JSON, its bounds against its own rates, what it refuses."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from random_checkpoint import write_checkpoint  # noqa: E402
from readme_keys import keys_in_readme, keys_of  # noqa: E402
from results import LAMP, ROOT  # noqa: E402
from sanitized import SANITIZED  # noqa: E402

NANO = ROOT / "data/models/gpt2-nano"
LISTS = {"kernels": "ns_per_mac", "elementwise": "ns_per_entry", "selection": "ns_per_entry", "functions": "ns_per_entry",
         "passes": "seconds"}
LANES = {"avx512": 16, "avx2": 8, "scalar": 4}  # of binary32
QUICK = ["--time", "0.001"]


def bench(*arguments, binary=LAMP, **environment):
    return subprocess.run([str(binary), "bench", *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env=os.environ | environment)


@unittest.skipUnless((LAMP.parent / "lamp-bench").exists(), "built without Google Benchmark or OpenBLAS")
class Bench(unittest.TestCase):
    def measured(self, *arguments, **environment):
        done = bench(*arguments, *QUICK, "--json", **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual(list(found), ["cpu", "blas", "version", "commit", "threads", "machine", *LISTS])
        for key, unit in {"machine": "ns", **LISTS}.items():
            for row in found[key]:
                low, high = row["quartiles"]
                self.assertTrue(low <= row[unit] <= high, row)
                self.assertGreaterEqual(row["repetitions"], 3)
        return found

    def refused(self, code, words, *arguments, **environment):
        done = bench(*arguments, **environment)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in ["lamp bench: ", *words]:
            self.assertIn(word, done.stderr)

    def test_bounds_and_ratios_come_from_the_same_run(self):
        found = self.measured("gemm", "--filter", "gemm/(binary32 fused|ps7 via binary32|binary64 fused) (avx|scalar)")
        machine = {(row["name"], row["target"]): row["ns"] for row in found["machine"]}
        sgemm = next(ns for (name, _), ns in machine.items() if name.startswith("SGEMM"))
        counts = {"binary32 fused": (1, 1, 1), "ps7 via binary32": (4, 3, 1), "binary64 fused": (1, 1, 2)}
        self.assertEqual({row["name"] for row in found["kernels"]}, set(counts))
        for row in found["kernels"]:
            operations, multiplications, wide = counts[row["name"]]
            ns = [machine[name, row["target"]] for name in ("vector operations, any ports", "fused multiply-adds, independent")]
            bound = max(operations * ns[0], multiplications * ns[1]) * wide / LANES[row["target"]]
            self.assertGreater(bound, 0)
            self.assertAlmostEqual(row["bound_ns"] / bound, 1, 9)
            self.assertAlmostEqual(row["ratio_sgemm"] * sgemm / row["ns_per_mac"], 1, 9)
            if not SANITIZED:  # else they are slow, and such specifications get small products
                self.assertIn("256 x 768 x 768", row["detail"])
        self.assertTrue(found["blas"].startswith("OpenBLAS "))
        self.assertFalse(found["functions"] or found["passes"])

    def test_slow_specifications_get_small_products(self):
        rows = self.measured("gemm", "--filter", "gemm/ps7 direct SR", LAMP_TARGET="scalar")["kernels"]
        self.assertEqual([row["detail"] for row in rows], ["4 x 128 x 64, naive"])

    def test_every_other_group(self):
        found = self.measured("--filter", "elementwise/(residual|softmax), ps7|selection/silu|functions/relu, (binary64|bfloat16) ")
        self.assertEqual([row["name"] for row in found["elementwise"]], ["residual, ps7", "softmax, ps7"])
        self.assertEqual([len(found[key]) for key in ("kernels", "selection", "functions", "passes")], [0, 1, 2, 0])
        for key in ("elementwise", "selection", "functions"):
            for row in found[key]:
                self.assertGreater(row["bound_ns"], 0)

    def test_readme_names_the_keys(self):
        found = self.measured("model", NANO, "--length", 2)
        others = self.measured("--filter", "gemm/binary32 fused (avx|scalar)|functions/relu, binary64")
        found |= {key: others[key] for key in ("kernels", "functions")}
        self.assertEqual(keys_of(found), keys_in_readme()["bench", ""])

    def test_passes_of_a_model(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "bench.json"
            done = bench("model", NANO, "--length", 8, "--threads", 2, *QUICK, "--json", file)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = json.loads(file.read_text())
        names = [row["name"] for row in found["passes"]]
        self.assertEqual(names, ["SGEMM of the same products", "ps7 scores with LAMP", "ps7 everywhere", "ps7 with LAMP everywhere", "h100 everywhere"])
        self.assertEqual(found["threads"], 2)
        sgemm, *passes = found["passes"]
        for row in passes:
            self.assertIn("8 tokens", row["detail"])
            self.assertGreater(row["bound_seconds"], 0)
            self.assertLess(row["bound_seconds"], row["seconds"])
            self.assertAlmostEqual(row["ratio_sgemm"] * sgemm["seconds"] / row["seconds"], 1, 9)
            self.assertIn(row["name"], done.stdout)  # the table, beside a file of JSON

    def test_another_instruction_set(self):
        found = self.measured("functions", "--filter", "exp, binary64", LAMP_TARGET="scalar")
        self.assertEqual([row["target"] for row in found["functions"]], ["scalar"])

    def test_refusals(self):
        self.refused(2, ['"gem" is not legal', 'did you mean "gemm"?'], "gem")
        self.refused(2, ["unexpected argument"], "gemm", NANO)
        self.refused(2, ['--shape "gpt3"', "gpt2, gpt2-medium, smollm2"], "--shape", "gpt3")
        self.refused(2, ["--shape has no meaning"], "gemm", "--shape", "gpt2")
        self.refused(2, ["--length 1025", "1 to 1024"], "--shape", "gpt2", "--length", 1025)
        self.refused(2, ['--length "0"'], "--shape", "gpt2", "--length", 0)
        self.refused(2, ["--filter matches no row"], "gemm", "--filter", "no such row")
        self.refused(2, ["no regular expression"], "gemm", "--filter", "(")
        self.refused(2, ["--json model names a group"], "--json", "model")
        for time in ("0", "-1", "x", "61", "nan", "1s", ""):
            self.refused(2, ["--time", "at most 60"], "--time", time)
        for threads in ("0", "1025", "x"):
            self.refused(2, ["--threads"], "--threads", threads)
        self.refused(66, ["config.json"], "model", "/nowhere")

    def test_what_does_not_fit_is_refused_with_its_size(self):
        with tempfile.TemporaryDirectory() as folder:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            width = 1024
            layers = memory // (12 * width * width * 4) + 1  # more than memory in weights: a file with a hole
            write_checkpoint(folder, width, layers, 16, 1000, 64, weights=False)
            self.refused(71, ["64 tokens takes", "GiB of memory at least", "what this machine has"], "model", folder)


class Absent(unittest.TestCase):
    def test_a_lamp_without_it_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = shutil.copy(LAMP, folder)
            done = bench("gemm", binary=alone)
        self.assertEqual((done.returncode, done.stdout), (66, ""))
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("built without Google Benchmark or OpenBLAS", done.stderr)


if __name__ == "__main__":
    unittest.main()
