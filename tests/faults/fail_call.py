"""The k-th call of write, pwrite, read, .. fails or is cut short (fail_call.c), for every k until the command makes no such call any more.

By default one call of each group for each command.
"""
import errno
import random
import shutil
import sys

from law import (INTACT, SANITIZED, Tally, Undisturbed, build_library, call, calls_made, happened, preloaded, run_arguments, temporaries,
                 tree)

ANY_OF = {
    "write": ["ENOSPC", "EIO", "EDQUOT", "EINTR", "short"], "pwrite": ["ENOSPC", "EIO", "EDQUOT", "EINTR", "short"],
    "read": ["EIO", "EINTR", "short"], "pread": ["EIO", "EINTR", "short"], "fsync": ["EIO", "ENOSPC", "EDQUOT"],
    "rename": ["ENOSPC", "EACCES", "EIO"], "open": ["EACCES", "EMFILE", "EIO", "ENFILE"], "flock": ["ENOLCK", "EIO"],
    "ftruncate": ["EIO", "ENOSPC"], "mmap": ["ENOMEM"], "mkdir": ["EACCES", "ENOSPC"], "unlink": ["EACCES"],
    "stat": ["EACCES", "EIO"], "close": ["EIO"], "thread": ["EAGAIN"], "fork": ["EAGAIN", "ENOMEM"], "memory": ["ENOMEM"],
}
MISTAKEN = {"stat": {66}}  # a file that need not be there, and is not, may be there where that cannot be told
RETRIED = ("EINTR", "short")  # no failure: whoever reads or writes goes on
LONG_STEPS = {"read": 7, "pread": 3, "memory": 499}  # else every call


def commands(undisturbed, long):
    """(makes the folder, arguments of a folder, whether the command may write there)."""
    found = [(undisturbed.nothing, run_arguments, True), (undisturbed.half, lambda folder: run_arguments(folder, threads=2), True),
             (undisturbed.shards, lambda folder: ["merge", folder], True)]
    readers = [lambda folder: ["verify", folder, "--threads", 1], lambda folder: ["status", folder],
               lambda folder: ["inspect", folder / "result.h5"]]
    if long:
        readers += [lambda folder: ["inspect", sorted((folder / "shards").glob("*.h5"))[0]], lambda folder: ["status", folder, "--json"]]
    return found + [(undisturbed.all, arguments_of, False) for arguments_of in readers]


def calls_of(undisturbed, library, make, arguments_of):
    """How many calls of each group the command makes when nothing happens to it."""
    folder, mark = make(), undisturbed.scratch / "mark"
    mark.unlink(missing_ok=True)
    ended = call(*arguments_of(folder), environment=preloaded(library, LAMP_FAULT="any:0:short", LAMP_FAULT_MARK=mark))
    assert ended.code == 0, ended.line()
    shutil.rmtree(folder)
    return calls_made(mark)


def strike(undisturbed, library, make, arguments_of, writes, group, k, action):
    """One command with one fault. False when the command made fewer such calls."""
    tally, folder = undisturbed.tally, make()
    arguments, mark = arguments_of(folder), undisturbed.scratch / "mark"
    mark.unlink(missing_ok=True)
    before = {} if not folder.exists() else tree(folder)
    there = undisturbed.cells if not writes or arguments[0] == "merge" else {name: undisturbed.cells[name] for name in undisturbed.cells
                                                                            if f"shards/{name}" in before}
    fault = f"{group}:{k}:{getattr(errno, action, action)}"
    ended = call(*arguments, environment=preloaded(library, LAMP_FAULT=fault, LAMP_FAULT_MARK=mark))
    reached = happened(mark)
    kind = f"{group}, {action}"
    where = f"call {k} ({reached.replace(str(undisturbed.scratch), '')})" if reached else "undisturbed"
    if not reached:
        broken = tally.breach(kind, arguments[0], "" if ended.code == 0 else f"no call {k}, and ends with {ended.code}: {ended.line()}")
    else:
        broken = tally.judge(kind, ended, {0} if action in RETRIED else INTACT | MISTAKEN.get(group, set()), where,
                             libraries_speak=group == "memory")  # the C library and HDF5 say what they have found broken
    where += f", exit code {ended.code}"
    if not broken:
        broken = tally.breach(kind, arguments[0], (what := undisturbed.wrong_on_disk(folder, there)) and f"{where}: {what}")
    if not broken and temporaries(folder) and group not in ("unlink", "memory"):  # HDF5 may end the process where it is refused memory
        broken = tally.breach(kind, arguments[0], f"{where}: {temporaries(folder)} are left")
    if not broken and ended.code == 0 and writes and not (folder / "result.h5").exists():
        broken = tally.breach(kind, arguments[0], f"{where}: 0, but no result.h5")
    if not broken and not writes:
        def changes():
            return [name for name, content in tree(folder).items() if before.get(name, b"") != content]
        changed = changes()
        if arguments[0] == "verify" and changed and all(name.startswith(".lamp-verify-") for name in changed):
            call(*arguments)  # it was hindered from taking its scratch folder away: the next one does
            changed = changes()
        broken = tally.breach(kind, arguments[0], f"{where}: changed {changed}" if changed else "")
    left = [path.name for path in undisturbed.temporary.iterdir()]
    if left and group != "unlink":
        tally.breach(kind, arguments[0], f"{where}: {left} are left in TMPDIR")
    for path in undisturbed.temporary.iterdir():
        shutil.rmtree(path)
    if reached and ended.code != 0 and not broken and writes:
        undisturbed.heals(kind, folder, arguments, where)
    shutil.rmtree(folder, ignore_errors=True)
    return bool(reached)


def main():
    tally = Tally(__doc__.splitlines()[0])
    tally.parser.add_argument("--group", choices=list(ANY_OF), nargs="+", help="these groups of calls alone")
    tally.parser.add_argument("--command", help="this command alone")
    options = tally.options()
    with Undisturbed(tally) as undisturbed:
        library = build_library(undisturbed.scratch)
        sample = random.Random(20261130)
        if SANITIZED:
            ANY_OF.pop("memory")
            tally.skip("memory: a sanitizer's allocator is the program's own, before any that is preloaded")
        for make, arguments_of, writes in commands(undisturbed, options.long):
            if options.command and arguments_of(undisturbed.whole)[0] != options.command:
                continue
            made = calls_of(undisturbed, library, make, arguments_of)
            for group, actions in ANY_OF.items():
                if options.group and group not in options.group:
                    continue
                if not options.long:
                    if made[group]:
                        k = sample.randint(1, made[group])
                        strike(undisturbed, library, make, arguments_of, writes, group, k, sample.choice(actions))
                    continue
                for action in actions:
                    k = 1
                    while strike(undisturbed, library, make, arguments_of, writes, group, k, action):
                        k += LONG_STEPS.get(group, 1)
    tally.end()


if __name__ == "__main__":
    sys.exit(main())
