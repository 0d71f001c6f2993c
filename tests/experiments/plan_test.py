"""What `lamp plan` says of a run against the run itself, and that it reads no weight."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from random_checkpoint import write_checkpoint  # noqa: E402
from results import LAMP, ROOT, lamp, sets  # noqa: E402
from sanitized import MEMORY, skip_if_sanitized  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
NANO = ROOT / "data/models/gpt2-nano"
SITES = '["ln_1", "qkv", "scores", "softmax", "values", "resid_1", "mlp_fc", "gelu", "mlp_proj", "logits"]'


def measured(*arguments):
    """What a command says as JSON, its seconds (elapsed, of the processor) and its largest resident set, as the kernel counts them."""
    start = time.monotonic()
    child = subprocess.Popen([str(LAMP), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    peak = 0  # ru_maxrss would count this interpreter too, whose copy the child is before exec
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        if "Name:\tlamp\n" in status and (found := re.search(r"VmHWM:\s*(\d+) kB", status)):
            peak = max(peak, 1024 * int(found[1]))
        time.sleep(0.002)
    said, complaint = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close(), child.stderr.close()
    if child.returncode != 0:
        raise AssertionError(f"{arguments}: {complaint.decode()}")
    return json.loads(said), time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak


def measured_run(config, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        return measured("run", config, "--out", pathlib.Path(folder) / "run", "--quiet", "--json", *arguments)


class Plans(unittest.TestCase):
    def setUp(self):
        self.scratch_folder = tempfile.TemporaryDirectory()
        self.scratch = pathlib.Path(self.scratch_folder.name)
        self.addCleanup(self.scratch_folder.cleanup)

    def copy_of_nano(self):
        return pathlib.Path(shutil.copytree(NANO, self.scratch / "model"))

    def test_no_weight_is_looked_at(self):
        model = self.copy_of_nano()
        data = bytearray((model / "model.safetensors").read_bytes())
        begin = 8 + int.from_bytes(data[:8], "little")
        data[begin:] = b"\xff" * (len(data) - begin)  # every weight is NaN
        (model / "model.safetensors").write_bytes(data)
        asked = sets(f"model.path={model}")
        plan, whole = (json.loads(lamp("plan", CONFIG, "--json", *a).stdout) for a in (asked, ()))
        for key in ("sequences", "cells", "computed", "macs_per_pass"):
            self.assertEqual(plan[key], whole[key])
        self.assertIsNone(plan["experiment"])  # which the weights enter
        self.assertIsNone(whole["experiment"])
        self.assertNotIn("experiment", lamp("plan", CONFIG).stdout)
        refused = lamp("run", CONFIG, "--out", self.scratch / "run", *asked, check=False)
        self.assertEqual(refused.returncode, 65)
        self.assertIn("NaN", refused.stderr)

    @skip_if_sanitized(MEMORY)
    def test_a_model_of_6_gigabytes(self):
        model = self.scratch / "xl"
        write_checkpoint(model, width=1600, layers=48, heads=25, vocabulary=50257, positions=1024, weights=False)
        (model / "ids.json").write_text(json.dumps([7] * 1024) + "\n")
        plan, _, seconds, peak = measured("plan", CONFIG, "--json", "--threads", 1, *sets(
            f"model.path={model}", "tokens.source=ids", f'tokens.path="{model}/ids.json"', "tokens.sequence_length=1024",
            "tokens.sequences=1"))
        weights = (model / "model.safetensors").stat().st_size
        self.assertGreater(plan["memory"]["weights"], 0.99 * weights)  # and the logits' own copy of the token vectors
        self.assertLess(peak, 0.15 * weights)
        self.assertGreater(plan["seconds"]["one_thread"], 100 * seconds)

    def test_the_header_is_checked(self):
        def refused(old, new, *words):
            model = self.copy_of_nano()
            data = (model / "model.safetensors").read_bytes()
            self.assertEqual((len(old), data.count(old)), (len(new), 1))
            (model / "model.safetensors").write_bytes(data.replace(old, new))
            told = [lamp(*command, CONFIG, *sets(f"model.path={model}"), check=False)
                    for command in (("plan",), ("run", "--out", self.scratch / "run"))]
            for done in told:
                self.assertEqual(done.returncode, 65, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
            self.assertEqual(*(done.stderr.split(": ", 1)[1] for done in told))
            shutil.rmtree(model)
        refused(b'"h.2.mlp.c_fc.bias"', b'"h.2.mlp.c_fc.bios"', "h.2.mlp.c_fc.bias", "missing")
        refused(b'"wpe.weight": {"dtype": "F32", "shape": [512, 128]', b'"wpe.weight": {"dtype": "F32", "shape": [128, 512]',
                "wpe.weight", "(512, 128)", "transposed")
        model = self.copy_of_nano()
        with open(model / "model.safetensors", "r+b") as file:
            file.truncate(10 ** 6)
        self.assertEqual(lamp("plan", CONFIG, *sets(f"model.path={model}"), check=False).returncode, 65)

    @skip_if_sanitized(MEMORY)
    def test_memory_and_time_of_runs(self):
        """The time within wide bounds: others may be at work, on the same core too. plan_against_runs.py has the narrow ones."""
        for threads, changes in ((1, ["tokens.sequences=4"]), (2, [f"record.errors={SITES}", 'grid."arithmetic.low.mu"=[4]'])):
            plan = json.loads(lamp("plan", CONFIG, "--json", "--threads", threads, *sets(*changes)).stdout)
            _, _, seconds, peak = measured_run(CONFIG, "--threads", threads, *sets(*changes))
            self.assertLess(abs(plan["memory"]["peak"] / peak - 1), 0.15, (threads, plan["memory"], peak))
            self.assertLess(plan["seconds"]["one_thread"], 2 * seconds)
            self.assertGreater(plan["seconds"]["one_thread"], seconds / 2)


if __name__ == "__main__":
    unittest.main()
