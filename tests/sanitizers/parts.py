"""The sanitizers over all default tests and clang-tidy over all files, in parts that continue where the last call stopped.

usage: bash tests/run --sanitizers [PART ..] [--minutes M] [--jobs J] [--only REGEX]

PART is tidy, tsan or asan-ubsan; default: all three. What passed stays passed as long as nothing that it depends on has changed: a file's
own text and headers for tidy; for a test every file but the code of other tests. The state is build/sanitizers/PART.json.
Exit: 0 all is done and clean, 1 something failed, 75 something is left.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / "build/sanitizers"
TESTS = ["tsan", "asan-ubsan"]
REPORTED = 99  # the exit code of a program that a sanitizer has something to say of; none of lamp's own
SECONDS = 3600  # for one test; those with a limit of their own (CMake's TIMEOUT) keep it
PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"

# Reports go to files: a test that reads what lamp writes on standard error, or a child that closes it, hides none.
# die_after_fork: a file of results is read in a child of a process that has threads.
# allocator_may_return_null: what is too large is refused, as by the system, and no error of the program.
OPTIONS = {
    "tsan": {"TSAN_OPTIONS": "die_after_fork=0:halt_on_error=0:allocator_may_return_null=1"},
    "asan-ubsan": {"ASAN_OPTIONS": "allocator_may_return_null=1:verify_asan_link_order=0:detect_stack_use_after_return=1",
                   "UBSAN_OPTIONS": "print_stacktrace=1", "LSAN_OPTIONS": "print_suppressions=0"},
}


def digest(*texts):
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text if isinstance(text, bytes) else str(text).encode()).digest())
    return whole.hexdigest()


def content(path, known={}):
    """SHA-256 of a file, "" where there is none."""
    path = ROOT / path
    if path not in known:
        known[path] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return known[path]


class Part:
    """One part's items, and what is known of each: {"key": .., "outcome": .., "seconds": .., "text": what it said}."""

    def __init__(self, name):
        self.name, self.file = name, STATE / f"{name}.json"
        self.known = json.loads(self.file.read_text()) if self.file.exists() else {}

    def key(self, item):
        """What the outcome depends on."""
        raise NotImplementedError

    def work(self, item):
        """(outcome, what it said)"""
        raise NotImplementedError

    def shown(self, text):
        return text.splitlines()[-40:]

    def note(self, item, **what):
        self.known[item] = what
        scratch = self.file.with_suffix(".tmp")
        scratch.write_text(json.dumps(self.known, indent=1))
        scratch.replace(self.file)

    def state(self, item):
        entry = self.known.get(item, {})
        return entry.get("outcome") if entry and entry.get("key") == self.key(item) else None

    def left(self):
        """What has not passed, the new before what failed."""
        found = [item for item in self.items if self.state(item) not in (PASSED, SKIPPED)]
        return sorted(found, key=lambda item: self.state(item) == FAILED)

    def go_on(self, jobs, deadline):
        def one(item):
            if time.monotonic() > deadline:
                return
            start = time.monotonic()
            outcome, text = self.work(item)
            self.note(item, key=self.key(item), outcome=outcome, seconds=round(time.monotonic() - start, 1), text=text)
            print(f"{self.name:11} {outcome:8} {time.monotonic() - start:7.1f} s  {item}", flush=True)
            if outcome == FAILED:
                print("\n".join(self.shown(text)), flush=True)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, self.left()))

    def summary(self):
        states = [self.state(item) for item in self.items]
        seconds = sum(self.known[item]["seconds"] for item in self.items if self.state(item))
        counts = ", ".join(f"{states.count(s)} {s}" for s in (PASSED, SKIPPED, FAILED))
        return f"{self.name}: {counts}, {states.count(None)} left, of {len(states)}; {seconds / 60:.0f} minutes in all"


class Tidy(Part):
    """clang-tidy over each file of the preset `tidy`, which need not be built for that: but for the header that the tests precompile."""

    def __init__(self, options):
        super().__init__("tidy")
        subprocess.run(["cmake", "--preset", "tidy", "-DLAMP_UNITE=OFF"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", ROOT / "build/tidy", "--target", "lamp_catch_header", "lamp_build_info"], check=True,
                       stdout=subprocess.DEVNULL)
        commands = json.loads((ROOT / "build/tidy/compile_commands.json").read_text())
        self.commands = {str(pathlib.Path(c["file"]).relative_to(ROOT)): c["command"] for c in commands if not c["file"].endswith(".cxx")}
        self.items = sorted(name for name in self.commands if re.search(options.only, name))

    def key(self, item):
        headers = self.known.get(item, {}).get("headers", [])
        return digest(self.commands[item], content(".clang-tidy"), content("tests/.clang-tidy"), content(item), *map(content, headers))

    def work(self, item):
        words = shlex.split(self.commands[item])
        done = subprocess.run(["clang-tidy", "--quiet", "-p", ROOT / "build/tidy", ROOT / item], capture_output=True, text=True)
        listed = subprocess.run([*words[:words.index("-o")], "-MM", "-c", ROOT / item], capture_output=True, text=True,
                                cwd=ROOT / "build/tidy")
        paths = [pathlib.Path(word).resolve() for word in listed.stdout.replace("\\\n", " ").split()[1:]]
        headers = sorted(str(path.relative_to(ROOT)) for path in paths if path.is_relative_to(ROOT) and path != ROOT / item)
        self.headers = {**getattr(self, "headers", {}), item: headers}
        return (PASSED if done.returncode == 0 and listed.returncode == 0 else FAILED), done.stdout + listed.stderr

    def shown(self, text):
        return [line for line in text.splitlines() if re.search(" (error|warning): ", line)]

    def note(self, item, **what):
        headers = self.headers[item]
        self.known[item] = {"headers": headers}  # which the key is made of
        super().note(item, **{**what, "key": self.key(item), "headers": headers})


class Sanitized(Part):
    """The default tests in a build by one preset."""

    def __init__(self, name, options):
        super().__init__(name)
        self.preset = name
        self.build = ROOT / "build" / name
        configure = ["cmake", "--preset", name] + ([] if (self.build / "CMakeCache.txt").exists() else ["-DLAMP_UNITE=OFF"])
        subprocess.run(configure, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        print(f"== build/{name}", flush=True)
        left = max(options.deadline - time.monotonic(), 1)
        try:
            subprocess.run(["cmake", "--build", self.build, "-j", str(options.jobs)], check=True, timeout=left)
        except subprocess.TimeoutExpired:
            sys.exit(f"{name}: the time is over while building; the next call goes on")
        listed = subprocess.run(["ctest", "--test-dir", self.build, "-LE", "exhaustive", "--show-only=json-v1"], check=True,
                                capture_output=True, text=True)
        self.tests = {test["name"]: test for test in json.loads(listed.stdout)["tests"]}
        self.items = [name for name in self.tests if re.search(options.only, name)]
        self.code = {name: self.code_of(test["command"]) for name, test in self.tests.items()}
        git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        self.files = set(subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines())
        self.files = {file for file in self.files if not file.startswith(("tests/sanitizers/", "tests/README.md"))}

    def code_of(self, command):
        """The test's own files: a Python test's script and those of other tests that it imports, or the C++ files of the folder."""
        program = next(pathlib.Path(word) for word in command if pathlib.Path(word).is_relative_to(ROOT))
        if program.suffix == ".py":
            text = program.read_text()
            names = [program, *(other for other in program.parent.glob("*_test.py") if f"from {other.stem} import" in text)]
        else:
            names = list((ROOT / program.parent.relative_to(self.build)).glob("*_test.cpp"))
        return {str(name.relative_to(ROOT)) for name in names}

    def key(self, item):
        others = set().union(*self.code.values()) - self.code[item]
        return digest(*(name + content(name) for name in sorted(self.files - others)))

    def work(self, item):
        reports = STATE / self.name / item
        shutil.rmtree(reports, ignore_errors=True)
        reports.mkdir(parents=True)
        reports.chmod(0o777)  # also for whom a test becomes
        options = {name: f"{text}:exitcode={REPORTED}:log_path={reports}/report" for name, text in OPTIONS[self.name].items()}
        done = subprocess.run(["ctest", "--test-dir", self.build, "-R", f"^{re.escape(item)}$", "-LE", "exhaustive", "--output-on-failure",
                               "--timeout", str(SECONDS)], capture_output=True, text=True, env={**os.environ, **options})
        found = [path.read_text(errors="replace") for path in sorted(reports.glob("report*"))]
        text = done.stdout + "".join(found)
        if done.returncode != 0 or found:
            return FAILED, text[-20000:]
        return (SKIPPED if "(Skipped)" in done.stdout else PASSED), "".join(re.findall(r"skipped.*\n", done.stdout))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="files or tests that match this regular expression")
    options = parser.parse_args()
    options.deadline = time.monotonic() + 60 * options.minutes
    STATE.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in options.parts or ["tidy", *TESTS]:
        part = Tidy(options) if name == "tidy" else Sanitized(name, options)
        part.go_on(options.jobs, options.deadline)
        parts.append(part)
    print("\n".join(part.summary() for part in parts))
    states = [part.state(item) for part in parts for item in part.items]
    sys.exit(1 if FAILED in states else 75 if None in states else 0)


if __name__ == "__main__":
    main()
