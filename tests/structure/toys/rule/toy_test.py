"""The rule `first`: of each row the first components, as many as LAMP takes; seen in the scores of layer 0."""
import pathlib
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "support"))
from results import ROOT, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
ARGUMENTS = ["--set", "tokens.sequence_length=16", "--set", "tokens.sequences=1", "--set", 'record.activations=["scores"]',
             "--set", 'grid."arithmetic.low.mu"=[2]', "--set", 'grid."lamp.scores.tau"=[1.4]', "--quiet"]

with tempfile.TemporaryDirectory() as scratch:
    lamp("run", CONFIG, "--out", scratch + "/run", *ARGUMENTS, "--set", 'grid."lamp.scores.rule"=["none", "all", "lamp", "first"]')
    with h5py.File(scratch + "/run/result.h5") as result:
        none, every, chosen, first = result["/activations/scores/run"][0, 0, 0, 0, :, 0]  # (rule, head, query, key) of layer 0
        rates = result["/metrics/recompute_rate"][0, 0, 0, 0]  # (rule, layer, head)
    rows = taken = 0
    for head in range(none.shape[0]):
        for i in range(16):
            low, high = none[head, i, :i + 1], every[head, i, :i + 1]
            budget = int(np.sum(chosen[head, i, :i + 1] != low))
            expected = np.where(np.arange(i + 1) < budget, high, low)
            if np.any(low == high):  # then what LAMP recomputed cannot be counted
                continue
            assert np.array_equal(first[head, i, :i + 1], expected), (head, i, budget)
            rows, taken = rows + 1, taken + budget
    assert rows > 20 and 0 < taken < rows * 8, (rows, taken)
    assert np.all(rates[0] == 0) and np.all(rates[1] == 1) and np.all((0 < rates[2:]) & (rates[2:] < 1)), rates

refused = lamp("plan", CONFIG, "--set", 'lamp.scores.rule="last"', check=False)
assert refused.returncode == 65 and "first" in refused.stderr, refused.stderr
print(f"rule `first`: {rows} rows, {taken} components, as the definition has them; named where a rule is unknown")
