"""plan, status, inspect, verify, completion: what they say, against what h5py, the operating system and bash say."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from readme_keys import keys_in_readme, keys_of  # noqa: E402
from results import LAMP, ROOT, lamp, sets  # noqa: E402
from sanitized import MEMORY, SANITIZED  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
NANO = ROOT / "data/models/gpt2-nano"
FLIP_BIT = os.environ["LAMP_FLIP_BIT"]
SMALL = ["--set", 'grid."arithmetic.low.mu"=[4]', "--set", "tokens.sequences=1"]


def run_and_measure(*arguments):
    """Seconds of processor time and the largest resident set of one process, as the kernel counts them."""
    child = subprocess.Popen([str(LAMP), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0  # ru_maxrss would count this interpreter too, whose copy the child is before exec
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        if "Name:\tlamp\n" in status and (found := re.search(r"VmHWM:\s*(\d+) kB", status)):
            peak = max(peak, 1024 * int(found[1]))
        time.sleep(0.002)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, arguments
    return usage.ru_utime + usage.ru_stime, peak


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.whole = cls.scratch / "whole"
        cls.seconds, cls.memory = run_and_measure("run", CONFIG, "--out", cls.whole, "--threads", 1, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def copy(self, name):
        shutil.copytree(self.whole, self.scratch / name)
        return self.scratch / name

    def refused(self, code, words, *arguments):
        done = lamp(*arguments, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        return done

    def status(self, folder, code=0):
        done = lamp("status", folder, "--json", check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    # plan

    def test_plan_counts_and_is_near_the_run(self):
        plan = json.loads(lamp("plan", CONFIG, "--threads", 1, "--json").stdout)
        self.assertEqual((plan["texts"], plan["sequences"], plan["grid_points"], plan["cells"]), (2, 4, 36, 36))
        # all: 1. Of each mu: nothing selected, and lamp and random at two tau.
        self.assertEqual((plan["computed"], plan["passes"]), (1 + 3 * (1 + 4), 4 * (1 + 16)))
        disk = sum(shard.stat().st_size for shard in (self.whole / "shards").iterdir())
        self.assertLess(abs(plan["disk"]["shards"] - disk), 0.3 * disk)
        self.assertLess(abs(plan["disk"]["result"] - (self.whole / "result.h5").stat().st_size), 0.5 * disk)
        if SANITIZED:
            self.skipTest(MEMORY)
        self.assertLess(abs(plan["memory"]["peak"] - self.memory), 0.3 * self.memory)
        # others may be at work on the machine: processor time, and a wide margin
        self.assertLess(plan["seconds"]["one_thread"], 5 * self.seconds)
        self.assertGreater(plan["seconds"]["one_thread"], self.seconds / 5)

    def test_plan_says_how_products_are_evaluated(self):
        def products(*arguments):
            plan = json.loads(lamp("plan", CONFIG, "--json", *arguments).stdout)
            return {what: product for product in plan["products"] for what in product["what"]}
        low = "arithmetic.low."
        for arguments, expected, sites in (([], "kernel-32", 3), (["--set", low + 'rounding="SR"'], "by-columns", 3),
                                           (["--set", low + 'order="pairwise:8"'], "by-tiles", 3)):
            found = products(*arguments)
            self.assertEqual(found["scores"]["evaluation"], expected, arguments)
            self.assertEqual(found["scores"]["arithmetics"], sites)  # three mu
            self.assertEqual(found["scores recomputed"]["arithmetics"], 1)
            self.assertEqual(found["reference"]["evaluation"], "kernel-64")
            self.assertEqual({"qkv", "values", "attn_proj", "mlp_fc", "mlp_proj", "logits"} - found.keys(), set())
            for product in found.values():
                self.assertTrue(0 < product["ns_per_mac"][0] <= product["ns_per_mac"][1] < 1e5, product)
        self.assertNotIn("reference", products("--set", 'reference.arithmetic="mpfr:60"'))
        self.assertIn("\n            scores: kernel-32, ", lamp("plan", CONFIG).stdout)

    def test_plan_grows_with_what_is_asked(self):
        def plan(*arguments):
            return json.loads(lamp("plan", CONFIG, "--json", "--threads", 1, *arguments).stdout)
        small, large = plan(*SMALL), plan("--set", "tokens.sequences=8")
        self.assertEqual((small["cells"], small["sequences"], large["sequences"]), (12, 2, 16))
        self.assertGreater(large["seconds"]["one_thread"], 4 * small["seconds"]["one_thread"])
        self.assertGreater(large["disk"]["shards"], 8 * small["disk"]["shards"])
        whole = plan("--set", "record.activations=[\"scores\"]")
        self.assertGreater(whole["memory"]["recorded"], 10 * small["memory"]["recorded"])

    def test_every_study_is_one_that_can_run(self):
        """Those of SmolLM2, which is not here, with the small Llama of the golden tests and ids, as it has no tokenizer."""
        ids = self.scratch / "ids.txt"
        ids.write_text("".join(f"{[(i * j) % 48 for j in range(48)]}\n" for i in range(8)))
        llama = [f"model.path={ROOT}/tests/golden/llama/model", "tokens.source=ids", f"tokens.path={ids}"]
        studies = sorted((ROOT / "experiments/studies").glob("*/*.toml"))
        self.assertGreaterEqual(len(studies), 7)
        for study in studies:
            changes = ["tokens.sequences=1", "tokens.sequence_length=48"]
            if "smollm2" in study.read_text():
                changes += llama + (["continuation.tokens=8"] if "[continuation]" in study.read_text() else [])
            plan = json.loads(lamp("plan", study, "--json", "--threads", 1, *sets(*changes)).stdout)
            self.assertGreater(plan["cells"], 0, study)

    def test_plan_runs_and_writes_nothing(self):
        folder = self.scratch / "empty"
        folder.mkdir()
        lamp("plan", CONFIG, cwd=folder)
        self.assertEqual(list(folder.iterdir()), [])
        self.refused(66, ["no such config file"], "plan", folder / "none.toml")
        self.refused(65, ["unknown key"], "plan", CONFIG, "--set", "tokens.sequencs=1")

    # status

    def test_status_of_a_complete_run(self):
        status = self.status(self.whole)
        self.assertTrue(status["complete"])
        self.assertEqual(status["cells"], {"asked": 144, "done": 144, "failed": 0})
        self.assertEqual(status["result"], {"present": True, "up_to_date": True, "damage": None})
        self.assertEqual([(s["text"], s["sequence"], s["done"]) for s in status["shards"]],
                         [("prose", 0, 36), ("prose", 1, 36), ("code", 0, 36), ("code", 1, 36)])
        self.assertEqual((status["title"], status["running"], status["note"]), ("nano", [], None))
        with h5py.File(self.whole / "result.h5") as f:
            self.assertEqual(status["experiment"], f.attrs["experiment"])
        self.assertIn("144 of 144 done", lamp("status", self.whole).stdout)

    def test_status_counts_what_is_missing(self):
        out = self.scratch / "part"
        lamp("run", CONFIG, "--out", out, "--shard", "2/3", "--quiet", check=False)
        status = self.status(out, 75)
        self.assertEqual((status["complete"], status["cells"]["done"], status["sequences"]["complete"]), (False, 36, 1))
        self.assertEqual([s["published"] is not None for s in status["shards"]], [False, True, False, False])
        self.assertEqual(status["result"], {"present": False, "up_to_date": False, "damage": None})
        # points of another grid, in the same folder, are not points of this one
        out = self.scratch / "other points"
        lamp("run", CONFIG, "--out", out, "--quiet", *SMALL)
        study = (out / "study.toml").read_text()
        (out / "study.toml").write_text(study.replace('"arithmetic.low.mu" = [4]', '"arithmetic.low.mu" = [6]'))
        status = self.status(out, 75)
        self.assertEqual(status["cells"], {"asked": 24, "done": 0, "failed": 0})
        self.assertFalse(status["result"]["up_to_date"])

    def test_status_sees_an_old_result(self):
        out = self.copy("old")
        os.utime(out / "result.h5", (1, 1))
        self.assertEqual(self.status(out)["result"], {"present": True, "up_to_date": False, "damage": None})

    def test_status_names_a_damaged_shard(self):
        out = self.copy("damaged")
        shard = sorted((out / "shards").iterdir())[1]
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        self.refused(65, [shard.name, "SHA-256"], "status", out)
        status = self.status(out, 65)
        self.assertEqual(status["cells"]["done"], 108)
        self.assertEqual([s["file"] for s in status["shards"] if s["damage"]], [str(shard)])

    def test_status_without_model_and_texts(self):
        home = self.scratch / "home"
        shutil.copytree(NANO, home / "data/models/gpt2-nano")
        shutil.copytree(ROOT / "data/texts", home / "data/texts")
        (home / "tests/experiments").mkdir(parents=True)
        shutil.copy(CONFIG, home / "tests/experiments")
        lamp("run", home / "tests/experiments/nano.toml", "--out", home / "out", "--quiet", *SMALL)
        (home / "data/models/gpt2-nano/model.safetensors").unlink()  # not needed: study.toml names its content
        status = self.status(home / "out")
        self.assertEqual((status["complete"], status["note"], status["shards"][1]["text"]), (True, None, "code"))
        self.refused(66, ["safetensors"], "verify", home / "out")
        shutil.rmtree(home / "data")
        status = self.status(home / "out")
        self.assertEqual((status["complete"], status["cells"]["done"]), (True, 24))
        self.assertIn("not known", status["note"])
        study = home / "out/study.toml"
        study.write_text("".join(line for line in study.read_text().splitlines(True) if not line.startswith("# inputs")))
        status = self.status(home / "out")
        self.assertEqual(status["cells"]["done"], 24)
        self.assertIn("gone", status["note"])

    def test_status_names_the_run_at_work(self):
        out = self.scratch / "running"
        run = subprocess.Popen([str(LAMP), "run", str(CONFIG), "--out", str(out), "--threads", "1", "--quiet"])
        while not (out / "study.toml").exists() and run.poll() is None:
            time.sleep(0.002)
        seen = self.status(out, 75)["running"]
        while run.poll() is None:
            lamp("status", out, check=False)  # looking does no harm
        self.assertEqual(run.returncode, 0)
        self.assertEqual(len(seen), 1)
        self.assertIn(f"process {run.pid},", seen[0])
        self.assertEqual(self.status(out)["running"], [])

    def test_folders_that_are_none_of_a_run(self):
        for command in ("status", "verify"):
            self.refused(66, ["/nowhere"], command, "/nowhere")
            self.refused(66, ["not the folder of a run"], command, ROOT / "data")
            self.refused(2, ["DIR is required"], command)
            self.refused(2, ["unknown option --jason", "--json"], command, self.whole, "--jason")
        foreign = self.scratch / "foreign"
        foreign.mkdir()
        (foreign / "study.toml").write_text('title = "mine"\n')
        for command in ("status", "verify"):
            self.refused(65, ["study.toml:1: does not name an experiment"], command, foreign)

    # inspect

    def test_inspect_agrees_with_h5py(self):
        told = json.loads(lamp("inspect", self.whole / "result.h5", "--json").stdout)
        self.assertEqual((told["kind"], told["title"], told["cells"]), ("result", "nano", {"done": 144, "pending": 0, "failed": 0}))
        found = {}
        with h5py.File(self.whole / "result.h5") as f:
            def visit(name, node):
                if isinstance(node, h5py.Dataset) and not name.startswith("provenance/"):
                    found["/" + name] = node
            f.visititems(visit)
            self.assertEqual({d["path"] for d in told["datasets"]}, set(found))
            for d in told["datasets"]:
                node = found[d["path"]]
                self.assertEqual(tuple(d["shape"]), node.shape)
                self.assertEqual((d["units"], d["long_name"]), (node.attrs["units"], node.attrs["long_name"]))
                self.assertEqual(d["scale"], h5py.h5ds.is_scale(node.id))
                self.assertEqual(d["type"], "text" if node.dtype == object else str(node.dtype))
                if not d["scale"]:
                    self.assertEqual(d["dims"], [dim.label for dim in node.dims])
            self.assertEqual(told["provenance"], {name: f["provenance"][name].asstr()[()] for name in f["provenance"]})

    def test_inspect_tells_perplexity(self):
        told = json.loads(lamp("inspect", self.whole / "result.h5", "--json").stdout)["perplexity"]
        with h5py.File(self.whole / "result.h5") as f:
            reference, runs = f["reference/cross_entropy"][()], f["metrics/cross_entropy"][()]
        self.assertEqual([(p["text"], p["sequences"]) for p in told], [("prose", 2), ("code", 2)])
        for t, p in enumerate(told):
            expected = np.exp(runs[t].mean(0))
            for name, value in (("reference", np.exp(reference[t].mean())), ("lowest", expected.min()), ("highest", expected.max())):
                self.assertAlmostEqual(p[name] / value, 1.0, delta=1e-14)
            self.assertGreater(p["highest"], p["lowest"])
        self.assertIn(f"prose: reference {told[0]['reference']:.6g}, runs {told[0]['lowest']:.6g} to {told[0]['highest']:.6g} (2 sequences)",
                      lamp("inspect", self.whole / "result.h5").stdout)

    def test_inspect_plain(self):
        for file in (self.whole / "result.h5", sorted((self.whole / "shards").iterdir())[0]):
            lines = lamp("inspect", file).stdout.splitlines()
            self.assertTrue(any("kl_position" in line for line in lines))
            self.assertLessEqual(max(map(len, lines)), 100)

    def test_inspect_a_shard(self):
        shard = sorted((self.whole / "shards").iterdir())[0]
        told = json.loads(lamp("inspect", shard, "--json").stdout)
        self.assertEqual((told["kind"], told["cells"]["done"]), ("shard", 36))
        dims = {d["path"]: d["dims"] for d in told["datasets"]}
        self.assertEqual((dims["/metrics/kl_position"], dims["/reference/tokens"]), (["cell", "position"], ["position"]))
        damaged = self.scratch / "damaged.h5"
        damaged.write_bytes(shard.read_bytes()[:-100])
        self.refused(65, ["damaged.h5", "SHA-256"], "inspect", damaged)

    def test_inspect_what_is_neither(self):
        other = self.scratch / "other.h5"
        with h5py.File(other, "w") as f:
            f["x"] = 1
        empty = self.scratch / "nothing"
        empty.write_bytes(b"")
        cut = self.scratch / "cut.h5"
        cut.write_bytes((self.whole / "result.h5").read_bytes()[:5000])
        fifo = self.scratch / "fifo"
        os.mkfifo(fifo)
        for file, word in ((other, "not a whole result"), (cut, "not a whole result"), (empty, "neither"), (CONFIG, "neither"),
                           (fifo, "not a regular file"), (self.whole, "a folder without config.json")):
            self.refused(65, [str(file), word], "inspect", file)
        self.refused(66, ["no such file"], "inspect", "/nowhere")

    # the README's list of keys

    def test_readme_names_the_keys_of_json(self):
        written = keys_in_readme()
        shard = sorted((self.whole / "shards").iterdir())[0]
        calls = [("config",), ("formats", "e4m3", "h100", "mxfp4"), ("version",),
                 ("plan", CONFIG, "--shards", 2, "--set", "continuation.tokens=2", "--set", "truth.coarse=false"),
                 ("status", self.whole), ("inspect", self.whole / "result.h5"), ("inspect", shard), ("inspect", NANO),
                 ("inspect", ROOT / "tests/golden/llama/model"),
                 ("run", CONFIG, "--out", self.whole, "--quiet"), ("merge", self.whole, "--out", self.scratch / "merged.h5")]
        answered = {}  # one model has a tokenizer, another rotary positions
        for command, *arguments in calls:
            answer = json.loads(lamp(command, *arguments, "--json").stdout)
            answered.setdefault((command, answer.get("kind", "")), set()).update(keys_of(answer))
        for command, keys in answered.items():
            named = written[command]
            self.assertEqual(named - keys, set(), command)
            self.assertEqual(keys - named if named.complete else set(), set(), command)
        self.assertEqual(set(written) - {(c, "") for c in ("fetch", "verify", "reveal", "bench", "slurm")},  # read in tests of their own
                         {(c, "") for c, *_ in calls if c != "inspect"} | {("inspect", k) for k in ("result", "shard", "model")})

    # verify

    def test_verify_finds_the_same_bits(self):
        told = json.loads(lamp("verify", self.whole, "--json").stdout)
        self.assertIn(told.pop("seed"), range(2**32))
        self.assertEqual(told, {"sequences": 4, "cells": 4, "same_bits": True, "difference": None})
        told = json.loads(lamp("verify", self.whole, "--fraction", "0.1", "--threads", 2, "--json").stdout)
        self.assertEqual(told["cells"], 16)
        whole = lamp("verify", self.whole, "--fraction", 1, "--seed", 2**32 - 1)
        self.assertIn("the same bits in 144 cells", whole.stdout)
        self.assertEqual(whole.stderr, "lamp verify: these cells again: --seed 4294967295\n")
        self.assertEqual([p.name for p in self.whole.iterdir() if "verify" in p.name], [])

    def test_verify_chooses_cells_at_random(self):
        """One of twelve cells is changed: of 40 seeds some choose it, most do not, each as before, also in a larger fraction."""
        out = self.scratch / "chosen"
        lamp("run", CONFIG, "--out", out, "--quiet", *SMALL, "--set", "tokens.sequence_length=2")
        subprocess.run([FLIP_BIT, str(sorted((out / "shards").iterdir())[0]), "/metrics/flip_rate", "5"], check=True)

        def finds(seed, fraction=0.01):
            done = lamp("verify", out, "--json", "--seed", seed, "--fraction", fraction, check=False)
            told = json.loads(done.stdout)
            self.assertEqual((told["seed"], done.returncode), (seed, 0 if told["same_bits"] else 1))
            self.assertIn("" if told["same_bits"] else f"; again: --seed {seed}\n", done.stderr)
            return not told["same_bits"]

        found = [seed for seed in range(40) if finds(seed)]
        self.assertTrue(1 <= len(found) <= 12, found)
        for seed in found:
            self.assertTrue(finds(seed) and finds(seed, 0.3))
        drawn = {json.loads(lamp("verify", out, "--json", check=False).stdout)["seed"] for _ in range(3)}
        self.assertEqual(len(drawn), 3)
        for seed in ("-1", "4294967296", "1.5", "0x1", " 1"):
            self.refused(2, ["--seed", "legal: 0 to 4294967295"], "verify", out, "--seed=" + seed)

    def test_what_a_killed_verify_left_is_removed(self):
        out = self.copy("scratch left")
        verify = subprocess.Popen([str(LAMP), "verify", str(out), "--fraction", "1", "--threads", "1"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(out.glob(".lamp-verify-*/shards")) and verify.poll() is None:
            time.sleep(0.001)
        verify.kill()
        verify.wait()
        left = out / next(out.glob(".lamp-verify-*")).name
        for command in (["verify", out], ["run", CONFIG, "--out", out, "--quiet"]):
            (left / "shards").mkdir(parents=True, exist_ok=True)
            self.assertEqual(self.status(out)["cells"]["done"], 144)
            lamp(*command)
            self.assertEqual(list(out.glob(".lamp-verify-*")), [], command)

    def test_verify_finds_one_changed_bit(self):
        small = self.scratch / "small"
        lamp("run", CONFIG, "--out", small, "--quiet", *SMALL, "--set", "tokens.sequence_length=16")
        for number, (dataset, cell) in enumerate((("/metrics/kl_position", "7"), ("/metrics/flip_rate", "0"),
                                                  ("/reference/cross_entropy", "0"), ("/metrics/recompute_rate", "11"))):
            out = shutil.copytree(small, self.scratch / f"flipped{number}")
            shard = sorted((out / "shards").iterdir())[1]
            subprocess.run([FLIP_BIT, str(shard), dataset, cell], check=True)
            self.assertEqual(self.status(out)["cells"]["done"], 24)  # every digest is right
            done = self.refused(1, [f"{dataset}: element 0 is 0x", "sequence "], "verify", out, "--fraction", 1)
            told = json.loads(lamp("verify", out, "--fraction", 1, "--json", check=False).stdout)
            self.assertEqual((told["same_bits"], told["difference"]["dataset"]), (False, dataset))
            stored, computed = re.search(r"is (0x\w+) in the shard, computed (0x\w+)", done.stderr).groups()
            self.assertEqual(int(stored, 16) ^ int(computed, 16), 1)
            if dataset.startswith("/metrics"):
                self.assertIn("arithmetic.low.mu = ", done.stderr)

    def test_verify_needs_what_the_run_had(self):
        out = self.copy("changed")
        study = (out / "study.toml").read_text()
        (out / "study.toml").write_text(study.replace("seed = 7", "seed = 8"))
        self.refused(65, ["changed since the run"], "verify", out)
        for fraction in ("0", "-1", "1.5", "nan", "0x1p-1", "1/2", " 1", "1e999"):
            self.refused(2, ["--fraction", "more than 0, at most 1"], "verify", out, "--fraction=" + fraction)

    # completion

    def complete(self, line):
        """What bash offers for the last word of the line, which it cuts at '=' and ':'."""
        words = re.findall(r"[=:]|[^\s=:]+", line) + ([""] if line.endswith(" ") else [])
        script = f"""source <('{LAMP}' completion bash); complete -p lamp >/dev/null || exit 1
            COMP_WORDS=("$@"); COMP_WORDS[0]='{LAMP}'; COMP_CWORD=$(($# - 1)); _lamp; printf '%s\\n' "${{COMPREPLY[@]}}" """
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True, text=True, cwd=ROOT, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_completion(self):
        helped = lamp("help").stdout
        available = re.findall(r"\n  (\w+)", helped)
        self.assertEqual(sorted(self.complete("lamp ")), sorted([*available, "-h", "--help", "--version"]))
        for command in available:  # every option of its -h, and no other
            asked = set(re.findall(r"(?:\n  |,)(--?[a-z-]*[a-z])", lamp(command, "-h").stdout))
            self.assertEqual(set(self.complete(f"lamp {command} -")), asked, command)
        self.assertEqual(self.complete("lamp ru"), ["run"])
        self.assertEqual(self.complete("lamp help ru"), ["run"])
        self.assertEqual(self.complete("lamp run tests/experiments/na"), ["tests/experiments/nano.toml"])
        self.assertIn("--threads", self.complete("lamp run tests/experiments/nano.toml "))
        self.assertEqual(self.complete("lamp inspect data/models/gpt2-nano/conf"), ["data/models/gpt2-nano/config.json"])
        self.assertEqual(self.complete("lamp status tests/exp"), ["tests/experiments"])
        self.assertEqual(self.complete("lamp run x.toml --out=tests/exp"), ["tests/experiments"])
        self.assertEqual(self.complete("lamp run x.toml --threads "), [])
        self.assertEqual(self.complete("lamp completion "), ["bash", "zsh", "fish"])
        self.assertIn("bfloat16", self.complete("lamp formats bf"))
        self.assertEqual("gemm" in self.complete("lamp bench "), "bench" in available)
        self.assertEqual(self.complete("lamp nonsense "), [])

    def test_completion_of_keys(self):
        keys = self.complete("lamp run x.toml --set tokens.sequence")
        self.assertEqual(sorted(keys), ["tokens.sequence_length=", "tokens.sequences="])
        line = "lamp run tests/experiments/nano.toml --set "
        self.assertIn("arithmetic.low.mu=", self.complete(line + "arithmetic.low."))
        self.assertIn("grid.arithmetic.low.mu=", self.complete(line + "grid."))
        self.assertIn("lamp.scores.tau=", self.complete(line + "lamp."))
        self.assertEqual(self.complete(line + "lamp.scores.rule=py"), ["python:"])
        every = self.complete(line)
        for start in ("plan.layer.", "plan.layer.3.", "plan.layer.3.head.1.", "lamp.layer.0.", "lamp.layer.0.head.0.", "store.layer.0.",
                      "grid.", "grid.plan.layer.1.", "grid.lamp.layer.1."):
            every += self.complete(line + start)[::9]
        self.assertGreater(len(every), 150)
        for key in every:  # each is a key, or the beginning of one
            if key.endswith("="):
                told = lamp("plan", CONFIG, "--set", key + "[]", check=False).stderr
                self.assertNotRegex(told, "unknown|does not have|not part of|no selection|stored alike", key)
            else:
                self.assertTrue(self.complete(line + key), key)

    def test_completion_of_layers(self):
        """gpt2-nano has 4 layers of 2 heads."""
        line = "lamp run tests/experiments/nano.toml --set "
        self.assertEqual(sorted(self.complete(line + "plan.l")), ["plan.layer.", "plan.ln_1=", "plan.ln_2=", "plan.ln_f=", "plan.logits="])
        self.assertEqual(sorted(self.complete(line + "plan.layer.")), sorted(f"plan.layer.{n}{end}" for n in range(4) for end in "=."))
        within = "ln_1 qkv scores softmax values attn_proj resid_1 ln_2 mlp_fc gelu mlp_proj resid_2".split()
        self.assertEqual(self.complete(line + "plan.layer.0."), [*(f"plan.layer.0.{site}=" for site in within), "plan.layer.0.head."])
        self.assertEqual(self.complete(line + "plan.layer.3.head.1."),
                         [f"plan.layer.3.head.1.{site}=" for site in ("scores", "softmax", "values")])
        self.assertEqual(self.complete(line + "store.layer.2.sc"), ["store.layer.2.scores="])
        self.assertEqual(self.complete(line + "grid.lamp.layer.2.sc"), ["grid.lamp.layer.2.scores.tau=", "grid.lamp.layer.2.scores.rate="])
        self.assertEqual(self.complete(line + "plan.layer.1="), ["low", "high"])
        self.assertEqual(self.complete(line + "tokens.shuffle=t"), ["true"])
        self.assertEqual(self.complete(line + "arithmetic.low.rounding=RT"), ["RTZ", "RTP", "RTN", "RTO"])
        self.assertEqual(self.complete(line + "arithmetic.low.order=nu"), ["numpy-sum:"])
        self.assertEqual(self.complete(line + "reference.arithmetic=mp"), ["mpfr:"])

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_completion_of_fish(self):
        def complete(line):  # what fish itself offers, with what it says of each
            script = f"'{LAMP}' completion fish | source; complete -C $argv[1]"
            done = subprocess.run(["fish", "--no-config", "--private", "-c", script, line], capture_output=True, text=True, cwd=ROOT,
                                  timeout=60, env={**os.environ, "HOME": str(self.scratch / "fish"), "PATH": self.path()})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return dict((row + "\t").split("\t")[:2] for row in done.stdout.splitlines())

        self.assertEqual(complete("lamp ru"), {"run": "runs an experiment or continues it"})
        self.assertEqual(complete("lamp run tests/experiments/na"), {"tests/experiments/nano.toml": ""})
        self.assertEqual(complete("lamp status --json tests/exp"), {"tests/experiments/": ""})
        self.assertEqual(complete("lamp run x.toml --out=tests/exp"), {"--out=tests/experiments/": ""})
        self.assertIn("data/models/gpt2-nano/config.json", complete("lamp inspect data/models/gpt2-nano/"))
        line = "lamp run tests/experiments/nano.toml --set "
        self.assertEqual(set(complete(line + "plan.layer.0.s")), {"plan.layer.0.scores=", "plan.layer.0.softmax="})
        self.assertEqual(set(complete(line + "plan.layer.1=")), {"plan.layer.1=low", "plan.layer.1=high"})
        self.assertEqual(complete("lamp nonsense "), {})

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_completion_of_zsh(self):
        """What a terminal shows when Tab is pressed."""
        home = self.scratch / "zsh"
        home.mkdir()
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 160, 0, 0))
        shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT, start_new_session=True,
                                 env={"HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb", "PATH": self.path(), "LC_ALL": "C.UTF-8"})
        os.close(terminal)

        shown = ""

        def until(is_there):
            nonlocal shown
            deadline = time.monotonic() + 30
            while not is_there() and time.monotonic() < deadline:
                if select.select([controller], [], [], 0.05)[0]:
                    shown += os.read(controller, 65536).decode(errors="replace")
            self.assertTrue(is_there(), shown)

        def line_after(keys):
            """What is on the command line after these keys."""
            buffer = home / "buffer"
            before = len(buffer.read_text().splitlines())
            os.write(controller, keys.encode() + b"\x14")
            until(lambda: len(buffer.read_text().splitlines()) > before)
            return buffer.read_text().splitlines()[-1]

        try:
            (home / "buffer").touch()
            os.write(controller, b"unsetopt zle_bracketed_paste; setopt no_beep; LISTMAX=1000; autoload -Uz compinit; compinit -u -D; "
                                 b"tell() { print -r -- $BUFFER >> ~/buffer }; zle -N tell; bindkey '^T' tell; "
                                 b"source <(lamp completion zsh); PS1='rea''dy> '\n")
            until(lambda: "ready> " in shown)
            self.assertEqual(line_after("lamp ru\t"), "lamp run ")
            self.assertEqual(line_after("tests/experiments/na\t"), "lamp run tests/experiments/nano.toml ")
            self.assertEqual(line_after("--se\t"), "lamp run tests/experiments/nano.toml --set ")
            line_after("plan.layer.0.s\t")
            until(lambda: "plan.layer.0.scores=" in shown and "plan.layer.0.softmax=" in shown)
            self.assertTrue(line_after("c\t").endswith("--set plan.layer.0.scores="))
            self.assertTrue(line_after("hi\t").endswith("--set plan.layer.0.scores=high "))
            self.assertTrue(line_after("--out=tests/exp\t").endswith("--out=tests/experiments/"))
            self.assertEqual(line_after("\x15lamp nonsense \t"), "lamp nonsense ")
            shown = ""
            line_after("\x15lamp \t")
            until(lambda: "runs an experiment or continues it" in shown)
        finally:
            shell.kill()
            shell.wait()
            os.close(controller)

    def path(self):
        """With this lamp as `lamp`."""
        folder = self.scratch / "bin"
        folder.mkdir(exist_ok=True)
        if not (folder / "lamp").exists():
            (folder / "lamp").symlink_to(pathlib.Path(LAMP).resolve())
        return f"{folder}:{os.environ['PATH']}"


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    unittest.main()
