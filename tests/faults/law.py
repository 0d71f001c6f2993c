"""The law that every fault is held to, and what the tests of faults share.

A command that meets a fault ends within a time, with a documented exit code and, unless that is 0, one line of its own on standard error.
All that it has published can be read, and of what was there before no cell is lost. The same command without the fault then ends with 0,
and leaves a result with the bits of an undisturbed run and no temporary file.

Each test collects what it saw (Tally): a table of counts by kind, command and exit code, and the breaches, which make it fail.
"""
import argparse
import collections
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, contents, sets  # noqa: E402
from sanitized import SANITIZED  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
# Two sequences of 8 tokens, one of each text, and 4 cells each: a tenth of a second.
SMALL = sets("tokens.sequences=1", "tokens.sequence_length=8", 'grid."arithmetic.low.mu"=[4]', 'grid."lamp.scores.tau"=[2.0,1.5]',
             'grid."lamp.scores.rule"=["lamp","all"]')
WORLD = {0, 65, 66, 71, 73, 74, 75, 77}  # exit codes for what the world does: a check that failed, usage and "internal" are not among them
INTACT = WORLD - {65, 66}  # where all that is read is there and right, and only the system fails
SILENT = {0, 75}  # 75 of status, and of a part of a run, is an answer
SECONDS = 300 if SANITIZED else 30  # for a command that takes a tenth of one, on a machine that others use too
ORDINARY = 20000 + os.getpid() % 40000  # a user who is not root, and nobody else: limits of processes count all of theirs
NOBODY = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]  # starts a command as that user
DONE = 1  # the status of a cell, core/record/contents.hpp


@dataclasses.dataclass
class Ended:
    """One call of lamp: its exit code (that of a signal negative, "late" where it had to be ended), what it wrote, and how long it took."""
    command: str
    code: object
    output: bytes
    error: bytes
    seconds: float

    def line(self):
        return self.error.decode(errors="replace").strip().replace("\n", " | ")[:300]


def call(command, *arguments, seconds=SECONDS, environment=None, before=None, wrapper=(), output=subprocess.PIPE):
    """Runs `lamp COMMAND ARGUMENTS`. `before` is called in the child before lamp starts; `wrapper` is a command that starts lamp,
    `output` its standard output."""
    start = time.monotonic()
    child = subprocess.Popen([*map(str, wrapper), str(LAMP), command, *map(str, arguments)], stdin=subprocess.DEVNULL,
                             stdout=output, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
                             preexec_fn=before, start_new_session=True)
    try:
        written, error = child.communicate(timeout=seconds)
        code = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        written, error = child.communicate()
        code = "late"
    return Ended(command, code, written or b"", error, time.monotonic() - start)


def run_arguments(folder, *more, threads=1):
    return ["run", CONFIG, "--out", folder, "--threads", threads, "--quiet", *SMALL, *more]


def preloaded(library, **settings):
    """The environment in which fail_call.c is preloaded with these settings."""
    return {"LD_PRELOAD": str(library), **{name: str(value) for name, value in settings.items()}}


# Of fail_call.c, in its order.
GROUPS = "write pwrite read pread fsync rename open flock ftruncate mmap mkdir unlink stat close thread fork memory any".split()


def happened(mark):
    """The call that was made to fail, "function file", or "" where the command made fewer such calls."""
    return mark.read_bytes()[8 * len(GROUPS):].split(b"\0")[0].decode(errors="replace") if mark.exists() else ""


def calls_made(mark):
    """How many calls of each group a command has made."""
    return dict(zip(GROUPS, struct.unpack(f"{len(GROUPS)}q", mark.read_bytes()[:8 * len(GROUPS)])))


def build_library(folder):
    library = pathlib.Path(folder) / "fail_call.so"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library),
                    str(pathlib.Path(__file__).parent / "fail_call.c"), "-ldl"], check=True)
    return library


def controls(text):
    """The control characters of an output, but the newline; bytes that are no UTF-8 count."""
    return {c for c in text.decode(errors="surrogateescape") if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"}


def breach_of(ended, allowed=WORLD, libraries_speak=False):
    """What is wrong with how a command ended, or "". `libraries_speak`: lines that are not lamp's are those of a library that breaks."""
    text = ended.error.decode(errors="replace")
    errors = [line for line in text.splitlines() if f"lamp {ended.command}: warning: " not in line]
    if libraries_speak:
        errors = [line for line in errors if line.startswith("lamp ")]
    if ended.code == "late":
        return f"has not ended after {ended.seconds:.0f} s"
    if ended.code not in allowed:
        return f"exit code {ended.code}: {ended.line()}"
    if ended.code < 0:
        return ""  # killed, as it should be: it could say nothing
    if "internal error" in text:
        return f"internal error: {ended.line()}"
    if controls(ended.error):
        return f"control characters {controls(ended.error)} on standard error"
    if ended.code not in SILENT and len(errors) != 1:
        return f"exit code {ended.code} with {len(errors)} lines on standard error: {ended.line()}"
    if ended.code not in SILENT and not errors[0].startswith(f"lamp {ended.command}: "):
        return f"not a line of lamp {ended.command}: {ended.line()}"
    return ""


# What is on disk.

def digest_place(data):
    """Where a file names the SHA-256 of its bytes, and the bytes it is of: (begin of 64 hex digits, begin, end), or None.

    A shard begins with 512 bytes of text that hold the digest of the rest; a result ends with a line that holds that of all before it.
    """
    if data.startswith(b"lamp shard"):
        found = re.search(rb"[0-9a-f]{64}", data[:512])
        return found and (found.start(), 512, len(data))
    found = re.search(rb"\n[^\n]*SHA-256[^\n]*?([0-9a-f]{64})[^\n]*\n?$", data[-256:])
    if not found:
        return None
    base = max(len(data) - 256, 0)
    return base + found.start(1), 0, base + found.start()


def digest_right(data):
    place = digest_place(data)
    if place is None:
        return not data.startswith(b"lamp shard")
    at, begin, end = place
    return data[at:at + 64] == hashlib.sha256(data[begin:end]).hexdigest().encode()


def parts_of(data):
    """(header, HDF5, trailer) of a shard or a result."""
    place = digest_place(data)
    if place is None:
        return b"", data, b""
    return data[:place[1]], data[place[1]:place[2]], data[place[2]:]


def mended(header, body, trailer):
    """The three parts together, with the right digest where one of them holds it."""
    data = bytearray(header + body + trailer)
    for text, base in ((header, 0), (trailer, len(header) + len(body))):
        found = re.search(rb"[0-9a-f]{64}", text)
        if found:
            data[base + found.start():base + found.end()] = hashlib.sha256(body).hexdigest().encode()
    return bytes(data)


def cells(folder):
    """The finished cells of each shard, by the shard's name; a shard that cannot be read is an error."""
    found = {}
    for file in sorted((pathlib.Path(folder) / "shards").glob("sequence-*.h5")):
        if not digest_right(file.read_bytes()):
            raise OSError(f"{file}: not the SHA-256 that it names")
        with h5py.File(file) as shard:
            ids, status = shard["cells/id"][()], shard["cells/status"][()]
        found[file.name] = {bytes(ids[c]) for c in range(len(ids)) if status[c] == DONE}
    return found


def temporaries(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob(".*.tmp"))


def tree(folder):
    """Every file's content: for commands that write nothing."""
    paths = sorted(pathlib.Path(folder).rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


class Tally:
    """What a test saw. `kinds` are its own words for what it did."""

    def __init__(self, description):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--long", action="store_true", help="all of it, minutes; by default a sample, seconds")
        parser.add_argument("--markdown", action="store_true", help="print the row of the table in tests/README.md")
        parser.add_argument("--most", type=int, default=20, metavar="N", help="breaches to print (default: 20)")
        self.parser, self.counts, self.breaches, self.skipped = parser, collections.Counter(), collections.defaultdict(list), []
        self.start = time.monotonic()

    def options(self, arguments=None):
        self.asked = self.parser.parse_args(arguments)
        return self.asked

    def count(self, kind, ended):
        self.counts[kind, ended.command, str(ended.code)] += 1

    def breach(self, kind, command, what):
        """One more breach; "" is none."""
        if what:
            self.breaches[kind, command].append(what)
            if sum(map(len, self.breaches.values())) <= self.asked.most:
                print(f"BREACH {kind}, {command}: {what}", file=sys.stderr, flush=True)
        return bool(what)

    def judge(self, kind, ended, allowed=WORLD, where="", libraries_speak=False):
        self.count(kind, ended)
        what = breach_of(ended, allowed, libraries_speak)
        return self.breach(kind, ended.command, what and f"{where}: {what}")

    def skip(self, what):
        self.skipped.append(what)
        print("skipped:", what, flush=True)

    def table(self):
        """A line for each kind and command: how many, and how many ended with which exit code."""
        rows = collections.defaultdict(collections.Counter)
        for (kind, command, code), n in self.counts.items():
            rows[kind, command][code] += n
        return [f"{kind:34} {command:8} {sum(codes.values()):6}  {in_words(codes)}" +
                (f"   BREACHES {len(self.breaches[kind, command])}" if self.breaches[kind, command] else "")
                for (kind, command), codes in sorted(rows.items())]

    def row(self, broken):
        """All of it as a row of the table in tests/README.md."""
        codes = collections.Counter()
        for (_, _, code), n in self.counts.items():
            codes[code] += n
        kinds, seconds = {kind for kind, _, _ in self.counts}, time.monotonic() - self.start
        return (f"| `{pathlib.Path(sys.argv[0]).name}` | {len(kinds)} | {sum(codes.values())} | {in_words(codes)} | {broken} | "
                f"{seconds:.0f} s |")

    def end(self):
        """Prints the table; exits with 1 if there was a breach."""
        broken = sum(map(len, self.breaches.values()))
        if self.asked.markdown:
            print("| test | kinds of fault | commands that met one | of these, by exit code | breaches | time |\n|---|---|---|---|---|---|")
            print(self.row(broken))
        else:
            print("\n".join(self.table()))
        print(f"{sum(self.counts.values())} commands met a fault, {broken} breaches of the law, {time.monotonic() - self.start:.0f} s",
              file=sys.stderr)
        sys.exit(1 if broken else 0)


def in_words(codes):
    """Exit codes and how often, the least first; SIGNAL and "late" last."""
    return ", ".join(f"{code}: {n}" for code, n in sorted(codes.items(), key=lambda item: (not item[0].isdigit(), item[0].zfill(5))))


class Undisturbed:
    """A scratch folder that has the small experiment, run without a fault: what faulty runs are made from and compared with."""

    def __init__(self, tally):
        self.tally = tally
        self.scratch_folder = tempfile.TemporaryDirectory(prefix="lamp-faults-")
        self.scratch = pathlib.Path(self.scratch_folder.name)
        self.temporary = self.scratch / "tmp"  # TMPDIR of lamp
        self.temporary.mkdir()
        os.environ["TMPDIR"] = str(self.temporary)
        self.whole = self.scratch / "whole"
        ended = call(*run_arguments(self.whole))
        assert ended.code == 0, ended.line()
        self.cells, self.contents = cells(self.whole), contents(self.whole / "result.h5")
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def nothing(self):
        """A folder that is not there."""
        self.number += 1
        return self.scratch / f"run{self.number}"

    def all(self):
        """All shards and the result."""
        folder = self.nothing()
        shutil.copytree(self.whole, folder)
        return folder

    def half(self):
        """One shard of two, no result."""
        folder = self.all()
        (folder / "result.h5").unlink()
        sorted((folder / "shards").glob("*.h5"))[1].unlink()
        return folder

    def shards(self):
        """All shards, no result."""
        folder = self.all()
        (folder / "result.h5").unlink()
        return folder

    def differences(self, result):
        """Paths whose bits are not those of the undisturbed run."""
        found = contents(result)
        return sorted(path for path in found.keys() | self.contents.keys() if found.get(path) != self.contents.get(path))

    def wrong_on_disk(self, folder, before, result=True):
        """What is wrong with what a command has left in a run's folder that had the cells `before`: "" if nothing.

        `result`: look at result.h5, too.
        """
        if not folder.is_dir():
            return ""
        try:
            there = cells(folder)
        except (OSError, KeyError, RuntimeError) as error:
            return f"published, but not readable: {error}"
        lost = sorted(name for name in before if not before[name] <= there.get(name, set()))
        if lost:
            return f"finished cells are lost: {lost}"
        file = folder / "result.h5"
        if result and file.exists():
            try:
                differ = self.differences(file) if digest_right(file.read_bytes()) else ["its SHA-256"]
            except (OSError, KeyError, RuntimeError) as error:
                return f"result.h5 is published, but not readable: {error}"
            if differ:
                return f"result.h5 differs from that of an undisturbed run: {differ[:3]}"
        return ""

    def heals(self, kind, folder, arguments, where=""):
        """The same command without the fault: 0, the bits of an undisturbed run, no temporary file; then the folder goes."""
        ended = call(*arguments)
        what = "" if ended.code == 0 else f"ends with {ended.code}: {ended.line()}"
        if not what and not (folder / "result.h5").exists():
            what = "there is no result.h5"
        what = what or self.wrong_on_disk(folder, self.cells)
        if not what and temporaries(folder):
            what = f"{temporaries(folder)} are left"
        shutil.rmtree(folder, ignore_errors=True)
        return self.tally.breach(kind, arguments[0], what and f"{where}: without the fault again: {what}")
