"""kill -9 in every phase of run, merge and verify, before some call (fail_call.c) or at a random moment; then the same command goes on.

usage: kill_resume.py [--kills N] [--long]
"""
import os
import random
import shutil
import signal
import subprocess

from fail_call import calls_of
from law import CONFIG, LAMP, Tally, Undisturbed, build_library, call, happened, preloaded, run_arguments, tree

from results import assert_same_bits, lamp  # isort: skip  (law knows where it is)

KILLED = {-signal.SIGKILL}
LONG_STEP = 7  # of all calls that a command makes, after each other
SAMPLED = "open pread write fsync rename pwrite".split()  # by default: one call of each group


def phase(mark):
    """In which a command was killed, by the call that it was about to make."""
    if "result.h5" in mark:
        return "merging"
    if ".tmp" in mark or mark.startswith(("rename", "fsync", "mkdir", "flock", "ftruncate")):
        return "publishing"
    return "reading HDF5" if "/shards" in mark or "pipe:" in mark else "loading"


def before_calls(undisturbed, library, make, arguments_of, writes, long):
    """Kills a command before one of its calls: one of each group of SAMPLED, or of all every LONG_STEP-th."""
    tally, mark = undisturbed.tally, undisturbed.scratch / "mark"
    made = calls_of(undisturbed, library, make, arguments_of)
    victims = [("any", k) for k in range(1, made["any"] + 1, LONG_STEP)]
    if not long:
        victims = [(group, random.randint(1, made[group])) for group in SAMPLED if made[group]]
    for group, k in victims:
        folder = make()
        mark.unlink(missing_ok=True)
        arguments = arguments_of(folder)
        before = tree(folder) if folder.exists() else {}
        there = {name: cells for name, cells in undisturbed.cells.items() if f"shards/{name}" in before}
        ended = call(*arguments, environment=preloaded(library, LAMP_FAULT=f"{group}:{k}:kill", LAMP_FAULT_MARK=mark))
        call_of = happened(mark)
        if not call_of:  # threads: a few calls fewer
            shutil.rmtree(folder)
            continue
        where = f"call {k} ({call_of})"
        kind = "kill -9, " + phase(call_of)
        # A child that reads a file may be the one that is killed: then the command lives, and says so or computes the file's cells again.
        if tally.judge(kind, ended, KILLED | {0, 65, 71, 74, 75}, where) or tally.breach(
                kind, arguments[0], undisturbed.wrong_on_disk(folder, there, result=ended.code != 75)):  # 75: a merge of what there is
            shutil.rmtree(folder, ignore_errors=True)
        elif writes:
            undisturbed.heals(kind, folder, arguments, where)
        else:
            again = call(*arguments)
            what = "" if again.code == 0 else f"ends with {again.code}: {again.line()}"
            what = what or ("" if tree(folder) == before else f"the folder has changed: {sorted(tree(folder).keys() ^ before.keys())}")
            tally.breach(kind, arguments[0], what and f"{where}: without the fault again: {what}")
            shutil.rmtree(folder)
        for left in undisturbed.temporary.iterdir():
            shutil.rmtree(left)


def at_random_moments(undisturbed, kills):
    """Kills a larger run again and again, until it is done, and then others; 36 cells of 4 sequences of 48 tokens."""
    tally, kind = undisturbed.tally, "kill -9, at random moments"
    whole, folder, finished = undisturbed.nothing(), undisturbed.nothing(), 0
    start = os.times().elapsed
    lamp("run", CONFIG, "--out", whole, "--threads", 1, "--quiet")
    seconds = os.times().elapsed - start
    killed = 0
    while killed < kills:
        child = subprocess.Popen([str(LAMP), "run", str(CONFIG), "--out", str(folder), "--threads", "2", "--quiet"],
                                 stderr=subprocess.PIPE, text=True)
        try:
            child.wait(timeout=random.uniform(0.0, 0.4 * seconds))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            killed += 1
        _, error = child.communicate()
        tally.counts[kind, "run", str(child.returncode)] += 1
        as_it_should = child.returncode in (0, -signal.SIGKILL)
        tally.breach(kind, "run", "" if as_it_should else f"a resumed run ended with {child.returncode}: {error}")
        if child.returncode == 0:
            finished += 1
            assert_same_bits(folder / "result.h5", whole / "result.h5")
            folder = undisturbed.nothing()
    lamp("run", CONFIG, "--out", folder, "--threads", 2, "--quiet")
    assert_same_bits(folder / "result.h5", whole / "result.h5")
    print(f"{killed} kills at random moments, {finished + 1} resumed runs finished with the bits of the undisturbed run ({seconds:.1f} s)")


def main():
    random.seed(20261120)
    tally = Tally(__doc__.splitlines()[0])
    tally.parser.add_argument("--kills", type=int, help="at random moments (default: 10; 200 with --long)")
    options = tally.options()
    with Undisturbed(tally) as undisturbed:
        library = build_library(undisturbed.scratch)
        before_calls(undisturbed, library, undisturbed.nothing, run_arguments, True, options.long)
        before_calls(undisturbed, library, undisturbed.half, lambda folder: run_arguments(folder, threads=2), True, options.long)
        before_calls(undisturbed, library, undisturbed.shards, lambda folder: ["merge", folder], True, options.long)
        before_calls(undisturbed, library, undisturbed.all, lambda folder: ["verify", folder, "--threads", 1], False, options.long)
        at_random_moments(undisturbed, options.kills if options.kills is not None else 200 if options.long else 10)
    tally.end()


if __name__ == "__main__":
    main()
