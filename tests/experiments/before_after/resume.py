"""Folders that one build has begun and the other finishes: parts, interrupted runs, grown grids; with the bits of OLD's whole run."""
import shutil
import signal
import subprocess
import time

from .hdf5 import same_folder
from .sides import ROOT, plain, shown

CONFIG = ROOT / "tests/experiments/nano.toml"
RECORD = ["--set", 'record.errors=["scores", "logits"]', "--set", 'record.activations=["ln_2"]', "--set", "continuation.prefix=9",
          "--set", "continuation.tokens=5"]
FEW = ["--set", 'grid."lamp.scores.rule"=["lamp", "random"]', "--set", 'grid."arithmetic.low.mu"=[2, 4]']
LESS = ["--set", 'grid."lamp.scores.rule"=["lamp"]', "--set", 'grid."arithmetic.low.mu"=[4]', "--set", "tokens.sequences=1"]
INTERRUPTED = ["--set", "tokens.sequence_length=200", "--set", "plan.qkv=low", "--set",
               "tokens.sequences=1"]  # long enough to be met in the middle


def hand_over(giver, taker, name):
    """The folder as `giver` left it, now the other's."""
    shutil.rmtree(taker.folder / name, ignore_errors=True)
    (giver.folder / name).rename(taker.folder / name)


def run(part, side, name, words, expected, threads=2):
    answer = side.run("run", CONFIG, "--out", name, "--quiet", "--threads", threads, *RECORD, *words)
    part.count("runs")
    if answer.code not in expected:
        part.differ(f"{name} by {side.name}", f"ended with {answer.code}, not {expected}: {shown(answer.err)}")
    return answer


def same_as_whole(part, whole, side, name):
    """The folder has the files of the whole run; where the parts have locks of their own they are left out."""
    for lock in (side.folder / name).glob(".lock.*"):
        lock.unlink()
    (side.folder / name).rename(side.folder / whole)
    same_folder(part, whole, old=part.old.folder / "kept", new=side.folder, provenance=False)
    (side.folder / whole).rename(side.folder / name)


def interrupted(part, side, name, words, number):
    """A run stopped between two cells; tries again where it was done before the signal came."""
    for wait in (0.4, 0.2, 0.1, 0.05, 0.8, 1.6):
        shutil.rmtree(side.folder / name, ignore_errors=True)
        with side.at_work() as here:
            process = side.start("run", CONFIG, "--out", name, "--quiet", "--threads", 1, *RECORD, *words, stderr=subprocess.PIPE)
            while not (here / name / "study.toml").exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(wait)
            process.send_signal(number)
            error = process.communicate()[1].decode()
        if process.returncode == 128 + number and list((side.folder / name / "shards").iterdir()):
            part.count("interrupted runs")
            return error
    part.differ(name, f"{side.name} could not be interrupted: it ended with {process.returncode}: {shown(error)}")
    return ""


def resume(part):
    errors_of, wholes = {}, {"whole": FEW, "long": FEW + INTERRUPTED}
    for name, words in wholes.items():
        run(part, part.old, name, words, (0,))
        (part.old.folder / "kept").mkdir(exist_ok=True)
        (part.old.folder / name).rename(part.old.folder / "kept" / name)
    for giver, taker in ((part.old, part.new), (part.new, part.old)):
        way = f"begun-by-{giver.name}"
        answer = run(part, giver, f"{way}-parts", [*FEW, "--shard", "1/2"], (75,))
        hand_over(giver, taker, f"{way}-parts")
        other = run(part, taker, f"{way}-parts", [*FEW, "--shard", "2/2"], (75,))
        part.same_lines("lines", f"{way}-parts: standard error", answer.err, other.err)
        taker.run("merge", f"{way}-parts")
        same_as_whole(part, "whole", taker, f"{way}-parts")

        run(part, giver, f"{way}-half", [*FEW, "--shard", "2/2"], (75,))
        hand_over(giver, taker, f"{way}-half")
        run(part, taker, f"{way}-half", FEW, (0,))
        same_as_whole(part, "whole", taker, f"{way}-half")

        run(part, giver, f"{way}-grown", LESS, (0,))
        hand_over(giver, taker, f"{way}-grown")
        run(part, taker, f"{way}-grown", FEW, (0,))
        same_as_whole(part, "whole", taker, f"{way}-grown")
        again = taker.run("run", CONFIG, "--out", f"{way}-grown", "--json", "--quiet", *RECORD, *FEW)
        part.same("counts", f"{way}-grown, once more", '"computed":0' in again.out, True)

        errors = errors_of.setdefault(giver.name, [])
        for number in (signal.SIGINT, signal.SIGTERM):
            name = f"{way}-{number.name}"
            errors.append(interrupted(part, giver, name, FEW + INTERRUPTED, number).replace(name, number.name))
            hand_over(giver, taker, name)
            run(part, taker, name, FEW + INTERRUPTED, (0,))
            same_as_whole(part, "long", taker, name)

        told = [taker.run(*words).out for words in (["status", f"{way}-grown", "--json"],
                                                    ["verify", f"{way}-grown", "--fraction", 1, "--json"])]
        part.same("counts", f"{way}-grown: status and verify", ['"complete":true' in told[0], '"same_bits":true' in told[1]], [True, True])
    part.same_lines("lines", "standard error of interrupted runs", *(plain("".join(errors_of[side.name])) for side in (part.old, part.new)))
    both_at_once(part)


def both_at_once(part):
    """A second run in a folder at work is refused in the same words."""
    words = []
    for side in (part.old, part.new):
        with side.at_work() as here:
            arguments = ["run", CONFIG, "--out", "locked", "--quiet", "--threads", 1, *RECORD, *INTERRUPTED]
            first = side.start(*arguments, stderr=subprocess.DEVNULL)
            while not (here / "locked/study.toml").exists() and first.poll() is None:
                time.sleep(0.005)
            second = side.start(*arguments, stderr=subprocess.PIPE)
            error = second.communicate()[1].decode()
            status = side.start("status", "locked", stdout=subprocess.PIPE)
            seen = status.communicate()[0].decode()
            first.send_signal(signal.SIGINT)
            first.wait()
        words.append((second.returncode, error, "at work" in seen and "since" in seen))
    part.same("exit codes", "two runs in one folder", words[0][0], words[1][0])
    part.same("exit codes", "two runs in one folder, by OLD", words[0][0], 75)
    part.same_lines("lines", "two runs in one folder", plain(words[0][1]), plain(words[1][1]))
    part.same("counts", "status of a folder at work", words[0][2], words[1][2])
