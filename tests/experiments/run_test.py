"""`lamp run` as a user meets it: same bits for any number of threads and parts, resumption, refusal of foreign folders, xarray."""
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import h5py
import numpy as np
import xarray

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, contents, differences, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.whole = cls.scratch / "whole"
        cls.began = int(time.time())
        cls.first = lamp("run", CONFIG, "--out", cls.whole, "--threads", 1, "--json")

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def open(self):
        return h5py.File(self.whole / "result.h5", "r")

    def test_same_bits_for_any_threads(self):
        """Also with more than there are cells: they share passes, as all do in a reference pass."""
        for threads in (2, 7, 50):
            out = self.scratch / f"threads-{threads}"
            lamp("run", CONFIG, "--out", out, "--threads", threads, "--quiet")
            assert_same_bits(out / "result.h5", self.whole / "result.h5")
            for shard in (out / "shards").glob("*.h5"):
                self.assertEqual(shard.read_bytes(), (self.whole / "shards" / shard.name).read_bytes())

    def test_comparison_sees_one_flipped_bit(self):
        copy = self.scratch / "flipped.h5"
        copy.write_bytes((self.whole / "result.h5").read_bytes())
        with h5py.File(copy, "r+") as f:
            bits = f["metrics/kl"][()].view("u8")
            bits.flat[3] ^= np.uint64(1)
            f["metrics/kl"][...] = bits.view("f8")
        self.assertEqual(differences(copy, self.whole / "result.h5"), ["/metrics/kl"])

    def test_parts_give_the_whole(self):
        out = self.scratch / "parts"
        pending = lamp("run", CONFIG, "--out", out, "--shard", "2/3", "--quiet", check=False)
        self.assertEqual(pending.returncode, 75, pending.stderr)
        unfinished = lamp("merge", out, "--out", self.scratch / "unfinished.h5", check=False)
        self.assertEqual(unfinished.returncode, 75, unfinished.stderr)
        with h5py.File(self.scratch / "unfinished.h5") as f:
            status, kl = f["metrics/status"][()], f["metrics/kl"][()]
            self.assertTrue(set(np.unique(status)) == {0, 1})
            self.assertTrue(np.isnan(kl[status == 0]).all() and np.isfinite(kl[status == 1]).all())
        for part in ("1/3", "3/3"):
            lamp("run", CONFIG, "--out", out, "--shard", part, "--quiet", check=False)
        lamp("merge", out)
        assert_same_bits(out / "result.h5", self.whole / "result.h5")

    def test_a_finished_run_is_not_computed_again(self):
        before = {s.name: s.stat().st_mtime_ns for s in (self.whole / "shards").glob("*.h5")}
        again = lamp("run", CONFIG, "--out", self.whole, "--json")
        self.assertEqual(json.loads(again.stdout)["computed"], 0)
        self.assertEqual(before, {s.name: s.stat().st_mtime_ns for s in (self.whole / "shards").glob("*.h5")})

    def test_more_points_and_sequences_reuse_the_folder(self):
        out = self.scratch / "grow"
        small = ["--set", 'grid."arithmetic.low.mu"=[4]', "--set", "tokens.sequences=1"]
        lamp("run", CONFIG, "--out", out, "--quiet", *small)
        grown = json.loads(lamp("run", CONFIG, "--out", out, "--quiet", "--json").stdout)
        self.assertEqual(grown["resumed"], 2 * 1 * 12)
        assert_same_bits(out / "result.h5", self.whole / "result.h5")

    def test_another_experiment_is_refused(self):
        """What differs is named: keys with both values, in one line, and nothing else is."""
        before = contents(self.whole / "result.h5")
        axes = "text, arithmetic.low.mu, lamp.scores.tau, lamp.scores.rule"
        for change, words in (
                ("seed=8", "seed was 7, is 8"),
                ("tokens.shuffle=true", "tokens.shuffle was false, is true"),
                ("tokens.sequence_length=40", "tokens.sequence_length was 48, is 40"),
                ("plan.softmax=low", 'plan.softmax was absent, is "low"'),
                ('plan."layer.0"=low', 'plan.layer.0 was absent, is "low"'),
                ("arithmetic.high={mu=9}", 'arithmetic.high.format = "binary32" is now arithmetic.high.mu = 9'),
                ("arithmetic.low.via=none", 'arithmetic.low.via was "binary32", is "none"'),
                ("arithmetic.x.mu=4", "[arithmetic.x] is new"),
                ('reference.arithmetic="mpfr:60"', 'reference.arithmetic was "binary64", is "mpfr:60"'),
                ("model.activation=gelu", "model.activation was gelu_new, is gelu"),
                ("record.selected=true", "record.selected was false, is true"),
                ("truth.coarse=true", "[truth] is new"),
                (f'tokens.path=["{ROOT}/data/texts/code.txt"]', "the texts were [prose, code], are [code]"),
                ('grid."arithmetic.high.rounding"=["RNE"]', f"the axes were [{axes}], are [{axes}, arithmetic.high.rounding]")):
            refused = lamp("run", CONFIG, "--out", self.whole, "--set", change, check=False)
            self.assertEqual(refused.returncode, 73, change + refused.stderr)
            self.assertRegex(refused.stderr, r"\Alamp run: .*: holds another experiment \(\w{12}, this one is \w{12}\): "
                             + re.escape(words) + "; choose another --out\n\\Z")
        self.assertEqual(before, contents(self.whole / "result.h5"))

    def test_other_axes_are_refused_by_name(self):
        text = CONFIG.read_text().replace('"../../', f'"{ROOT}/')
        head, mu, tau, rule = text.partition("[grid]\n")[0] + "[grid]\n", *text.splitlines()[-3:]
        were = "were [text, arithmetic.low.mu, lamp.scores.tau, lamp.scores.rule], are"
        for name, lines, words in (
                ("order", [tau, mu, rule], f"the axes, in this order, {were} [text, lamp.scores.tau, arithmetic.low.mu, lamp.scores.rule];"),
                ("fewer", [mu, rule], f"the axes {were} [text, arithmetic.low.mu, lamp.scores.rule];")):
            config = self.scratch / f"{name}.toml"
            config.write_text(head + "\n".join(lines) + "\n")
            refused = lamp("run", config, "--out", self.whole, check=False)
            self.assertEqual(refused.returncode, 73, refused.stderr)
            self.assertIn(f"): {words} choose", refused.stderr)

    def test_changed_files_are_named(self):
        """By run, merge and verify: the model, a text, the tokenizer, lamp itself, study.toml."""
        home, parts = self.scratch / "changing", ("data/models/gpt2-nano", "data/texts", "tests/experiments")
        for part in parts:
            shutil.copytree(ROOT / part, home / part)
        config, out = home / "tests/experiments/nano.toml", home / "out"
        nano, reference = home / "data/models/gpt2-nano", home / "data/models/reference"
        shutil.copytree(nano, reference)
        (reference / "merges.txt").unlink()
        os.link(nano / "merges.txt", reference / "merges.txt")  # one vocabulary is needed
        small = ["--quiet", *sets('grid."arithmetic.low.mu"=[4]', "tokens.sequences=1", "arithmetic.x.mu=3",
                                  f"reference.model={reference}")]
        lamp("run", config, "--out", out, *small)

        def last_byte(data):
            return data[:-1] + bytes([data[-1] ^ 1])

        def last_merges(data):
            lines = data.splitlines(True)
            return b"".join(lines[:-2] + lines[:-3:-1])

        def of_another_lamp(data):  # whose identities are others
            first, rest = data.split(b"\n", 1)
            return first[:-64] + b"0" * 64 + b"\n" + rest.replace(b" semantics 2", b" semantics 1")

        changes = ((nano / "model.safetensors", last_byte, "the content of the model gpt2-nano"),
                   (reference / "model.safetensors", last_byte, "the content of the reference's model"),
                   (nano / "merges.txt", last_merges, "the content of the tokenizer"),
                   (home / "data/texts/code.txt", lambda data: data + b"x\n", "the content of the text code.txt"),
                   (out / "study.toml", of_another_lamp, "lamp's semantics number was 1, is 2"),
                   (out / "study.toml", lambda data: data.replace(b"seed = 7", b"seed = 8"), "nothing that its study.toml says"))
        for file, change, words in changes:
            whole = file.read_bytes()
            file.write_bytes(change(whole))
            self.assertNotEqual(file.read_bytes(), whole)
            for command in (["run", config, "--out", out, *small], ["merge", out], ["verify", out]):
                if words.startswith("nothing") and command[0] == "run":
                    continue  # it would go by its config
                refused = lamp(*command, check=False)
                self.assertEqual(refused.returncode, 73 if command[0] == "run" else 65, refused.stderr)
                self.assertIn(f"): {words}", refused.stderr)
                self.assertEqual((refused.stderr.count("\n"), refused.stderr.count("content")), (1, words.count("content")))
            file.write_bytes(whole)
        lamp("verify", out)
        at = small.index("arithmetic.x.mu=3")
        fewer = small[:at - 1] + small[at + 1:]
        self.assertIn("[arithmetic.x] is gone;", lamp("run", config, "--out", out, *fewer, check=False).stderr)

    def test_a_text_under_another_name_is_the_same_text(self):
        """Also where names are coordinates: the result has the new ones, and no cell is computed again."""
        other, text = self.scratch / "other.name", ROOT / "data/texts/prose.txt"
        shutil.copy(text, other)
        small = ["--quiet", "--json", *sets('grid."arithmetic.low.mu"=[4]', "tokens.sequences=1")]
        for name, path in (("renamed", "{}"), ("renamed in a list", '["{}"]')):
            out = self.scratch / name
            lamp("run", CONFIG, "--out", out, *small, *sets("tokens.path=" + path.format(text)))
            before = contents(out / "result.h5")
            again = lamp("run", CONFIG, "--out", out, *small, *sets("tokens.path=" + path.format(other)))
            self.assertEqual([json.loads(again.stdout)[key] for key in ("resumed", "computed")], [12, 0])
            after = contents(out / "result.h5")
            renamed = {path for path in before if before[path] != after[path]}
            self.assertTrue(all(path.endswith("/text") for path in renamed), renamed)
            self.assertEqual(bool(renamed), name != "renamed")
            lamp("verify", out)
            lamp("status", out)

    def test_study_says_when_files_were_read(self):
        comment = (self.whole / "study.toml").read_text().splitlines()[1]
        self.assertTrue(self.began <= int(re.search(r" read (\d+)$", comment)[1]) <= time.time(), comment)

    def test_identities_are_what_they_were(self):
        """Folders of older versions go on: nano.toml has had these since semantics 2, its experiment since names of texts do not enter."""
        self.assertTrue((self.whole / "study.toml").read_text().startswith(
            "# lamp experiment 38d309c91835340489fd15d31712c30bf95e6d77697bc3745c4299e7e059cbac\n"))
        self.assertEqual(sorted(file.name for file in (self.whole / "shards").iterdir()),
                         ["sequence-0000-418ccd1aa6862c09.h5", "sequence-0000-a57374184fe36b75.h5",
                          "sequence-0001-489d3ff83834aff3.h5", "sequence-0001-f3147a8df4c484eb.h5"])
        with h5py.File(next((self.whole / "shards").iterdir())) as f:
            cells = hashlib.sha256(f["cells/id"][()].tobytes()).hexdigest()
            self.assertEqual(cells, "b78d90f1a7c91a0dc50fc14293f418cc9648b983d4c1c7718eecf24ed5ca8f84")

    def test_foreign_folders_and_files_are_refused(self):
        folder = self.scratch / "foreign"
        folder.mkdir()
        (folder / "thesis.tex").write_text("x")
        for out in (folder, folder / "thesis.tex"):
            refused = lamp("run", CONFIG, "--out", out, check=False)
            self.assertEqual(refused.returncode, 73, refused.stderr)
        self.assertEqual(sorted(p.name for p in folder.iterdir() if p.name != "shards" and not p.name.startswith(".")), ["thesis.tex"])

    def test_damaged_shards_give_way(self):
        """A flipped bit, a shard under the name of another, one that is cut, one of another experiment: named, set aside, computed anew."""
        out, other = self.scratch / "damaged", self.scratch / "other-seed"
        shutil.copytree(self.whole, out)
        lamp("run", CONFIG, "--out", other, "--quiet", *sets("seed=8", "tokens.sequences=1", 'grid."arithmetic.low.mu"=[4]'))
        shards = sorted((out / "shards").glob("*.h5"))
        data = bytearray(shards[0].read_bytes())
        data[len(data) // 2] ^= 1
        shards[0].write_bytes(data)
        shutil.copy(shards[3], shards[1])
        shards[2].write_bytes(shards[2].read_bytes()[:-1])
        shutil.copy(next((other / "shards").glob("*.h5")), shards[3])
        damaged = {shard.name: shard.read_bytes() for shard in shards}
        status = lamp("status", out, "--json", check=False)
        self.assertEqual(status.returncode, 65, status.stderr)
        self.assertEqual([bool(shard["damage"]) for shard in json.loads(status.stdout)["shards"]], [True] * 4)
        merged = lamp("merge", out, "--json", check=False)
        self.assertEqual((merged.returncode, json.loads(merged.stdout)["done"], len(json.loads(merged.stdout)["damaged"])), (75, 0, 4), merged.stderr)
        for _ in range(2):  # the second time the names in damaged/ are taken
            again = lamp("run", CONFIG, "--out", out, "--quiet", "--json")
            self.assertEqual(len(json.loads(again.stdout)["set_aside"]), 4)
            self.assertEqual(sorted(re.findall(r"set aside as .*/damaged/(sequence-\d{4}-\w{16})", again.stderr)), [s.stem for s in shards])
            assert_same_bits(out / "result.h5", self.whole / "result.h5")
            self.assertEqual(damaged, {name: (out / "shards/damaged" / name).read_bytes() for name in damaged})
            self.assertEqual(lamp("status", out).stderr, "")
            for shard in shards:
                shard.write_bytes(damaged[shard.name])
        self.assertEqual(len(list((out / "shards/damaged").iterdir())), 8)

    def test_status_says_what_run_will(self):
        """Of a study.toml that was edited, a model that changed or is cut, a damaged result; of a model that is gone what the shards hold."""
        home = self.scratch / "status"
        for part in ("data/models/gpt2-nano", "data/texts", "tests/experiments/nano.toml"):
            (home / part).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, home / part)
        config, out, model = home / "tests/experiments/nano.toml", home / "out", home / "data/models/gpt2-nano"
        lamp("run", config, "--out", out, "--quiet")

        def says(code, words):
            status = lamp("status", out, check=False)
            self.assertEqual(status.returncode, code, status.stdout + status.stderr)
            self.assertIn(words, status.stderr if code else status.stdout)
        says(0, "up to date")
        study = (out / "study.toml").read_text()
        (out / "study.toml").write_text(study.replace("seed = 7", "seed = 8"))
        says(65, "has changed since the run")
        (out / "study.toml").write_text(study)
        result = (out / "result.h5").read_bytes()
        (out / "result.h5").write_bytes(result[:5000] + b"?" + result[5001:])
        says(0, "DAMAGED; lamp merge renews it")
        (out / "result.h5").write_bytes(result)
        weights = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
        says(65, "the content of the model")
        (model / "model.safetensors").write_bytes(weights[:-100])
        says(65, "model.safetensors")
        (model / "model.safetensors").write_bytes(weights)
        says(0, "144 of 144 done")
        shutil.rmtree(model)
        says(0, "which text and sequence a shard is of is not known")

    def test_interrupt_then_resume(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.scratch / f"signal{code}"
            run = subprocess.Popen([LAMP, "run", CONFIG, "--out", out, "--threads", "2"], stderr=subprocess.PIPE, text=True)
            while not (out / "study.toml").exists() and run.poll() is None:
                time.sleep(0.002)
            time.sleep(0.05)
            run.send_signal(number)
            _, error = run.communicate()
            self.assertEqual(run.returncode, code, error)
            self.assertIn("again", error)
            lamp("run", CONFIG, "--out", out, "--quiet")
            assert_same_bits(out / "result.h5", self.whole / "result.h5")

    def on_a_terminal(self, out, *options, columns=50):
        """A run whose standard error is a terminal of so many columns."""
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        run = subprocess.Popen([LAMP, "run", CONFIG, "--out", out, *options], stderr=terminal)
        os.close(terminal)
        return run, controller

    @staticmethod
    def read_until(controller, words):
        """What a terminal shows until it has these words, or nobody writes to it."""
        seen = b""
        while words is None or words not in seen:
            try:
                seen += os.read(controller, 65536)
            except OSError:
                break
        return seen.decode()

    def test_a_bar_stays_on_one_line(self):
        run, controller = self.on_a_terminal(self.scratch / "narrow", "--threads", "1")
        seen = self.read_until(controller, None)
        os.close(controller)
        self.assertEqual(run.wait(), 0, seen)
        bars = re.findall(r"\r([^\r\n]*cells, [^\r\n]*)\x1b\[K", seen)
        self.assertGreater(len(bars), 0, seen)
        self.assertIn("144/144 cells, took", bars[-1])
        for bar in bars:
            self.assertLess(len(bar), 50)

    def test_what_a_second_interrupt_costs(self):
        """The first one says it, on a terminal; a pass in 4000 bits goes on long enough for a second."""
        run, controller = self.on_a_terminal(self.scratch / "twice", "--threads", "1", "--set", "reference.arithmetic=mpfr:4000")
        while not (self.scratch / "twice/study.toml").exists() and run.poll() is None:
            time.sleep(0.002)
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        first = self.read_until(controller, b"last 30 s\r\n")
        self.assertIn("lamp: stopping at the next site of the network; finished cells are written; a second Ctrl-C ends at once and costs "
                      "the cells being computed, and those finished in the last 30 s", first)
        run.send_signal(signal.SIGINT)
        second = self.read_until(controller, None)
        os.close(controller)
        self.assertEqual(run.wait(), 130)
        self.assertIn("lamp: stopped by signal 2 at once; lost: the cells being computed, and those finished in the last 30 s; "
                      "run the same command again to continue", second)

    def test_two_runs_in_one_folder(self):
        out = self.scratch / "locked"
        run = subprocess.Popen([LAMP, "run", CONFIG, "--out", out, "--threads", "1", "--quiet"])
        while not (out / "study.toml").exists() and run.poll() is None:
            time.sleep(0.002)
        second = lamp("run", CONFIG, "--out", out, check=False)
        self.assertEqual(run.wait(), 0)
        self.assertEqual(second.returncode, 75, second.stderr)
        self.assertIn(f"process {run.pid}", second.stderr)

    def test_xarray_selects_by_coordinate(self):
        with xarray.open_dataset(self.whole / "result.h5", group="metrics", engine="h5netcdf") as metrics:
            point = metrics.kl.sel({"arithmetic.low.mu": 4, "lamp.scores.tau": 1.5, "lamp.scores.rule": "lamp", "text": "prose"})
            with self.open() as f:
                self.assertEqual(list(point.values), list(f["metrics/kl"][0, :, 1, 1, 0]))

    def test_values_make_sense(self):
        with self.open() as f:
            m = f["metrics"]
            kl, rate = m["kl"][()], m["recompute_rate"][()]  # (text, sequence, mu, tau, rule), (.., layer, head)
            self.assertEqual(kl.shape, (2, 2, 3, 3, 4))
            self.assertEqual(rate.shape, (2, 2, 3, 3, 4, 4, 2))
            lamp_rule, random_rule, none, every = range(4)
            self.assertTrue((rate[..., none, :, :] == 0).all() and (rate[..., every, :, :] == 1).all())
            # the same budget in layer 0, where both rules see the same low scores
            np.testing.assert_array_equal(rate[..., lamp_rule, 0, :], rate[..., random_rule, 0, :])
            # tau = 2 selects nothing, also where the computed z sum to a little more than 1
            self.assertTrue((rate[:, :, :, 0, lamp_rule] == 0).all() and (rate[:, :, :, 2, lamp_rule] > 0.1).all())
            self.assertTrue((np.ptp(kl[..., every], axis=(2, 3)) == 0).all())  # all recomputed: neither mu nor tau matters
            self.assertTrue((kl[..., every] < 1e-9).all() and (kl[:, :, 0, :, none] > 1e-4).all())
            self.assertTrue((kl[:, :, 0, 2, lamp_rule] < kl[:, :, 0, 2, random_rule]).all())
            position = m["kl_position"][()]
            np.testing.assert_allclose(position.mean(-1), kl, rtol=1e-13)
            self.assertTrue(np.isnan(m["cross_entropy_position"][..., -1]).all())
            self.assertTrue(np.isfinite(m["cross_entropy_position"][..., :-1]).all())

    def test_points_that_mean_the_same_share_a_cell(self):
        out = self.scratch / "same"
        summary = json.loads(lamp("run", CONFIG, "--out", out, "--quiet", "--json", "--set", "plan.scores=high", "--set",
                                  'grid."lamp.scores.rule"=["none"]', "--set", 'grid."lamp.scores.tau"=[1.5]').stdout)
        self.assertEqual(summary["computed"], 4)  # 4 sequences; mu does not matter
        with h5py.File(out / "result.h5") as f:
            self.assertTrue((f["metrics/status"][()] == 1).all())
            self.assertTrue((np.ptp(f["metrics/kl"][()], axis=2) == 0).all())

    def test_provenance_names_what_was_computed(self):
        with self.open() as f:
            p = {name: f["provenance"][name].asstr()[()] for name in f["provenance"]}
        for name in ("config", "model_sha256", "tokenizer_sha256", "git_commit", "compiler", "compiler_flags", "cpu", "instruction_set", "seed",
                     "command_line", "host", "started", "finished"):
            self.assertTrue(p[name], name)
        self.assertIn('title = "nano"', p["config"])


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    unittest.main()
