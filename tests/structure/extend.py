"""The program with every toy extension in it: what a researcher adds is the files and rows that a recipe names, and no other.

usage: extend.py build [TARGET ..]   the extended tree in build/extended, and everything in it, or these targets, with clang -O0
       extend.py test TOY            builds its program if need be, and runs toys/TOY/toy_test.py on it (LAMP_BINARY)
       extend.py count               files and rows of each toy

A toy is a folder of tests/structure/toys: the files it adds, below add/ as they lie in the tree; in rows.txt the rows it adds to files
that are there already; and toy_test.py. rows.txt:

    == core/selection/rules/rule.hpp
    after: Rule{"all", mark_all},
        Rule{"first", mark_first},

A block of lines goes after (or `before:`) the one line that holds the text; several blocks of a file follow each other, each with its own `after:`.
"""
import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOYS = ROOT / "tests/structure/toys"
TREE = ROOT / "build/extended"
PROGRAM = TREE / "build/clang-O0/lamp"


@dataclass
class Row:
    """Lines that go before or after the line of a file that holds `anchor`."""
    file: str
    where: str
    anchor: str
    lines: list = field(default_factory=list)


def rows_of(toy):
    rows, file = [], None
    text = toy / "rows.txt"
    for line in text.read_text().splitlines() if text.exists() else []:
        if line.startswith("== "):
            file = line[3:].strip()
        elif line.startswith(("after: ", "before: ")):
            where, anchor = line.split(": ", 1)
            rows.append(Row(file, where, anchor.strip()))
        else:
            rows[-1].lines.append(line)
    return rows


def insert(text, row):
    lines = text.splitlines(keepends=True)
    found = [i for i, line in enumerate(lines) if row.anchor in line]
    assert len(found) == 1, f"{row.file}: {len(found)} lines hold {row.anchor!r}; a row needs exactly one"
    at = found[0] + (row.where == "after")
    return "".join(lines[:at] + [line + "\n" for line in row.lines] + lines[at:])


def toys():
    return sorted(path for path in TOYS.iterdir() if path.is_dir())


def added(toy):
    return {str(path.relative_to(toy / "add")): path for path in sorted((toy / "add").rglob("*")) if path.is_file()}


def wanted():
    """Every file of the extended tree: a path to link to, or a text."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], check=True, capture_output=True, text=True)
    tree = {name: ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    for toy in toys():
        for name, path in added(toy).items():
            assert name not in tree, f"{toy.name}: {name} is there already"
            tree[name] = path
        for row in rows_of(toy):
            before = tree[row.file]
            tree[row.file] = insert(before.read_text() if isinstance(before, Path) else before, row)
    return tree


def write():
    """Links to the files of this tree and of the toys; the files that have new rows are written. What is the same already stays."""
    tree = wanted()
    for name, content in tree.items():
        path = TREE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            if not (path.is_symlink() and os.readlink(path) == str(content)):
                path.unlink(missing_ok=True)
                path.symlink_to(content)
        elif path.is_symlink() or not path.exists() or path.read_text() != content:
            path.unlink(missing_ok=True)
            path.write_text(content)
    for path in TREE.rglob("*"):
        name = path.relative_to(TREE)
        if name.parts[0] != "build" and not path.is_dir() and str(name) not in tree:
            path.unlink()


def build(*targets):
    """The program of the extended tree, built or renewed: all of the tree, or these targets."""
    TREE.mkdir(parents=True, exist_ok=True)
    with open(TREE.parent / "extended.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run side by side
        write()
        subprocess.run(["cmake", "--preset", "clang-O0"], check=True, stdout=subprocess.DEVNULL, cwd=TREE)
        os.environ.setdefault("CCACHE_SLOPPINESS", "pch_defines,time_macros")  # what ccache asks for, for precompiled headers
        chosen = [word for target in targets for word in ("--target", target)]
        done = subprocess.run(["cmake", "--build", "build/clang-O0", *chosen], cwd=TREE, stdout=subprocess.PIPE if targets else None, text=True)
        assert done.returncode == 0, done.stdout or "the extended tree does not build"
    return PROGRAM


def test(name):
    environment = {**os.environ, "LAMP_BINARY": str(build("lamp")), "NO_COLOR": "1"}
    return subprocess.run([sys.executable, TOYS / name / "toy_test.py"], env=environment, cwd=ROOT).returncode


def count():
    for toy in toys():
        rows = rows_of(toy)
        print(f"{toy.name:16} {len(added(toy))} new: {', '.join(added(toy))}")
        for file in dict.fromkeys(row.file for row in rows):
            print(f"{'':16} {sum(len(row.lines) for row in rows if row.file == file)} lines in {file}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", *targets]:
            build(*targets)
        case ["test", toy]:
            sys.exit(test(toy))
        case ["count"]:
            count()
        case _:
            sys.exit(__doc__)
