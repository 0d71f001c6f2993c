"""Running two builds under the same names, and the list of what may differ between their words."""
import contextlib
import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import resource
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]

# What two runs of one binary, or two builds of one program, cannot have in common: (pattern, put in its place, reason).
SUBSTITUTIONS = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<UTC>", "when it ran"),
    (r"(?:[\d.]+ cells/s|[\dhmins ]+ a cell), took [\dhmins ]+;", "<rate>, took <duration>;", "how fast it ran: the last line of progress"),
    (r"(?m)^lamp run: \d+ of \d+ cells \(\d?\d %\), .* left; .*\n", "", "lines of progress every ten seconds, as many as it ran long"),
    (r"(cells computed, \d+ found), [\dhmins ]+\)", r"\1, <duration>)", "how fast it ran"),
    (r"(stopped by signal \d+ with )\d+( of)", r"\1<some>\2", "how far it was when it was interrupted"),
    (r"(?m)^(# inputs: .* read )\d+$", r"\1<seconds>", "study.toml: when it ran"),
    (r"--seed \d+\n", "--seed <drawn>\n", "verify: which cells it chose"),
    (r"host \S+, process \d+, since", "host <host>, process <pid>, since", "the process that holds a lock"),
    (r"(?m)^(memory      about ).*\n.*", r"\1<bytes>", "plan: an estimate from the memory the process has"),
    (r"(?m)^(time        about ).*", r"\1<durations>", "plan: an estimate from kernels run for milliseconds"),
    (r", [\d.e+]+( to [\d.e+]+)? ns each", ", <time> each", "plan: a time of a kernel run for milliseconds"),
    (r"(?m)^lamp \d+\.\d+\.\d+$", "lamp <version>", "version: of the build"),
    (r"(?m)^commit [0-9a-f]+.*", "commit <commit>", "version: of the build"),
    (r"(?m)^compiler .*", "compiler <compiler and flags>", "version: of the build"),
    (r"(?m)^  (lamp_version|git_commit|git_dirty|compiler_flags|compiler)( +).*(\n {24}.*)*", r"  \1 <of the build>",
     "inspect: /provenance"),
]

# The same for JSON: places whose value is replaced by its type. Their keys must be there.
BUILD = ["version", "commit", "dirty", "compiler", "flags", "build_type"]
PROVENANCE = ["lamp_version", "git_commit", "git_dirty", "compiler", "compiler_flags", "started", "finished"]
ESTIMATES = {"run": ["seconds"], "version": BUILD, "verify": ["seed"],
             "plan": ["memory.*", "seconds.*", "stop.seconds.*", "truth.seconds", "rankings.seconds", "products[*].ns_per_mac*"],
             "inspect": ["provenance." + name for name in PROVENANCE]}


def plain(text):
    """Words of a build without what must differ."""
    for pattern, other, _ in SUBSTITUTIONS:
        text = re.sub(pattern, other, text)
    return text


class Digits(str):
    """A number of JSON as it is written."""


def _walk(value, path, estimates):
    if isinstance(value, dict):
        return {key: _walk(item, f"{path}.{key}" if path else key, estimates) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, f"{path}[{i}]", estimates) for i, item in enumerate(value)]
    if any(fnmatch.fnmatchcase(path.replace("[", "("), e.replace("[", "(")) for e in estimates):  # indices are no sets of characters
        return f"<{'number' if isinstance(value, Digits) else type(value).__name__}>"
    return f"number {value}" if isinstance(value, Digits) else value


def leaves(value, path=""):
    """(path, value) of everything in a JSON value, in its order."""
    if isinstance(value, (dict, list)):
        yield path, f"{type(value).__name__} of {len(value)}"
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{path}.{key}" if isinstance(value, dict) else f"{path}[{key}]")
    else:
        yield path, value


def parsed(text, estimates):
    """JSON with the numbers as written, estimates replaced by their type, the rest as `plain` has it."""
    return _walk(json.loads(text, parse_float=Digits, parse_int=Digits, parse_constant=Digits), "", estimates)


def shown(text, at=0, width=160):
    """A piece of a text around a place."""
    start = max(0, at - width // 2)
    piece = text[start:start + width]
    return ("…" if start else "") + repr(piece)[1:-1] + ("…" if start + width < len(text) else "")


@dataclasses.dataclass
class Answer:
    code: int
    out: str
    err: str
    user: float  # seconds of processor time in user mode


class Side:
    """A build, with a folder of its own. While it runs the folder has the name `here`, which both share: all paths are equal."""

    def __init__(self, name, binary, scratch):
        self.name, self.binary, self.folder, self.here = name, pathlib.Path(binary).resolve(), scratch / name, scratch / "here"
        self.folder.mkdir(parents=True, exist_ok=True)
        (scratch / "tmp").mkdir(exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("LAMP_")} | {
            "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch / "tmp")}

    @contextlib.contextmanager
    def at_work(self):
        self.folder.rename(self.here)
        try:
            yield self.here
        finally:
            self.here.rename(self.folder)

    def start(self, *arguments, environment=None, **options):
        """A process under way; only within `at_work`. Its first word is `lamp` whatever the binary is called."""
        return subprocess.Popen(["lamp", *map(str, arguments)], executable=str(self.binary), cwd=self.here,
                                env=self.environment | (environment or {}), **options)

    def run(self, *arguments, data=b"", environment=None, output=None):
        with self.at_work():
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            pipe = subprocess.PIPE
            process = self.start(*arguments, environment=environment, stdin=pipe, stdout=output or pipe, stderr=pipe)
            out, err = process.communicate(data, timeout=1800)
            return Answer(process.returncode, (out or b"").decode("utf-8", "backslashreplace"), err.decode("utf-8", "backslashreplace"),
                          resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)


class Part:
    """What one part compared, and where the two sides differ."""

    def __init__(self, name, old, new, inputs, quick):
        self.name, self.old, self.new, self.inputs, self.quick = name, old, new, inputs, quick
        self.counts, self.differences, self.notes, self.start = {}, [], [], time.monotonic()
        inputs.mkdir(parents=True, exist_ok=True)

    def count(self, kind, n=1):
        self.counts[kind] = self.counts.get(kind, 0) + n

    def differ(self, where, what):
        self.differences.append(f"{where}: {what}")

    def note(self, text):
        self.notes.append(text)

    def same(self, kind, where, old, new):
        """Two values, counted as `kind`."""
        self.count(kind)
        if old != new:
            self.differ(where, f"OLD {shown(str(old))}, NEW {shown(str(new))}")
        return old == new

    def same_lines(self, kind, where, old, new):
        """Two texts: every line, the first that differs with both."""
        a, b = old.split("\n"), new.split("\n")
        self.count(kind, len(a) - (a[-1] == ""))
        if old == new:
            return True
        for i in range(max(len(a), len(b))):
            x, y = a[i] if i < len(a) else "<no line>", b[i] if i < len(b) else "<no line>"
            if x != y:
                at = next((k for k, (c, d) in enumerate(zip(x, y)) if c != d), min(len(x), len(y)))
                others = sum(p != q for p, q in zip(a[i + 1:], b[i + 1:])) + abs(len(a) - len(b))
                self.differ(where,
                            f"line {i + 1}: OLD {shown(x, at)}, NEW {shown(y, at)}" + (f" (and {others} lines more)" if others else ""))
                return False
        return True

    def same_json(self, where, command, old, new):
        try:
            old, new = (parsed(plain(text), ESTIMATES.get(command, [])) for text in (old, new))
        except ValueError:
            return self.same_lines("lines", where, plain(old), plain(new))
        a, b = list(leaves(old)), list(leaves(new))
        self.count("JSON values", len(a))
        for (p, x), (q, y) in zip(a, b):
            if (p, x) != (q, y):
                return self.differ(where, f"OLD {p} is {shown(str(x))}, NEW {q} is {shown(str(y))}")
        if len(a) != len(b):
            self.differ(where, f"OLD has {len(a)} values, NEW {len(b)}")
        return len(a) == len(b)

    def command(self, *arguments, data=b"", environment=None, where=None, expected=None):
        """The same command by both: exit code, standard output, standard error. Returns both answers."""
        where = where or "lamp " + " ".join(map(str, arguments))
        where = where.replace(str(self.old.here.parent) + "/", "")[:200]
        self.old.folder.mkdir(exist_ok=True)
        old, new = (side.run(*arguments, data=data, environment=environment) for side in (self.old, self.new))
        self.count("commands")
        self.count("refusals", old.code != 0)
        self.same("exit codes", where + ": exit code", old.code, new.code)
        if expected is not None and old.code not in expected:
            self.differ(where, f"OLD ended with {old.code}, not {expected}: {shown(old.err)}")
        if "--json" in arguments and old.code in (0, 1, 65, 75) and old.out.startswith("{"):
            self.same_json(where + ": standard output", arguments[0], old.out, new.out)
        else:
            self.same_lines("lines", where + ": standard output", plain(old.out), plain(new.out))
        self.same_lines("lines", where + ": standard error", plain(old.err), plain(new.err))
        return old, new
