"""Two and three runs at once on one folder: the same grid, parts of one N, parts of different N with different grids. No cell is lost."""
import os
import re
import shutil
import subprocess

from law import CONFIG, LAMP, Ended, Tally, Undisturbed, build_library, call, cells, preloaded, run_arguments, temporaries

from results import sets  # isort: skip  (law knows where it is)

# Three sequences of each text, 2 or 4 cells of each by a pass of their own.
GRID = sets("tokens.sequences=3", "tokens.sequence_length=8", 'grid."lamp.scores.rule"=["lamp"]', 'grid."lamp.scores.tau"=[2.0,1.1]')
MUS = [[4], [2, 4]]


def at_once(calls, environment=None, meanwhile=None):
    """Starts all, calls `meanwhile` for as long as the last one runs, then waits for all."""
    children = [subprocess.Popen([str(LAMP), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}) for arguments in calls]
    while meanwhile and children[-1].poll() is None:
        meanwhile()
    ended = []
    for child, arguments in zip(children, calls):
        try:
            output, error = child.communicate(timeout=60)
            ended.append(Ended(arguments[0], child.returncode, output, error, 0.0))
        except subprocess.TimeoutExpired:
            child.kill()
            output, error = child.communicate()
            ended.append(Ended(arguments[0], "late", output, error, 60.0))
    return [child.pid for child in children], ended


def same_grid(undisturbed, count):
    """One of them runs; the others say who does (75), or find all done."""
    tally, folder, kind = undisturbed.tally, undisturbed.nothing(), f"{count} runs of the same grid"
    processes, all_ended = at_once([run_arguments(folder) for _ in range(count)])
    broken = False
    for ended in all_ended:
        broken |= tally.judge(kind, ended, {0, 75})
        holder = re.search(rb"process (\d+)", ended.error)
        if ended.code == 75 and not (holder and int(holder[1]) in processes):
            broken |= tally.breach(kind, "run", f"75 that names no other run: {ended.line()}")
    if all(ended.code != 0 for ended in all_ended):
        broken |= tally.breach(kind, "run", f"none has run: {[ended.line() for ended in all_ended]}")
    broken |= tally.breach(kind, "run", undisturbed.wrong_on_disk(folder, undisturbed.cells))
    if not broken:
        undisturbed.heals(kind, folder, run_arguments(folder))


def parts_of_one(undisturbed, count):
    """Each part with its sequences; somebody looks at the folder and merges what there is meanwhile."""
    tally, folder, kind = undisturbed.tally, undisturbed.nothing(), f"{count} parts of one N"
    parts = [run_arguments(folder, "--shard", f"{part}/{count}") for part in range(1, count + 1)]

    def look():
        for arguments in (["status", folder], ["merge", folder, "--out", undisturbed.scratch / "so far.h5"]):
            tally.judge(kind, call(*arguments), {0, 66, 75}, "while they run")
    _, all_ended = at_once(parts, meanwhile=look)
    for ended in all_ended:
        tally.judge(kind, ended, {75}, "at once")
    if not tally.breach(kind, "run", undisturbed.wrong_on_disk(folder, undisturbed.cells)):
        undisturbed.heals(kind, folder, ["merge", folder])


def same_part_twice(undisturbed):
    """A part that runs already: 75, and who runs it."""
    tally, folder, kind = undisturbed.tally, undisturbed.nothing(), "one part twice"
    processes, all_ended = at_once([run_arguments(folder, "--shard", part) for part in ("1/1000", "1/1000", "1/2", "1/2")])
    for ended in all_ended:
        tally.judge(kind, ended, {75})
        holder = re.search(rb"process (\d+)", ended.error)
        if b"another run" in ended.error and not (holder and int(holder[1]) in processes):
            tally.breach(kind, "run", f"75 that names no other run: {ended.line()}")
    shutil.rmtree(folder)


def different_parts(undisturbed, library, rounds):
    """Parts of 2 and of 3 with grids that overlap, again and again: each shard has the cells of all parts that have its sequence."""
    tally, kind = undisturbed.tally, "parts of different N"
    parts = [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]

    def arguments_of(folder, mus, part, of):
        return ["run", CONFIG, "--out", folder, "--threads", 1, "--quiet", "--shard", f"{part}/{of}", *GRID,
                *sets(f'grid."arithmetic.low.mu"={mus}')]
    alone = {}
    for part, of in parts:  # each in a folder of its own
        folder = undisturbed.nothing()
        ended = call(*arguments_of(folder, MUS[of - 2], part, of))
        assert ended.code == 75, ended.line()
        alone[part, of] = cells(folder)
        shutil.rmtree(folder)
    for number in range(rounds):
        together = [(1, 2), (1, 3)] if number % 3 == 0 else [(2, 2), (2, 3), (3, 3)] if number % 3 == 1 else parts
        folder = undisturbed.nothing()
        # In every other round each cell is published at once.
        ahead = preloaded(library, LAMP_AHEAD=31) if number % 2 else None
        _, all_ended = at_once([arguments_of(folder, MUS[of - 2], part, of) for part, of in together], ahead)
        broken = False
        for ended in all_ended:
            broken |= tally.judge(kind, ended, {75}, f"round {number}")
            if b"another run" in ended.error:
                broken |= tally.breach(kind, "run", f"round {number}: refused, though it is another part: {ended.line()}")
        try:
            there = cells(folder)
        except (OSError, KeyError, RuntimeError) as error:
            broken, there = tally.breach(kind, "run", f"round {number}: published, but not readable: {error}"), {}
        for key in together if not broken else []:
            for name, wanted in alone[key].items():
                if not wanted <= there.get(name, set()):
                    lost = len(wanted - there.get(name, set()))
                    tally.breach(kind, "run", f"round {number}: {name} has lost {lost} of the {len(wanted)} cells of part "
                                              f"{key[0]}/{key[1]}")
        tally.breach(kind, "run", f"round {number}: {temporaries(folder)} are left" if temporaries(folder) else "")
        shutil.rmtree(folder)


def main():
    tally = Tally(__doc__)
    options = tally.options()
    with Undisturbed(tally) as undisturbed:
        library = build_library(undisturbed.scratch)
        for count in (2, 3) * (10 if options.long else 1):
            same_grid(undisturbed, count)
            parts_of_one(undisturbed, count)
            same_part_twice(undisturbed)
        different_parts(undisturbed, library, 120 if options.long else 6)
    tally.end()


if __name__ == "__main__":
    main()
