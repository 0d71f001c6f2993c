"""The number system `eighths`: rows and operands on both backends against Python, and a run whose scores have them."""
import json
import math
import pathlib
import random
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "support"))
from results import ROOT, lamp  # noqa: E402

BACKENDS = ("auto", "scalar", "mpfr")


def calc(requests):
    done = lamp("calc", input="".join(json.dumps(request) + "\n" for request in requests), check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def eighths(x, largest=4.0):
    """Python rounds ties to even; everything beyond the largest is the largest."""
    if math.isnan(x):
        return x
    return math.copysign(min(round(abs(x) * 8) / 8 if math.isfinite(x) else largest, largest), x)


def hexes(x):
    return [v.hex() if math.isfinite(v) else str(v) for v in x]


r = random.Random(1)
row = [r.uniform(-5, 5) for _ in range(50)] + [k / 16 for k in range(-70, 71)] + [0.0, -0.0, math.inf, -math.inf, math.nan]
for largest, written in ((4.0, "eighths"), (1.5, {"largest_eighth": 1.5})):
    want = hexes([eighths(x, largest) + 0.0 if x else x for x in row])
    for answer in calc([{"op": "round", "x": hexes(row), "format": written, "backend": b} for b in BACKENDS[::2]]):
        got = hexes([float.fromhex(y) for y in answer["y"]])
        assert [float.fromhex(g) for g in got[:-1]] == [float.fromhex(w) for w in want[:-1]] and got[-1] == "nan", (written, got)
assert [math.copysign(1, float.fromhex(y)) for y in calc([{"op": "round", "x": ["-0x0p+0", -0.01], "format": "eighths"}])[0]["y"]] == [-1, -1]

a, b = [[r.uniform(-5, 5) for _ in range(37)] for _ in range(2)]
exact = sum(eighths(x) * eighths(y) for x, y in zip(a, b))  # multiples of 1/64: no sum of them is rounded
arith = {"operands": "eighths", "format": "binary64"}
for order in ("sequential", "lanes:4", "kahan", "multiterm:4,30"):
    for answer in calc([{"op": "dot", "a": a, "b": b, "arith": {**arith, "order": order}, "backend": x} for x in BACKENDS]):
        assert float.fromhex(answer["y"]) == exact, (order, answer, exact)
refused = calc([{"op": "add", "a": [1], "b": [1], "format": "eighths"}, {"op": "round", "x": [1], "format": {"largest_eighth": 0.3}}])
assert "is a scaled integer" in refused[0]["error"] and "legal: a multiple of 1/8" in refused[1]["error"], refused
assert json.loads(lamp("formats", "eighths", "--json").stdout)["systems"][0]["largest_eighth"] == "0x1p+2"

CONFIG = f"""
schema_version = 1
title = "eighths"
model.path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = "{ROOT}/data/texts/prose.txt"
sequence_length = 12
sequences = 1
[arithmetic.low]
format = "binary64"
operands = "eighths"
[arithmetic.high]
format = "binary64"
[plan]
default = "high"
scores = "low"
[record]
activations = ["qkv", "scores"]
"""
with tempfile.TemporaryDirectory() as scratch:
    (pathlib.Path(scratch) / "c.toml").write_text(CONFIG)
    lamp("run", scratch + "/c.toml", "--out", scratch + "/run", "--quiet")
    with h5py.File(scratch + "/run/result.h5") as result:
        qkv, scores = result["/activations/qkv/run"][0], result["/activations/scores/run"][0]  # (layer, query, 3d), (layer, head, query, key)
qkv, scores = qkv.reshape(qkv.shape[-3:]), scores.reshape(scores.shape[-4:])
layers, heads, n, _ = scores.shape
d = qkv.shape[2] // 3
width = d // heads
checked = 0
for layer in range(layers):
    for head in range(heads):
        at = slice(head * width, (head + 1) * width)
        q, k = (np.vectorize(eighths)(qkv[layer, :, first * d:(first + 1) * d][:, at]) for first in (0, 1))
        want = (q @ k.T) / math.sqrt(width)
        lower = np.tril_indices(n)
        assert np.array_equal(scores[layer, head][lower], want[lower]), (layer, head)
        checked += len(lower[0])
assert checked > 100
print(f"number system `eighths`: {len(row)} values, dots in four orders, {checked} scores of a run, as Python has them")
