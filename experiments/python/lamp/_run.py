"""lamp.run: an experiment by the program lamp, from a notebook. What starts programs is imported when it is run."""
import os
import re
import sys

from . import _toml


def program():
    """The program lamp that was installed with this module; LAMP_BINARY names another one."""
    import shutil
    import sysconfig
    named = os.environ.get("LAMP_BINARY")
    beside = os.path.join(sysconfig.get_path("scripts"), "lamp")
    for candidate in (named, beside, shutil.which("lamp")):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(f"the program lamp is neither {beside} nor on PATH; legal: LAMP_BINARY=/path/to/lamp")


def environment():
    """Own rules of a run see the packages that this Python sees."""
    return {"LAMP_PYTHON": sys.executable, **os.environ} if sys.executable else dict(os.environ)


def command(*arguments, input=None):
    """What `lamp ARGUMENTS` prints. ValueError, OSError: its one line of errors."""
    import subprocess
    done = subprocess.run([program(), *map(str, arguments)], input=input, capture_output=True, text=True)
    if done.returncode != 0:
        raise failure(done.returncode, done.stderr)
    return done.stdout


def failure(code, text):
    """The exception of an exit code."""
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    message = re.sub(r"^lamp( \w+)?: ", "", lines[-1]) if lines else f"lamp ended with {code}"
    if code in (2, 65):
        return ValueError(message)
    if code == 66:
        return FileNotFoundError(message)
    if code == 77:
        return PermissionError(message)
    if code == 71:
        return MemoryError(message)
    return OSError(message) if code in (73, 74, 75) else RuntimeError(message)


def run(config, out=None, *, set=None, threads=None, progress=True):
    """Runs an experiment, as `lamp run` does, and returns the path of its result.h5, which lamp.open reads.

    config: a file; or a dict of the same keys (tables are dicts, an arithmetic may be a lamp.Arithmetic, a format a lamp.Format), whose
    paths are relative to the current folder. out: the folder of the run, by default runs/<title>; one that holds part of the same
    experiment is continued. set: {"tokens.sequences": 2, ..}, as --set. progress: shows the program's bar on sys.stderr.

    Ctrl-C is a signal to the program: what is finished is kept, and the same call goes on. ValueError, FileNotFoundError, OSError: with the
    text of the command line."""
    if not isinstance(config, dict):
        return _run(os.fspath(config), out, set, threads, progress)
    import tempfile
    with tempfile.NamedTemporaryFile("w", dir=os.getcwd(), prefix=".lamp-", suffix=".toml", encoding="utf-8") as file:
        file.write(_toml.dumps(config))
        file.flush()
        return _run(file.name, out, set, threads, progress, name="config")


def _run(config, out, overrides, threads, progress, name=None):
    import json
    import pty
    import signal
    import subprocess
    import tempfile
    arguments = [program(), "run", config, "--json"]
    arguments += [] if out is None else ["--out", os.fspath(out)]
    arguments += [] if threads is None else ["--threads", str(threads)]
    for key, value in (overrides or {}).items():
        arguments += ["--set", f"{key}={_toml.text(value)}"]
    terminal, end = pty.openpty()  # so that the program draws its bar
    with open(terminal, "rb", buffering=0) as lines, tempfile.TemporaryFile("w+") as answer:
        try:
            child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=answer, stderr=end, start_new_session=True,
                                     env=environment())
        finally:
            os.close(end)
        try:
            said = _relay(lines, progress)
            code = child.wait()
        except BaseException:  # KeyboardInterrupt above all
            child.send_signal(signal.SIGINT)
            _relay(lines, progress)
            child.wait()
            raise
        if code != 0:
            raise failure(code, said.replace(config, name or config))
        answer.seek(0)
        return json.load(answer)["result"]


def _relay(lines, shown):
    """Hands on what the program says until it ends, all but its last line, which the caller knows how to take; returns all of it."""
    said, handed = b"", 0
    while True:
        try:
            more = lines.read(4096)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            return said.decode("utf-8", "replace")
        said += more
        line = said.rstrip(b"\r\n").rfind(b"\n") + 1
        drawn_over = b"\r" in said[line:].rstrip(b"\r\n")  # a bar, which stays in its line
        until = len(said) if drawn_over else line
        if shown and until > handed and sys.stderr is not None:
            sys.stderr.write(said[handed:until].decode("utf-8", "replace").replace("\x1b[K", "   "))
            sys.stderr.flush()
            handed = until
