"""What the world does to a command: limits, signals, permissions, names, devices that fail. A documented exit code, one line."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, lamp  # noqa: E402
from sanitized import MEMORY, THREAD, skip_if_sanitized  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
FEW = ["--set", 'grid."arithmetic.low.mu"=[4]', "--set", "tokens.sequences=1"]  # 24 cells in two texts
ORDINARY = 54321  # a user that has no other processes


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.scratch.chmod(0o777)  # also for whom root becomes
        cls.whole = cls.scratch / "whole"
        lamp("run", CONFIG, "--out", cls.whole, "--threads", 1, "--quiet", *FEW)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def ended(self, *command, limits=(), ordinary=False, **options):
        """The command's process, under limits (resource, value); ordinary: not as root, who may do what others may not."""
        def prepare():
            for which, value in limits:
                resource.setrlimit(which, (value, value))
        if ordinary and os.geteuid() == 0:
            options.update(user=ORDINARY, group=ORDINARY, extra_groups=[])
        return lamp(*command, check=False, preexec_fn=prepare, **options)

    def assertEnds(self, done, code, *words):
        """With this code and one line on standard error, which has these words."""
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def nothing_left(self, folder):
        return [path.name for path in folder.rglob(".*.tmp")] == []

    def test_a_file_size_limit_is_a_full_disk(self):
        out = self.scratch / "limited"
        fits = max(path.stat().st_size for path in self.whole.glob("shards/*")) + 1
        for size, file in ((1, ".lock"), (300, "study.toml"), (9000, "shards/"), (fits, "result.h5")):
            done = self.ended("run", CONFIG, "--out", out, "--quiet", *FEW, limits=[(resource.RLIMIT_FSIZE, size)])
            self.assertEnds(done, 74, file, "File too large", "ulimit -f")
            self.assertTrue(self.nothing_left(out))
        merged = self.scratch / "limited.h5"
        self.assertEnds(self.ended("merge", self.whole, "--out", merged, limits=[(resource.RLIMIT_FSIZE, 9000)]), 74, "ulimit -f")
        self.assertFalse(merged.exists() or not self.nothing_left(self.scratch))
        self.assertEqual(lamp("run", CONFIG, "--out", out, "--quiet", *FEW).stderr, "")  # it goes on

    @skip_if_sanitized(MEMORY)
    def test_out_of_memory(self):
        """At limits from where the program starts to where it has enough, whatever library is refused memory."""
        commands = [["run", CONFIG, "--out", self.scratch / "memory", "--quiet", "--threads", 2, *FEW], ["plan", CONFIG, "--threads", 2],
                    ["merge", self.whole, "--out", self.scratch / "memory.h5"], ["inspect", ROOT / "data/models/gpt2-nano"]]
        for command in commands:
            codes = []
            for kib in range(38000, 90000, 6500):
                done = self.ended(*command, limits=[(resource.RLIMIT_AS, kib * 1024)])
                codes.append(done.returncode)
                if done.returncode == 71:
                    self.assertEnds(done, 71)
                shutil.rmtree(self.scratch / "memory", ignore_errors=True)
            self.assertLessEqual(set(codes), {0, 71, 127}, codes)  # 127: the loader of shared libraries could not start it
            self.assertIn(71, codes)

    @skip_if_sanitized(THREAD)
    def test_out_of_threads(self):
        one = [(resource.RLIMIT_NPROC, 1)]
        commands = [["run", CONFIG, "--out", self.scratch / "threads", "--quiet", *FEW], ["plan", CONFIG],
                    ["run", CONFIG, "--out", self.scratch / "mpfr", "--quiet", *FEW, "--set", 'reference.arithmetic="mpfr:60"'],
                    ["reveal", "--n", 4, "--format", "binary32", "--command", "cat"]]
        for command in commands:
            threads = [] if command[0] == "reveal" else ["--threads", 4]
            self.assertEnds(self.ended(*command, *threads, limits=one, ordinary=True), 71, "ulimit -u")
        alone = ["run", CONFIG, "--out", self.scratch / "alone", "--quiet", "--threads", 1, *FEW]
        two = [(resource.RLIMIT_NPROC, 2)]  # files of results are read in a process of their own
        self.assertEqual(self.ended(*alone, limits=two, ordinary=True).stderr, "")

    def begun(self, *command, until, **options):
        """The command at work: `until` says when."""
        process = subprocess.Popen([str(LAMP), *map(str, command)], stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        for _ in range(200):
            if until() or process.poll() is not None:
                break
            time.sleep(0.05)
        return process

    def assertStopped(self, process, code, *words):
        err = process.communicate(timeout=60)[1]
        self.assertEnds(subprocess.CompletedProcess(process.args, process.returncode, "", err), code, *words)

    def test_a_signal_stops_a_pass_at_the_next_site(self):
        """A reference pass of minutes."""
        out = self.scratch / "minutes"
        process = self.begun("run", CONFIG, "--out", out, "--quiet", "--set", 'reference.arithmetic="mpfr:300"', "--threads", 1,
                             until=(out / "study.toml").exists)
        time.sleep(0.2)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertStopped(process, 143, "stopped by signal 15 with 0 of 144 cells done", "are lost", str(out))
        self.assertLess(time.monotonic() - start, 15)

    def test_a_second_signal_of_any_kind_ends_it_at_once(self):
        out = self.scratch / "twice"
        process = self.begun("run", CONFIG, "--out", out, "--quiet", "--set", 'reference.arithmetic="mpfr:10000"', "--threads", 1,
                             until=(out / "study.toml").exists)  # many seconds a site
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        self.assertStopped(process, 143, "signal 15 at once", "30 s")

    def test_a_signal_where_nothing_is_kept(self):
        process = self.begun("calc", until=lambda: True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write('{"op": "round", "x": [1], "format": "ps7"}\n')
        process.stdin.flush()
        self.assertIn("y", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        self.assertStopped(process, 130, "stopped by signal 2;", "run the same command again")

    def test_a_reader_that_has_gone(self):
        read, write = os.pipe()
        os.close(read)
        self.assertEqual(subprocess.run([str(LAMP), "formats"], stdout=write).returncode, -signal.SIGPIPE)
        os.close(write)

    def test_what_may_not_be_read_is_77(self):
        """Of every command, as somebody who is not root; what is missing is 66."""
        model, run = self.scratch / "model", self.scratch / "closed"
        shutil.copytree(ROOT / "data/models/gpt2-nano", model)
        shutil.copytree(self.whole, run)
        text = self.scratch / "text.txt"
        shutil.copy(ROOT / "data/texts/prose.txt", text)
        config = self.scratch / "config.toml"
        config.write_text(CONFIG.read_text().replace("../../data", str(ROOT / "data")))
        mine = self.scratch / "mine"
        mine.mkdir()
        mine.chmod(0o777)
        use_model, use_text = ["--set", f'model.path="{model}"'], ["--set", f'tokens.path=["{text}"]']
        cases = [(config, 0, ["plan", config]), (config, 0, ["run", config, "--out", mine / "a"]),
                 (text, 0, ["plan", config, *use_text]), (text, 0, ["run", config, "--out", mine / "a", *use_text]),
                 (run / "study.toml", 0, ["merge", run]), (run / "study.toml", 0, ["verify", run]),
                 (run / "result.h5", 0, ["inspect", run / "result.h5"])]
        cases += [(run / f, mode, [*command, run]) for f, mode in ((".", 0o600), ("study.toml", 0))
                  for command in (["status"], ["run", config, *FEW, "--out"])]
        cases += [(run / "shards", 0o300, ["status", run])]
        for file in (".", "config.json", "model.safetensors", "vocab.json", "merges.txt"):
            weights = file in (".", "config.json", "model.safetensors")
            cases += [(model / file, 0, ["inspect", model]), (model / file, 0, ["run", config, "--out", mine / "b", *use_model])]
            cases += [(model / file, 0, ["plan", config, *use_model])]
            cases += [(model / file, 0, ["tokenize", model])] if file == "." or not weights else []
        if os.geteuid() == 0:
            for path in (mine, run, *run.rglob("*"), config, text, model, *model.rglob("*")):
                os.chown(path, ORDINARY, ORDINARY)
        for path, mode, command in cases:
            before = path.stat().st_mode
            path.chmod(mode)
            done = self.ended(*command, ordinary=True, stdin=subprocess.DEVNULL)
            path.chmod(before)
            with self.subTest(path=path.name, command=command[0]):
                self.assertEnds(done, 77, "ermission")
        shard = next(run.glob("shards/*.h5"))
        shard.chmod(0)
        self.assertEnds(self.ended("status", run, ordinary=True), 77, shard.name)
        shard.chmod(0o644)
        self.assertEqual(self.ended("status", run, ordinary=True).stderr, "")

    def test_links_that_lead_nowhere(self):
        loop, dangling = self.scratch / "loop", self.scratch / "dangling"
        loop.symlink_to(loop)
        dangling.symlink_to(self.scratch / "absent")
        for command in (["inspect", loop], ["status", loop], ["tokenize", loop], ["plan", loop], ["merge", loop], ["verify", loop],
                        ["plan", CONFIG, "--set", f'model.path="{loop}"'], ["plan", CONFIG, "--set", f'tokens.path=["{loop}"]'],
                        ["inspect", dangling], ["status", dangling], ["plan", dangling], ["tokenize", dangling]):
            self.assertEnds(self.ended(*command, stdin=subprocess.DEVNULL), 66)
        for out in (loop, dangling):
            self.assertEnds(self.ended("run", CONFIG, "--quiet", "--out", out), 73, str(out))
            self.assertEnds(self.ended("merge", self.whole, "--out", out), 73, "symbolic link")
        for name in ("result.h5", ".lock", "study.toml"):  # before anything is computed
            out = self.scratch / f"linked-{name}"
            out.mkdir()
            (out / name).symlink_to(self.scratch / "absent")
            self.assertEnds(self.ended("run", CONFIG, "--quiet", "--out", out), 73, name)
            self.assertEqual(list(out.glob("shards/*")), [])

    @skip_if_sanitized("UBSan asks for descriptors to look at a type")
    def test_out_of_descriptors(self):
        for command in (["run", CONFIG, "--quiet", *FEW, "--out", self.whole], ["inspect", self.whole / "result.h5"],
                        ["status", self.whole], ["merge", self.whole], ["verify", self.whole], ["plan", CONFIG]):
            self.assertEnds(self.ended(*command, limits=[(resource.RLIMIT_NOFILE, 4)]), 71, "ulimit -n")

    def injected(self, what, *command):
        """The command where a system call fails."""
        traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", what, str(LAMP), *map(str, command)]
        return subprocess.run(traced, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    @unittest.skipUnless(shutil.which("strace"), "no strace")
    @skip_if_sanitized("LeakSanitizer does not work under strace")
    def test_system_calls_that_fail(self):
        run = ["run", CONFIG, "--quiet", *FEW, "--threads", 1, "--out"]
        for error, words in (("ENOLCK", "No locks available"), ("EOPNOTSUPP", "not supported"), ("ENOSYS", "not implemented")):
            out = self.scratch / error
            done = self.injected(f"inject=flock:error={error}", *run, out)
            self.assertEnds(done, 74, words, "local disk")
            self.assertNotIn("another run", done.stderr)
        for call in ("pread64", "fsync"):
            self.assertEnds(self.injected(f"inject={call}:error=EIO:when=3+", *run, self.scratch / call), 74, "Input/output error")

    def test_standard_input_that_cannot_be_read(self):
        folder = os.open(self.scratch, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        for command in (["calc"], ["tokenize", ROOT / "data/models/gpt2-nano"], ["tokenize", ROOT / "data/models/gpt2-nano", "--decode"]):
            self.assertEnds(self.ended(*command, stdin=folder), 74, "standard input")

    def test_json_of_paths_that_are_not_utf8(self):
        name = os.fsdecode(b"\xff\xfe")
        run, model = self.scratch / f"run-{name}", self.scratch / f"model-{name}"
        shutil.copytree(ROOT / "data/models/gpt2-nano", model)
        for command in (["run", CONFIG, *FEW, "--quiet", "--out", run], ["status", run], ["merge", run], ["verify", run],
                        ["inspect", model], ["inspect", run / "result.h5"]):
            done = subprocess.run([str(LAMP), *map(str, command), "--json"], capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIsInstance(json.loads(done.stdout.decode("utf-8")), dict)


if __name__ == "__main__":
    unittest.main()
