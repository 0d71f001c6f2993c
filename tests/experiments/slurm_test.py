"""A run on more than one machine: the scripts of `lamp slurm`, run here task by task; parts in one folder, in many, by xargs and by
parallel, and their merge. Oracle: the bits of a run by one process."""
import json
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from readme_keys import keys_in_readme, keys_of  # noqa: E402
from results import LAMP, ROOT, assert_same_bits, differences, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
SMALL = sets("tokens.sequence_length=12", 'grid."arithmetic.low.mu"=[2, 4]', 'grid."lamp.scores.tau"=[2.0, 1.1]',
             'grid."lamp.scores.rule"=["lamp", "random"]')
CELLS = 8  # of each of four sequences


class MoreThanOneMachine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.scratch = pathlib.Path(cls.folder.name)
        cls.whole = cls.scratch / "whole"
        lamp("run", CONFIG, "--out", cls.whole, "--quiet", *SMALL)

    def slurm(self, out, *more, shards=3, config=CONFIG, check=True):
        return lamp("slurm", config, "--out", out, "--shards", shards, *SMALL, *more, check=check)

    def task(self, script, part, **options):
        return subprocess.run(["bash", script], env={"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": str(part)}, capture_output=True,
                              text=True, timeout=60, **options)

    def refused(self, code, words, *command):
        done = lamp(*command, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (code, "", 1), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    # slurm

    def test_scripts_task_by_task(self):
        """Each ends with 0, merged they have the bits of one process; the folder's name is as bad as sbatch takes it."""
        out = self.scratch / "it's 50% \"done\" $HOME; #1"
        told = self.slurm(out, "--threads", 2)
        array, merge = out / "slurm/array.sh", out / "slurm/merge.sh"
        self.assertEqual({p.name for p in out.iterdir()}, {"slurm"})
        for script in (array, merge):
            self.assertEqual(subprocess.run(["bash", "-n", script]).returncode, 0)
        self.assertEqual((told.stdout.count("\n"), told.stderr.count("\n")), (2, 1))
        (self.scratch / "bin").mkdir()
        sbatch = self.scratch / "bin/sbatch"
        sbatch.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {self.scratch}/submitted\necho '17;cluster'\n")
        sbatch.chmod(0o755)
        subprocess.run(["sh", "-e"], input=told.stdout, text=True, check=True, stdout=subprocess.DEVNULL,
                       env={"PATH": f"{sbatch.parent}:/usr/bin:/bin"})
        self.assertEqual((self.scratch / "submitted").read_text().splitlines(),
                         ["--parsable", str(array), "--dependency=afterany:17", str(merge)])
        text = array.read_text()
        for line in ("#SBATCH --array=1-3", "#SBATCH --requeue", "#SBATCH --cpus-per-task=2", "#SBATCH --open-mode=append",
                     '#SBATCH --output="' + str(out / "slurm/array-").replace("%", "%%").replace('"', '\\"') + '%a.log"'):
            self.assertIn(line + "\n", text)
        early = subprocess.run(["bash", merge], capture_output=True, text=True)
        self.assertEqual(early.returncode, 66, early.stderr)
        for part in (1, 2, 3):
            done = self.task(array, part)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"part {part} of 3, restart 0, on ", done.stderr)
            self.assertEqual(json.loads(done.stdout)["computed"], CELLS * (2 if part == 1 else 1))
            merged = subprocess.run(["bash", merge], capture_output=True, text=True)
            self.assertEqual(merged.returncode, 0 if part == 3 else 75, merged.stderr)
        assert_same_bits(out / "result.h5", self.whole / "result.h5")
        again = self.task(array, 2)
        self.assertEqual((again.returncode, json.loads(again.stdout)["resumed"]), (0, CELLS), again.stderr)
        lamp("run", CONFIG, "--out", out, "--quiet", *SMALL)  # the folder of any run

    def test_tasks_that_fail_say_so(self):
        """lamp's line and code where the model has gone; 75 where another run has the folder; 128 + n for a signal, which lamp answers."""
        model, out = self.scratch / "model", self.scratch / "fails"
        shutil.copytree(ROOT / "data/models/gpt2-nano", model)
        self.slurm(out, "--set", f"model.path={model}", "--set", "tokens.sequence_length=200")
        array = out / "slurm/array.sh"
        by_itself = subprocess.run(["bash", array], capture_output=True, text=True, env={})
        self.assertNotEqual(by_itself.returncode, 0)
        self.assertIn("SLURM_ARRAY_TASK_ID: is the number of the part", by_itself.stderr)
        run = subprocess.Popen(["bash", array], env={"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "1"}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not (out / "study.toml").exists() and run.poll() is None:
            time.sleep(0.002)
        locked = self.task(array, 1)
        self.assertEqual((locked.returncode, locked.stdout), (75, "\n"), locked.stderr)
        self.assertIn("another run is at work", locked.stderr)
        subprocess.run(["kill", "-TERM", "--", f"-{run.pid}"], check=True)  # all processes of the task, as Slurm does
        _, error = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 128 + signal.SIGTERM, error)
        self.assertIn("the finished ones are in", error)
        shutil.rmtree(model)
        gone = self.task(array, 2)
        self.assertEqual(gone.returncode, 66)
        self.assertRegex(gone.stderr, r"\nlamp run: .*/model.*\n$")

    def test_what_is_asked_of_the_cluster(self):
        """The plan's memory x 1.1 and a part's seconds x 2, rounded up; or what was given."""
        out = self.scratch / "asked"
        told = json.loads(self.slurm(out, "--json").stdout)
        self.assertEqual(keys_of(told), keys_in_readme()["slurm", ""])
        estimate, text = told["estimate"], (out / "slurm/array.sh").read_text()
        self.assertEqual(told["memory"], f"{-int(-1.1 * estimate['memory'] // 2**20)}M")
        self.assertEqual(told["time"], str(-int(-2 * estimate["seconds"] // 60)))
        self.assertEqual((told["parts"], told["sequences"], told["threads"]), (3, 2, 1))
        for line in (f"#SBATCH --mem={told['memory']}", f"#SBATCH --time={told['time']}", "#SBATCH --cpus-per-task=1"):
            self.assertIn(line + "\n", text)
        self.assertNotIn("partition", text)
        self.assertRegex(text, r"# Memory: 1\.1 times what lamp plan estimates \d.* with 1 thread\.\n"
                               r"# Time: twice what lamp plan estimates, ")
        self.slurm(out, "--time", "1-12:00", "--mem", "3G", "--partition", "long,short")
        text, merge = (out / "slurm/array.sh").read_text(), (out / "slurm/merge.sh").read_text()
        for line in ("#SBATCH --time=1-12:00", "#SBATCH --mem=3G", "#SBATCH --partition=long,short"):
            self.assertIn(line + "\n", text)
        self.assertIn("#SBATCH --partition=long,short\n", merge)
        self.assertIn(f"#SBATCH --time={told['merge_time']}\n", merge)
        plan = json.loads(lamp("plan", CONFIG, "--json", "--threads", 1, "--shards", 3, *SMALL).stdout)
        self.assertEqual((plan["parts"]["count"], plan["parts"]["sequences"]), (3, 2))
        self.assertEqual(plan["parts"]["memory"], plan["memory"]["peak"])
        self.assertAlmostEqual(plan["parts"]["seconds"] - plan["seconds"]["start"],
                               (plan["seconds"]["one_thread"] - plan["seconds"]["start"]) / 2, 6)
        self.assertAlmostEqual(2 * plan["parts"]["disk"], plan["disk"]["shards"], delta=2)
        self.assertIsNone(json.loads(lamp("plan", CONFIG, "--json", *SMALL).stdout)["parts"])
        self.assertRegex(lamp("plan", CONFIG, "--shards", 3, *SMALL).stdout,
                         r"\nparts       3 of 2 sequences at most: about .* each, with ")

    def test_least_and_most_of_a_stop(self):
        stop = sets("stop.min_sequences=2", "tokens.sequences=8")
        plan = json.loads(lamp("plan", CONFIG, "--json", *SMALL, *stop).stdout)
        self.assertAlmostEqual(plan["stop"]["disk"]["shards"] * 4, plan["disk"]["shards"], delta=4)
        text = lamp("plan", CONFIG, *SMALL, *stop).stdout
        least, most = (re.search(rf"at {end} +(\d+) sequences in all: (\d+) passes, about .* of shards, ", text).groups()
                       for end in ("least", "most"))
        self.assertEqual((least, most), (("4", str(plan["stop"]["passes"])), ("16", str(plan["passes"]))))

    def test_bad_input(self):
        """One line each, and nothing is written."""
        out, other = self.scratch / "bad", self.scratch / "thesis"
        other.mkdir()
        (other / "thesis.tex").write_text("x")
        study = (self.whole / "study.toml").read_bytes()

        def bad(code, words, *more, to=out):
            self.refused(code, ["lamp slurm: ", *words], "slurm", CONFIG, "--out", to, *SMALL, *more)
        for shards in ("0", "-1", "x", "1.5", "1000001"):
            bad(2, ["--shards", "legal: 1 to 1000000"], f"--shards={shards}")
        bad(2, ["--shards 5", "parts without a sequence", "legal: 1 to 4, the sequences of all texts"], "--shards", 5)
        bad(2, ["legal: 1 to 8, the sequences of all texts and variants"], "--shards", 9, *sets('grid."tokens.shuffle"=[false, true]'))
        bad(65, ["[stop] with --shard"], "--shards", 2, *sets("stop.min_sequences=2"))
        bad(66, ["/nowhere"], "--shards", 2, *sets("model.path=/nowhere"))
        bad(73, ["holds another experiment", "seed was 7, is 8"], "--shards", 2, *sets("seed=8"), to=self.whole)
        bad(73, ["holds 'thesis.tex'"], "--shards", 2, to=other)
        bad(73, ["not a folder"], "--shards", 2, to=other / "thesis.tex")
        for name in ("a\nb", "a\\b"):
            bad(2, ["control characters and backslashes"], "--shards", 2, to=self.scratch / name)
        for option, values in (("--time", ("1:2:3:4", "1-", "-1", "1:", "1h", "1 2", "90\n#")),
                               ("--mem", ("G", "1.5G", "1GB", "-1")), ("--partition", ("a b", "a\n#SBATCH", "$(id)", "-p"))):
            for value in values:
                bad(2, [option, "legal: "], "--shards", 2, f"{option}={value}")
            bad(2, [option, "legal: "], "--shards", 2, option, "")
        for missing in (["--shards", 2], ["--out", out]):
            self.refused(2, ["is required"], "slurm", CONFIG, *missing)
        self.refused(2, ["parts without a sequence"], "plan", CONFIG, "--shards", 5, *SMALL)
        self.refused(65, ["[stop] with --shard"], "plan", CONFIG, "--shards", 2, *sets("stop.min_sequences=2"))
        self.assertFalse(out.exists())
        self.assertEqual([p.name for p in other.iterdir()], ["thesis.tex"])
        self.assertFalse((self.whole / "slurm").exists())
        self.assertEqual((self.whole / "study.toml").read_bytes(), study)
        for time_limit in ("90", "90:00", "1:30:00", "2-12", "2-12:00", "2-12:00:00"):
            self.slurm(self.scratch / "times", "--time", time_limit)

    # merge of several folders

    def parts(self, name, *grids):
        """A folder for each list of options, as if each were on a machine of its own."""
        folders = [self.scratch / f"{name}{i}" for i in range(len(grids))]
        for folder, options in zip(folders, grids):
            done = lamp("run", CONFIG, "--out", folder, "--quiet", *SMALL, *options, check=False)
            self.assertIn(done.returncode, (0, 75), done.stderr)
        return folders

    def test_parts_in_folders_of_their_own(self):
        folders = self.parts("part", *(["--shard", f"{k}/3"] for k in (1, 2, 3)))
        out = self.scratch / "joined.h5"
        told = json.loads(lamp("merge", *folders, "--out", out, "--json").stdout)
        self.assertEqual((told["folders"], told["result"]), ([str(f) for f in folders], str(out)))
        self.assertEqual([told[key] for key in ("pending", "failed", "damaged")], [0, 0, []])
        assert_same_bits(out, self.whole / "result.h5")
        with h5py.File(out) as f:
            self.assertEqual(f["provenance/command_line"].asstr()[()], shlex.join(["lamp", "merge", *map(str, folders), "--out", str(out)]))
        self.assertEqual(lamp("merge", *folders[:2], "--out", out, check=False).returncode, 75)
        self.assertTrue(differences(out, self.whole / "result.h5"))
        self.assertFalse((folders[0] / "result.h5").exists())

    def test_cells_of_one_sequence_in_several_folders(self):
        """Other grids, which overlap; variants; the order of the folders gives the grid. A damaged shard is left out, and its cells are
        taken from where they are besides."""
        low, high, both = self.parts("grid", sets('grid."arithmetic.low.mu"=[2]'), sets('grid."arithmetic.low.mu"=[4]'),
                                     ["--shard", "1/4"])  # the first sequence has all cells twice
        out, config = self.scratch / "grids.h5", self.scratch / "all"
        lamp("merge", both, low, high, "--out", out)
        assert_same_bits(out, self.whole / "result.h5")
        lamp("merge", low, both, high, "--out", out)
        assert_same_bits(out, low / "result.h5")
        shard = sorted((low / "shards").iterdir())[0]
        shard.write_bytes(shard.read_bytes()[:-1])
        damaged = lamp("merge", both, low, high, "--out", out, "--json", check=False)
        self.assertEqual(json.loads(damaged.stdout)["damaged"].__len__(), 1)
        self.assertIn(f"left out: {shard}", damaged.stderr)
        missing = 0 if any(p.name == shard.name for p in (both / "shards").iterdir()) else 4  # grid points
        self.assertEqual(json.loads(damaged.stdout)["pending"], missing)
        shuffled = sets('grid."tokens.shuffle"=[false, true]')
        folders = self.parts("variant", *([*shuffled, "--shard", f"{k}/2"] for k in (1, 2)))
        lamp("run", CONFIG, "--out", config, "--quiet", *SMALL, *shuffled)
        lamp("merge", *folders, "--out", out)
        assert_same_bits(out, config / "result.h5")

    def test_stop_over_folders(self):
        """The sequences of a round may be anywhere."""
        stop = sets("tokens.sequences=12", "stop.min_sequences=3", "stop.relative_error=0.9")
        (whole,) = self.parts("stopped", stop)
        one, other = (pathlib.Path(shutil.copytree(whole, self.scratch / f"stopped-{i}")) for i in "ab")
        for i, shard in enumerate(sorted((whole / "shards").iterdir())):
            ((one, other)[i % 2] / "shards" / shard.name).unlink()
        out = self.scratch / "stopped.h5"
        lamp("merge", one, other, "--out", out)
        assert_same_bits(out, whole / "result.h5")
        self.assertEqual(lamp("merge", one, "--out", out, check=False).returncode, 75)

    def test_folders_that_do_not_belong(self):
        out = self.scratch / "refused.h5"
        (other,) = self.parts("seed", sets("seed=8"))
        self.refused(65, [f"{other}: holds another experiment", f"that of {self.whole} is", "seed was 8, is 7"], "merge", self.whole, other,
                     "--out", out)
        self.refused(66, [f"{self.scratch}: no study.toml"], "merge", self.whole, self.scratch, "--out", out)
        self.refused(66, ["/nowhere: no study.toml"], "merge", self.whole, "/nowhere", "--out", out)
        self.refused(2, ["--out is missing"], "merge", self.whole, self.whole)
        self.assertFalse(out.exists())

    # other ways to run parts

    def test_by_hand_at_once(self):
        """As experiments/README.md does it, with parallel where that is there."""
        for tool in ["xargs", *(["parallel"] if shutil.which("parallel") else [])]:
            out = self.scratch / f"by {tool}"
            part = f"{shlex.quote(str(LAMP))} run {CONFIG} --out {shlex.quote(str(out))} --threads 1 --quiet {shlex.join(SMALL)}"
            script = (f"seq 4 | xargs -P 2 -I{{}} {part} --shard {{}}/4; test $? -eq 123" if tool == "xargs" else
                      f"parallel -j 2 {shlex.quote(part + ' --shard {}/4')} ::: 1 2 3 4; test $? -eq 4")
            done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            lamp("merge", out)
            assert_same_bits(out / "result.h5", self.whole / "result.h5")


if __name__ == "__main__":
    unittest.main()
