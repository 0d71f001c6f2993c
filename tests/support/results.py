"""Comparing files of results bit by bit, and running the lamp binary: what the Python tests share."""
import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAMP = pathlib.Path(os.environ.get("LAMP_BINARY", ROOT / "build/release/lamp"))
os.environ.setdefault("LAMP_PYTHON", sys.executable)  # whose numpy own rules of a run find


def lamp(*arguments, check=True, **options):
    """Runs `lamp ARGUMENTS`; returns the finished process with text output."""
    done = subprocess.run([str(LAMP), *map(str, arguments)], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"lamp {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
    return done


def sets(*changes):
    """The options `--set KEY=VALUE`, a change each."""
    return [word for change in changes for word in ("--set", change)]


def contents(file, leave_out=("/provenance",)):
    """Every dataset and attribute of an HDF5 file as bytes, by path: equal dictionaries mean equal bits."""
    found = {}

    def plain(value):
        value = np.asarray(value)
        return (str(value.dtype), value.shape, repr(value.tolist()) if value.dtype == object else value.tobytes())

    def attributes(path, node):
        for name, value in node.attrs.items():
            if name not in ("REFERENCE_LIST", "DIMENSION_LIST"):  # object references: addresses, not values
                found[f"{path}@{name}"] = plain(value)

    def visit(name, node):
        path = "/" + name
        if path.startswith(leave_out):
            return
        attributes(path, node)
        found[path] = plain(node[()]) if isinstance(node, h5py.Dataset) else "group"

    with h5py.File(file, "r") as f:
        attributes("/", f)
        f.visititems(visit)
    return found


def differences(one, other, leave_out=("/provenance",)):
    """Paths whose bits differ between two files, /provenance aside."""
    a, b = contents(one, leave_out), contents(other, leave_out)
    return sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))


def assert_same_bits(one, other, leave_out=("/provenance",)):
    differ = differences(one, other, leave_out)
    assert not differ, f"{one} and {other} differ in {len(differ)} places: {differ[:5]}"
