"""SmolLM2-135M in binary64 against a float64 pass of it (tests/golden/smollm2): hidden states of all layers, logits, layer 0's sites.

The model is no part of this repository: data/models/smollm2, or the folder that LAMP_SMOLLM2 names; without it 77, which ctest reads as
skipped. 20 seconds, 400 MB of disk.
"""
import json
import os
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

MODEL = pathlib.Path(os.environ.get("LAMP_SMOLLM2", ROOT / "data/models/smollm2"))
GOLDEN = ROOT / "tests/golden/smollm2/golden.h5"

# Relative rms at each site, layer and position. Both passes round in binary64 and differ in the order of sums of up to 1536 terms, 30
# layers deep; measured: at most 4.3e-15.
TOLERANCE = 1e-13
SKIPPED = 77

CONFIG = """
schema_version = 1
title = "smollm2"
model.path = "{model}"
tokens = {{source = "ids", path = "{tokens}", sequence_length = {length}, sequences = 1}}
arithmetic.low.format = "binary32"
plan.default = "low"
record.activations = {sites}
"""


def distance(x, golden):
    """rms(x - golden) / rms(golden)."""
    return np.sqrt(((x - golden) ** 2).mean() / (golden**2).mean()) if x.shape == golden.shape else np.nan


class SmolLM2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        folder = pathlib.Path(scratch.name)
        with h5py.File(GOLDEN) as file:
            cls.golden = {name: file[name][()] for name in file if name != "layer_0"}
            cls.layer_0 = {name: values[()] for name, values in file["layer_0"].items()}
        tokens = cls.golden["tokens"].tolist()
        (folder / "tokens.jsonl").write_text(json.dumps(tokens) + "\n")
        sites = ["embed", "resid_2", "ln_f", "logits", *cls.layer_0]
        (folder / "config.toml").write_text(CONFIG.format(model=MODEL.resolve(), tokens=folder / "tokens.jsonl", length=len(tokens),
                                                          sites=json.dumps(sites)))
        lamp("run", folder / "config.toml", "--out", folder / "run", "--quiet")
        with h5py.File(folder / "run/result.h5") as result:
            def rows(site):
                return result[f"activations/{site}/reference"][0][..., cls.golden["positions"], :]

            cls.found = {site: rows(site) for site in ("embed", "resid_2", "ln_f")}
            cls.found_0 = {site: rows(site)[0] for site in cls.layer_0}
            cls.logits = result["activations/logits/reference"][0]

    def agrees(self, x, golden):
        self.assertLess(distance(x, golden), TOLERANCE)

    def test_an_error_of_1e_9_is_seen(self):
        for values in (self.golden["embed"], self.golden["top_logits"], *self.layer_0.values()):
            self.assertGreater(distance(np.nan_to_num(values) * (1 + 1e-9), np.nan_to_num(values)), TOLERANCE)

    def test_hidden_states_of_all_layers(self):
        same = np.array_equal(self.found["embed"], self.golden["embed"])
        self.assertTrue(same, f"{MODEL} has other weights than the golden, whose are rounded to bfloat16")
        self.assertEqual(self.found["resid_2"].shape, (30, 3, 576))
        for layer in range(30):
            for row in range(3):
                with self.subTest(layer=layer, row=row):
                    self.agrees(self.found["resid_2"][layer, row], self.golden["resid_2"][layer, row])
        self.agrees(self.found["ln_f"], self.golden["ln_f"])

    def test_sites_of_layer_0(self):
        for site, golden in self.layer_0.items():
            with self.subTest(site=site):
                self.agrees(np.nan_to_num(self.found_0[site]), np.nan_to_num(golden))

    def test_logits(self):
        ids = self.golden["top_ids"]
        self.agrees(np.take_along_axis(self.logits, ids.astype(np.int64), 1), self.golden["top_logits"])
        self.assertTrue(np.array_equal(self.logits.argmax(1), ids[:, 0]))
        top = self.logits.max(1, keepdims=True)
        self.agrees(top[:, 0] + np.log(np.exp(self.logits - top).sum(1)), self.golden["logsumexp"])


if __name__ == "__main__":
    if not (MODEL / "config.json").is_file():
        print(f"skipped: {MODEL} is not there; `experiments/models/get smollm2` makes it, or LAMP_SMOLLM2 names a folder")
        sys.exit(SKIPPED)
    unittest.main()
