"""Little disk (a small tmpfs, few inodes) and `ulimit -f`, `-v`, `-n`, `-u`: from what is too little for anything to what is enough."""
import os
import resource
import shutil
import subprocess
import sys

from law import INTACT, LAMP, SANITIZED, NOBODY, ORDINARY, Tally, Undisturbed, call, run_arguments

KIB, MIB = 1024, 1024 * 1024


def own_mounts():
    """Whether this process can mount: it starts itself again where its mounts are its own."""
    if os.environ.get("LAMP_FAULTS_MOUNTS"):
        return True
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        return False
    os.environ["LAMP_FAULTS_MOUNTS"] = "own"
    os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


def limited(limit, value):
    """For Popen: sets the soft and hard limit."""
    return lambda: resource.setrlimit(limit, (value, value))


def on_small_disks(undisturbed, option, values, unit):
    """`run` from nothing and `merge` on a tmpfs mounted with option=value; then it grows."""
    kind, disk = f"tmpfs, {option}", undisturbed.scratch / "disk"
    for value in values:
        for command in ("run", "merge"):
            disk.mkdir()
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]).returncode != 0:
                disk.rmdir()
                undisturbed.tally.skip("a small tmpfs: it cannot be mounted here")
                return
            try:
                folder = disk / "run"
                if command == "merge":
                    shutil.copytree(undisturbed.whole, folder)
                    (folder / "result.h5").unlink()
                there = undisturbed.cells if command == "merge" else {}
                inside = disk_use(disk, option)
                grow(disk, option, max(inside + value * unit, 1))  # 0: no limit
                arguments = run_arguments(folder, threads=2) if command == "run" else ["merge", folder]
                ended, where = call(*arguments), f"{value * unit} more"
                broken = undisturbed.tally.judge(kind, ended, {0, 71, 73, 74}, where)
                what = undisturbed.wrong_on_disk(folder, there)
                broken = broken or undisturbed.tally.breach(kind, command, what and f"{where}: {what}")
                grow(disk, option, 64 * MIB if option == "size" else 10000)
                if not broken:
                    undisturbed.heals(kind, folder, arguments, where)
            finally:
                subprocess.run(["umount", "-l", str(disk)], check=True)
                disk.rmdir()


def disk_use(disk, option):
    """Bytes or inodes that a file system's files take."""
    found = os.statvfs(disk)
    return (found.f_blocks - found.f_bfree) * found.f_frsize if option == "size" else found.f_files - found.f_ffree


def grow(disk, option, value):
    subprocess.run(["mount", "-o", f"remount,{option}={value}", str(disk)], check=True)


def least(limit, low, high, wrapper=()):
    """The least value with which `lamp version` works; below, it is the dynamic loader that fails."""
    while low < high:
        middle = (low + high) // 2
        if subprocess.run([*wrapper, str(LAMP), "version"], capture_output=True, preexec_fn=limited(limit, middle)).returncode == 0:
            high = middle
        else:
            low = middle + 1
    return low


def under_limit(undisturbed, name, limit, values, wrapper=()):
    """Each command (by default two) under each value of a limit, from what is too little; then without it."""
    kind = f"ulimit {name}"
    for number, value in enumerate(values):
        commands = [(undisturbed.nothing, lambda folder: run_arguments(folder, threads=2), True),
                    (undisturbed.all, lambda folder: ["status", folder], False),
                    (undisturbed.shards, lambda folder: ["merge", folder], True),
                    (undisturbed.all, lambda folder: ["verify", folder, "--threads", 2], False),
                    (undisturbed.all, lambda folder: ["inspect", folder / "result.h5"], False)]
        chosen = commands if undisturbed.tally.asked.long else [commands[0], commands[1 + number % 4]]
        for make, arguments_of, writes in chosen:
            folder = make()
            if wrapper:
                make_own(folder)
            there = undisturbed.cells if folder.exists() and any((folder / "shards").glob("*.h5")) else {}
            arguments, where = arguments_of(folder), f"{value}"
            ended = call(*arguments, before=limited(limit, value), wrapper=wrapper)
            broken = undisturbed.tally.judge(kind, ended, INTACT, where)
            what = undisturbed.wrong_on_disk(folder, there)
            broken = broken or undisturbed.tally.breach(kind, arguments[0], what and f"{where}: {what}")
            if writes and not broken:
                undisturbed.heals(kind, folder, arguments, where)
            shutil.rmtree(folder, ignore_errors=True)
            for left in undisturbed.temporary.iterdir():
                shutil.rmtree(left)


def make_own(folder):
    """The folder, or one above that is there, for the user nobody."""
    if folder.exists():
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, ORDINARY, ORDINARY)


def main():
    tally = Tally(__doc__)
    options = tally.options()
    mounts = own_mounts()
    with Undisturbed(tally) as undisturbed:
        result = (undisturbed.whole / "result.h5").stat().st_size
        if mounts:
            on_small_disks(undisturbed, "size", range(0, 3 * result // KIB, 4 if options.long else 95), KIB)
            on_small_disks(undisturbed, "nr_inodes", range(0, 10, 1 if options.long else 3), 1)
        else:
            tally.skip("a small tmpfs: only root may mount one")
        sizes = range(0, result + 8192, 2048) if options.long else [0, 1500, 30000, result - 1]
        if SANITIZED:
            sizes = sizes[1:]  # ThreadSanitizer writes a file of its own before main
        under_limit(undisturbed, "-f", resource.RLIMIT_FSIZE, sizes)
        if SANITIZED:
            tally.skip("ulimit -v, -u, -n: a sanitizer takes terabytes of addresses, a thread, and descriptors to look at a type")
            tally.end()
        low = least(resource.RLIMIT_NOFILE, 3, 64)
        under_limit(undisturbed, "-n", resource.RLIMIT_NOFILE, range(low, low + 12, 1 if options.long else 3))
        low = least(resource.RLIMIT_AS, 8 * MIB, 4096 * MIB)
        more = [0, 2 * MIB, 9 * MIB, 33 * MIB, 150 * MIB]
        if options.long:
            more = [*range(0, 40 * MIB, MIB // 4), *range(40 * MIB, 400 * MIB, 5 * MIB)]
        under_limit(undisturbed, "-v", resource.RLIMIT_AS, [low + m for m in more])
        if os.geteuid() == 0:
            os.chmod(undisturbed.scratch, 0o777)
            os.chmod(undisturbed.temporary, 0o777)
            under_limit(undisturbed, "-u", resource.RLIMIT_NPROC, range(0, 4), NOBODY)
        else:
            tally.skip("ulimit -u: nobody else's processes count only for a user of its own, which root can become")
    tally.end()


if __name__ == "__main__":
    main()
