"""The rule `first`: of each row the first components, as many as LAMP takes; seen in the scores of layer 0."""
import json
import pathlib
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "support"))
from results import ROOT, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
ARGUMENTS = ["--set", "tokens.sequence_length=16", "--set", "tokens.sequences=1", "--set", 'record.activations=["scores"]',
             "--set", 'grid."arithmetic.low.mu"=[2]', "--quiet"]
TAU = ["--set", 'grid."lamp.scores.tau"=[1.4]']

with tempfile.TemporaryDirectory() as scratch:
    lamp("run", CONFIG, "--out", scratch + "/run", *ARGUMENTS, *TAU, "--set", 'grid."lamp.scores.rule"=["none", "all", "lamp", "first"]')
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

# What the rule does not say of itself is not taken for granted: each of its cells takes a pass, where LAMP's own are equal to others.
with tempfile.TemporaryDirectory() as scratch:
    for name, axis, changes, passes in (
        ("tau", '"lamp.scores.tau" = [2.0]', ['grid."lamp.scores.rule"=["none", "lamp", "first"]'], 2),
        ("rate", '"lamp.scores.rate" = [1.0]', ['grid."lamp.scores.rule"=["all", "lamp", "first"]'], 2),
        ("seed", '"lamp.scores.tau" = [1.4]', ["grid.seed=[1, 2]", 'grid."lamp.scores.rule"=["lamp", "first"]'], 1 + 2),
    ):
        text = CONFIG.read_text().replace('"../../', f'"{ROOT}/').replace('"lamp.scores.tau" = [2.0, 1.5, 1.1]', axis)
        config = pathlib.Path(scratch, f"{name}.toml")
        config.write_text(text)
        done = lamp("run", config, "--out", f"{scratch}/{name}", "--json", *ARGUMENTS, *(word for c in changes for word in ("--set", c)))
        assert json.loads(done.stdout)["passes"] == 2 * passes, (name, done.stdout)  # of two texts

refused = lamp("plan", CONFIG, "--set", 'lamp.scores.rule="last"', check=False)
assert refused.returncode == 65 and "first" in refused.stderr, refused.stderr
print(f"rule `first`: {rows} rows, {taken} components, as the definition has them; named where a rule is unknown")
