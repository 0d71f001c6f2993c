"""The instrument `largest`: its dataset is in the result, and its values are those of the sites that are recorded whole."""
import pathlib
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "support"))
from results import ROOT, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
ARGUMENTS = ["--set", "tokens.sequence_length=16", "--set", "tokens.sequences=1", "--set", 'record.activations=["resid_2"]',
             "--set", 'grid."arithmetic.low.mu"=[2]', "--set", 'grid."lamp.scores.tau"=[1.4]', "--set", 'grid."lamp.scores.rule"=["lamp"]', "--quiet"]

with tempfile.TemporaryDirectory() as scratch:
    lamp("run", CONFIG, "--out", scratch + "/run", *ARGUMENTS)
    with h5py.File(scratch + "/run/result.h5") as result:
        largest = np.squeeze(result["/toy/largest"][()])  # (text, site, layer)
        whole = np.squeeze(result["/activations/resid_2/run"][()])  # (text, layer, position, component)
        names = [dim.label for dim in result["/toy/largest"].dims]
    layers = whole.shape[1]
    expected = np.abs(whole).max(axis=(2, 3))
    assert any(np.array_equal(largest[:, site, :layers], expected) for site in range(largest.shape[1])), (largest, expected)
    assert "site" in names and "layer" in names, names
    listed = lamp("inspect", scratch + "/run/result.h5").stdout
    assert "\n/toy\n  largest " in listed, listed
print(f"instrument `largest`: its values are the maxima of resid_2 in {layers} layers")
