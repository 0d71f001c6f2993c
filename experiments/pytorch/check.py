"""Does lamp compute your checkpoint? Compares a binary32 pass of lamp with the activations of a PyTorch pass, site by site.

Two evaluations of one network in binary32 differ in the order of their sums, and so in their rounding errors. What tells them
from two networks is the size of the difference: both are measured against lamp's binary64 pass of the same tokens, and PyTorch's
rms error of a site may be at most FACTOR times lamp's own. Where the definition differs (another GELU, epsilon, scaling, a
transposed weight) it is thousands of times as large, first at the site to blame: sites are told in the order of the data.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAMP = pathlib.Path(os.environ.get("LAMP_BINARY", ROOT / "build/release/lamp"))
IN_LAYER = ["ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2"]
SITES = ["embed", *IN_LAYER, "ln_f", "logits"]
FACTOR = 8.0  # three bits: lamp adds sequentially, whose errors are the larger ones
USAGE, BAD_DATA, MISSING_INPUT = 2, 65, 66


class Stop(Exception):
    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def read_activations(path):
    if not path.is_file():
        raise Stop(f"{path}: no such file; export.py makes it", MISSING_INPUT)
    try:
        with h5py.File(path) as f:
            tokens = f["tokens"][()] if "tokens" in f else None
            text = f["text"].asstr()[()] if "text" in f else None
            unknown = sorted(set(f) - {"tokens", "text", *SITES})
            arrays = {site: f[site][()] for site in SITES if site in f}
    except OSError as error:
        raise Stop(f"{path}: not an HDF5 file ({str(error).splitlines()[0]})", BAD_DATA) from None
    if tokens is None or tokens.ndim != 1 or tokens.dtype.kind not in "iu" or len(tokens) == 0:
        raise Stop(f"{path}: /tokens must be a list of integers", BAD_DATA)
    if unknown or not arrays:
        raise Stop(f"{path}: {'/' + unknown[0] + ' is no site' if unknown else 'it holds no site'}; legal: {', '.join(SITES)}", BAD_DATA)
    wrong = [site for site, a in arrays.items() if a.dtype != np.float32]
    if wrong:
        raise Stop(f"{path}: /{wrong[0]} is {arrays[wrong[0]].dtype}; legal: float32, the activations of a binary32 pass", BAD_DATA)
    return tokens, text, arrays


def first_other_token(model, text, tokens):
    """The place of the first id that lamp's tokenizer does not give for the text, which may be longer than the tokens; None: all the same."""
    done = subprocess.run([str(LAMP), "tokenize", str(model)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise Stop(done.stderr.strip().splitlines()[-1], done.returncode)
    ours = [int(word) for word in done.stdout.split()]
    return next((i for i, token in enumerate(tokens) if i >= len(ours) or ours[i] != token), None)


def run_lamp(model, tokens, sites, sets, scratch):
    """{site: (run, reference)} of a pass in binary32, sequential, and one in binary64."""
    (scratch / "tokens.txt").write_text(json.dumps(tokens.tolist()) + "\n")
    (scratch / "study.toml").write_text(f"""schema_version = 1
title = "check against PyTorch"
[model]
path = {json.dumps(str(model.resolve()))}
[tokens]
source = "ids"
path = {json.dumps(str(scratch / "tokens.txt"))}
sequence_length = {len(tokens)}
sequences = 1
[arithmetic.single]
format = "binary32"
[plan]
default = "single"
[record]
activations = {json.dumps(sites)}
""")
    command = [str(LAMP), "run", str(scratch / "study.toml"), "--out", str(scratch / "out"), "--quiet"]
    done = subprocess.run(command + [word for s in sets for word in ("--set", s)], stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Stop(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"lamp ended with {done.returncode}", done.returncode)
    with h5py.File(scratch / "out/result.h5") as f:
        last = {site: f[f"activations/{site}/reference"] for site in sites}
        return {site: (f[f"activations/{site}/run"][()].reshape(r.shape[1:]), r[0]) for site, r in last.items()}


def rms(values):
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else np.nan


def compare(arrays, passes, path):
    """Rows (site, layer or None, rms of the values, PyTorch's rms error, lamp's), in the order of the data."""
    rows = []
    for site, given in arrays.items():
        run, reference = passes[site]
        if given.shape != reference.shape:
            raise Stop(f"{path}: /{site} has shape {given.shape}; this model needs {reference.shape}", BAD_DATA)
        for layer in range(len(given)) if site in IN_LAYER else [None]:
            g, x, r = (a if layer is None else a[layer] for a in (given.astype(np.float64), run, reference))
            present = ~np.isnan(r)
            if np.isnan(g[present]).all():
                continue  # not given for this layer
            rows.append((site, layer, rms(r[present]), rms((g - r)[present]), rms((x - r)[present])))
    return sorted(rows, key=lambda row: (row[0] in ("ln_f", "logits"), row[1] if row[1] is not None else -1, SITES.index(row[0])))


def agrees(row):
    *_, theirs, ours = row
    return theirs <= FACTOR * ours  # false for NaN


def main():
    parser = argparse.ArgumentParser(prog="check", description=__doc__.split("\n")[0], epilog="exit: 0 agrees, 1 does not, others as lamp")
    parser.add_argument("model", type=pathlib.Path, help="a model folder, as in a config")
    parser.add_argument("activations", type=pathlib.Path, help="what export.py wrote")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of [model], e.g. model.activation=gelu")
    arguments = parser.parse_args()
    try:
        if other := [s for s in arguments.set if not s.startswith("model.")]:
            raise Stop(f"--set {other[0]}: legal: keys of [model]; the two passes compared with are binary32 and binary64", USAGE)
        tokens, text, arrays = read_activations(arguments.activations)
        other = first_other_token(arguments.model, text, tokens) if text is not None else None
        with tempfile.TemporaryDirectory() as scratch:
            passes = run_lamp(arguments.model, tokens, list(arrays), arguments.set, pathlib.Path(scratch))
        rows = compare(arrays, passes, arguments.activations)
    except Stop as stop:
        print(f"check: {stop}", file=sys.stderr)
        return stop.code
    print(f"{'site':<10} {'layer':>5} {'rms of values':>14} {'PyTorch error':>14} {'lamp error':>14} {'ratio':>8}")
    for row in rows:
        site, layer, size, theirs, ours = row
        ratio = theirs / ours if ours > 0 else np.inf if theirs > 0 else 1.0
        print(f"{site:<10} {'' if layer is None else layer:>5} {size:14.3g} {theirs:14.3g} {ours:14.3g} {ratio:8.3g}"
              f"{'' if agrees(row) else '   differs'}")
    wrong = [row for row in rows if not agrees(row)]
    if text is not None:
        print("tokens: " + ("lamp's tokenizer gives the same ids for the text" if other is None
                            else f"differ, first at place {other}, id {tokens[other]}: look at the tokenizer's files"))
    if not wrong and other is not None:
        return 1
    if not wrong:
        print(f"agrees: at every site PyTorch's rms error is at most {FACTOR:g} times that of lamp's own binary32 pass")
        return 0
    site, layer = wrong[0][:2]
    print(f"differs, first at {site}{'' if layer is None else f' of layer {layer}'}: look at how that site is defined")
    return 1


if __name__ == "__main__":
    sys.exit(main())
