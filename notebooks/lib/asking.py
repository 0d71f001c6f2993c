"""An experiment of a few lines, from a notebook: `ask` runs it as `lamp run` does, `shell` shows a command and what it prints."""
import contextlib
import hashlib
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

from .any_result import open_any

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATHS = (("model", "path"), ("tokens", "path"), ("grid", "model.path"))  # in a question they start at the top of the repository


def ask(question):
    """Runs a config, given as TOML or as a dict, and opens its result. The folder of the run, below runs/ (or below LAMP_RUNS), is called by
    title and content: the same question is answered at once, a changed one is another run."""
    import lamp  # the module; what only opens results does without it
    config = tomllib.loads(question) if isinstance(question, str) else {key: dict(v) if isinstance(v, dict) else v for key, v in question.items()}
    for table, key in PATHS:
        if key in config.get(table, {}):
            config[table][key] = from_top(config[table][key])
    digest = hashlib.sha256(repr(config).encode()).hexdigest()[:8]
    folder = runs() / f"{re.sub('[^a-z0-9]+', '-', config['title'].lower()).strip('-')}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):  # where lamp.run writes the dict down
        path = lamp.run(config, folder, progress=False)
    return open_any(path)


def runs():
    return pathlib.Path(os.environ.get("LAMP_RUNS", ROOT / "runs"))


def from_top(paths):
    return [from_top(path) for path in paths] if isinstance(paths, list) else str(ROOT / paths)


def shell(command, lines=None):
    """Prints a command and what it answers, at most so many lines of it. It runs at the top of the repository; lamp is the program that
    lamp.run starts."""
    from lamp._run import program
    lamp = f'lamp() {{ {shlex.quote(os.path.abspath(program()))} "$@"; }}'
    done = subprocess.run(["bash", "-c", f"{lamp}\n{command}"], cwd=ROOT, capture_output=True, text=True)
    told = (done.stdout + done.stderr).rstrip().splitlines()
    print(f"$ {command}", *told[:lines], *(["  .."] if lines is not None and len(told) > lines else []), sep="\n")
    if done.returncode != 0:
        raise RuntimeError(f"{command}: exit code {done.returncode}")
