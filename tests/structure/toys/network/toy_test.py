#!/usr/bin/env python3
"""A network of two sites, added by the files of the recipe: read, planned, run and compared with the definition in exact arithmetic."""
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
from fractions import Fraction

import h5py
import numpy as np

LAMP = os.environ["LAMP_BINARY"]
VOCABULARY, POSITIONS, WIDTH, LENGTH = 11, 6, 5, 6
IDS = [3, 10, 0, 7, 7, 2]
P, EMIN = 5, -126  # of the format of the run: values stay far from underflow and overflow

CONFIG = """schema_version = 1
title = "toy"
[model]
path = "model"
[tokens]
source = "ids"
path = "ids.json"
sequence_length = 6
sequences = 1
[reference]
arithmetic = "{reference}"
[arithmetic.low]
format = "ps4"
[plan]
default = "low"
{more}[record]
activations = ["embed", "logits"]
errors = ["logits"]
"""


def rounded(x, p=P):
    """x to p significant bits, ties to even; exact arithmetic throughout."""
    if x == 0:
        return Fraction(0)
    exponent = 0
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    assert exponent >= EMIN
    spacing = Fraction(2) ** (exponent - p + 1)
    return round(x / spacing) * spacing  # of a Fraction: ties to even


def write_model(folder, tensors, **config):
    """config.json and model.safetensors of binary32 tensors."""
    folder.mkdir()
    shape = {"model_type": "toy", "vocab_size": VOCABULARY, "n_positions": POSITIONS, "n_embd": WIDTH, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(shape | config))
    header, data = {}, b""
    for name, values in tensors.items():
        part = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def exact(matrix):
    return [[Fraction(float(x)) for x in row] for row in matrix]


def evaluate(tensors, fl):
    """embed and logits, fl after each addition and each multiply-accumulate, k ascending."""
    vectors, places, head = (exact(tensors[name]) for name in ("vectors", "places", "head"))
    x = [[fl(v + p) for v, p in zip(vectors[token], places[t])] for t, token in enumerate(IDS)]
    logits = []
    for row in x:
        logits.append([])
        for weights in head:
            s = Fraction(0)
            for a, b in zip(row, weights):
                s = fl(a * b + s)
            logits[-1].append(s)
    return x, logits


def floats(matrix):
    return np.array([[float(x) for x in row] for row in matrix])


def divergence(reference, run):
    """Kullback-Leibler, mean over positions, in nat."""
    log_p = reference - np.log(np.exp(reference).sum(1, keepdims=True))
    log_q = run - np.log(np.exp(run).sum(1, keepdims=True))
    return float((np.exp(log_p) * (log_p - log_q)).sum(1).mean())


def lamp(*arguments, code=0):
    done = subprocess.run([LAMP, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def main():
    draw = random.Random(5)
    shapes = {"vectors": (VOCABULARY, WIDTH), "places": (POSITIONS, WIDTH), "head": (VOCABULARY, WIDTH)}
    tensors = {name: np.array([[draw.uniform(-2, 2) for _ in range(cols)] for _ in range(rows)], dtype="f4")
               for name, (rows, cols) in shapes.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_model(folder / "model", tensors)
        (folder / "ids.json").write_text(json.dumps(IDS) + "\n")

        model = json.loads(lamp("inspect", folder / "model", "--json"))
        assert model["parameters"] == (2 * VOCABULARY + POSITIONS) * WIDTH, model
        assert not model["tied"], model

        low = evaluate(tensors, rounded)
        near = evaluate(tensors, lambda x: x)  # binary64 and mpfr:100 differ from it by rounding only
        for reference in ("binary64", "mpfr:100"):
            study = folder / "study.toml"
            study.write_text(CONFIG.format(reference=reference, more=""))
            plan = json.loads(lamp("plan", study, "--json"))
            assert plan["macs_per_pass"] == LENGTH * WIDTH * VOCABULARY, plan
            out = folder / reference.replace(":", "-")
            lamp("run", study, "--out", out, "--quiet")
            with h5py.File(out / "result.h5") as f:
                for site, values in (("embed", low[0]), ("logits", low[1])):
                    run = f[f"activations/{site}/run"][()].reshape(LENGTH, -1)
                    assert run.tobytes() == floats(values).tobytes(), (site, run, floats(values))
                found = f["activations/logits/reference"][()].reshape(LENGTH, -1)
                if reference == "mpfr:100":  # no value has more than 100 bits: rounded once
                    assert found.tobytes() == floats(near[1]).tobytes()
                assert np.abs(found - floats(near[1])).max() <= WIDTH * 2.0 ** -53 * 20, reference
                kl = float(f["metrics/kl"][0])
                expected = divergence(floats(near[1]), floats(low[1]))
                assert abs(kl - expected) <= 1e-12, (kl, expected)
                assert int(f["errors/logits/forward_count"][0]) > 0

        for more in ('qkv = "low"\n', '[lamp.scores]\nrecompute = "low"\n'):
            study.write_text(CONFIG.format(reference="binary64", more=more))
            message = lamp("plan", study, code=65)
            assert "toy has no" in message and "legal:" in message, message
        write_model(folder / "tied", {name: tensors[name] for name in ("vectors", "places")}, tie_word_embeddings=True)
        model = json.loads(lamp("inspect", folder / "tied", "--json"))
        assert model["tied"] and model["parameters"] == (VOCABULARY + POSITIONS) * WIDTH, model
        write_model(folder / "short", {"vectors": tensors["vectors"], "head": tensors["head"]})
        assert '"places" is missing; it should have shape (6, 5)' in lamp("inspect", folder / "short", code=65)
        write_model(folder / "more", tensors | {"bias": tensors["head"]})
        assert "is no part of a toy" in lamp("inspect", folder / "more", code=65)
    print("toy network: both sites and KL as in exact arithmetic, references binary64 and mpfr:100; plan, inspect and refusals")


main()
