"""Local truth on real scores: GPT-2 small's, of tests/golden/gpt2-small-outputs (5 prompts, 144 heads, rows of at most 7).

usage: LAMP_BINARY=build/release/lamp /usr/bin/python3 experiments/studies/02-ground-truth/gpt2_small.py

Queries and keys are not in that file, so a low score is the score rounded to PS(mu), RNE: the error of the last rounding alone. For each row of two
and more, each mu and tau: LAMP's set (by `lamp calc select`), the error rel of softmax with it recomputed (method of analysis/truth/local.hpp, in
numpy's binary64), and by all 2^n subsets the smallest set with an error at most that. A line of CSV each: mu, tau, rows, mean size of LAMP's set,
mean size of the smallest set that is as good, share of rows where they are equal, median over rows of (LAMP's error / least error at LAMP's size),
share of rows where nothing is selected.
"""
import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
LAMP = os.environ.get("LAMP_BINARY", str(ROOT / "build/release/lamp"))
MUS, TAUS = (2, 4, 7, 10), (1.8, 1.5, 1.2, 1.05)


def calc(lines):
    done = subprocess.run([LAMP, "calc"], input="\n".join(json.dumps(line) for line in lines) + "\n", text=True, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows():
    with h5py.File(ROOT / "tests/golden/gpt2-small-outputs/outputs.h5") as file:
        for prompt in file.values():
            scores = prompt["scores"][()].astype(np.float64)
            for layer in scores:
                for head in layer:
                    for i in range(1, len(head)):
                        yield head[i, : i + 1]


def errors_of_all_sets(low, high):
    """rel of each of the 2^n sets: bit j says that score j is recomputed."""
    n = len(low)
    sets = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    most = max(low.max(), high.max())
    e_low, e_high = np.exp(low - most), np.exp(high - most)
    e = np.where(sets == 1, e_high, e_low)
    z, ref = e / e.sum(axis=1, keepdims=True), e_high / e_high.sum()
    return (np.abs(z - ref) / ref).max(axis=1), sets.sum(axis=1)


def main():
    real = list(rows())
    print("mu,tau,rows,lamp_size,smallest_size,lamp_is_smallest,error_over_least_of_that_size,selects_nothing")
    for mu in MUS:
        low = [np.array([float.fromhex(y) for y in answer["y"]])
               for answer in calc([{"op": "round", "x": list(map(float.hex, row)), "format": f"ps{mu}"} for row in real])]
        tried = [errors_of_all_sets(*pair) for pair in zip(low, real)]
        for tau in TAUS:
            chosen = calc([{"op": "select", "function": "softmax", "y": list(map(float.hex, row)), "tau": tau} for row in low])
            sizes, smallest, ratios = [], [], []
            for answer, (error, size) in zip(chosen, tried):
                mask = sum(1 << j for j in answer["selected"])
                k = len(answer["selected"])
                least = error[size == k].min()
                sizes.append(k)
                smallest.append(size[error <= error[mask]].min())
                if least > 0:
                    ratios.append(error[mask] / least)
            sizes, smallest = np.array(sizes), np.array(smallest)
            ratio = f"{np.median(ratios):.3g}" if ratios else ""
            print(f"{mu},{tau},{len(real)},{sizes.mean():.3f},{smallest.mean():.3f},{(sizes == smallest).mean():.3f},{ratio},{(sizes == 0).mean():.3f}")


if __name__ == "__main__":
    main()
