"""NaN that was computed is counted and named, and kept apart from what was not computed; oracle: /metrics/kl and /metrics/status by h5py.

The values after GELU are kept in a format whose largest number is near 1, 2, 4 or 2^128, with NaN above: all, some or none of them are NaN.
"""
import json
import math
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

CONFIG = f"""schema_version = 1
title = "some NaN"
[model]
path = "{ROOT}/data/models/gpt2-nano"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = 8
sequences = 2
[arithmetic.single]
format = "binary32"
[arithmetic.low]
format = "binary32"
[plan]
default = "single"
gelu = "low"
[grid]
"arithmetic.low.format" = ["binary32", {", ".join("'{p = 8, emin = -20, emax = %d, infinities = false, overflow = 'nan'}'".replace("'nan'", '"nan"') % e for e in (0, 1, 2))}]
"""
NONE = {"cells": 0, "first": []}


def computed_nan(file):
    """What there is to tell: the cells that are done and NaN by name, in the order of the grid, and how many are done."""
    with h5py.File(file, "r") as f:
        m = f["metrics"]
        status, kl = m["status"][()], m["kl"][()]
        texts, formats = (m[name].asstr()[()] for name in ("text", "arithmetic.low.format"))
        names = [f"text {texts[t]}, sequence {s}, arithmetic.low.format = {formats[p]}" for t, s, p in zip(*np.nonzero((status == 1) & np.isnan(kl)))]
        return names, int((status == 1).sum())


def words(names, of):
    more = f"; and {len(names) - 3} more" if len(names) > 3 else ""
    return f"KL is NaN in {len(names)} of {of} cells: {'; '.join(names[:3])}{more}"


def joined(text):
    return " ".join(text.split())


class Nan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.config = cls.scratch / "nan.toml"
        cls.config.write_text(CONFIG)
        cls.whole = cls.scratch / "whole"
        cls.done = lamp("run", cls.config, "--out", cls.whole, "--quiet", "--json")
        cls.names, cls.of = computed_nan(cls.whole / "result.h5")

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def told(self, names):
        return {"cells": len(names), "first": names[:3]}

    def test_there_are_some(self):
        self.assertEqual((len(self.names), self.of), (7, 16))
        self.assertIn("sequence 1, arithmetic.low.format = {p = 8, emin = -20, emax = 1", self.names[2])

    def test_run_and_merge(self):
        self.assertEqual(self.done.stderr, f"lamp run: {words(self.names, 16)}\n")
        self.assertEqual(json.loads(self.done.stdout)["nan"], self.told(self.names))
        again = lamp("run", self.config, "--out", self.whole, "--quiet", "--json")  # nothing computed, the same said
        self.assertEqual((again.stderr, json.loads(again.stdout)["nan"]), (self.done.stderr, self.told(self.names)))
        merged = lamp("merge", self.whole, "--json", "--out", self.scratch / "again.h5")
        self.assertEqual(json.loads(merged.stdout)["nan"], self.told(self.names))
        self.assertIn(f"lamp merge: {words(self.names, 16)}\n", merged.stderr)

    def test_status(self):
        status = json.loads(lamp("status", self.whole, "--json").stdout)
        self.assertEqual((status["nan"], status["cells"]), (self.told(self.names), {"asked": 16, "done": 16, "failed": 0}))
        self.assertEqual([s["nan"] for s in status["shards"]], [1, 2, 2, 2])
        self.assertIn(f"NaN {words(self.names, 16)} sequences ", joined(lamp("status", self.whole).stdout))

    def test_inspect(self):
        inspected = json.loads(lamp("inspect", self.whole / "result.h5", "--json").stdout)
        self.assertEqual((inspected["nan"], inspected["cells"]), (self.told(self.names), {"done": 16, "pending": 0, "failed": 0}))
        plain = lamp("inspect", self.whole / "result.h5").stdout
        self.assertIn(f"NaN {words(self.names, 16)} perplexity ", joined(plain))
        self.assertLessEqual(max(map(len, plain.splitlines())), 120)
        status = json.loads(lamp("status", self.whole, "--json").stdout)
        shard = status["shards"][1]["file"]
        with h5py.File(shard) as f:
            ids = [bytes(f["cells/id"][k]).hex()[:12] for k in np.flatnonzero(np.isnan(f["metrics/kl"][()]))]
        self.assertEqual(json.loads(lamp("inspect", shard, "--json").stdout)["nan"], self.told([f"cell {i}" for i in ids]))
        self.assertIn(f"NaN KL is NaN in 2 of 4 cells: cell {ids[0]}; cell {ids[1]}", joined(lamp("inspect", shard).stdout))

    def test_perplexity_is_no_mean_around_nan(self):
        told = json.loads(lamp("inspect", self.whole / "result.h5", "--json").stdout)["perplexity"]
        with h5py.File(self.whole / "result.h5") as f:
            runs = np.exp(f["metrics/cross_entropy"][()].mean(1))  # (text, point)
        for p, points in zip(told, runs):
            numbers = points[~np.isnan(points)]
            self.assertEqual((p["sequences"], p["points"], p["nan"]), (2, 4, len(points) - len(numbers)))
            for name, value in (("lowest", numbers.min()), ("highest", numbers.max())):
                self.assertTrue(math.isclose(p[name], value, rel_tol=1e-14), (p, value))
        self.assertEqual([p["nan"] for p in told], [2, 2])  # of prose a point with one sequence NaN and one not
        self.assertRegex(lamp("inspect", self.whole / "result.h5").stdout, r"prose: reference [\d.]+, runs [\d.]+ to [\d.]+, NaN at 2 of 4 grid points \(2 sequences\)")

    def test_a_reference_with_nan(self):
        out = self.scratch / "reference"
        done = lamp("run", self.config, "--out", out, "--quiet", "--set", "reference.arithmetic=bad", "--set",
                    'arithmetic.bad.format={p = 8, emin = -20, emax = 4, infinities = false, overflow = "nan"}')
        names, of = computed_nan(out / "result.h5")
        self.assertEqual((len(names), done.stderr), (of, f"lamp run: {words(names, of)}\n"))
        told = json.loads(lamp("inspect", out / "result.h5", "--json").stdout)["perplexity"]
        self.assertEqual([(p["sequences"], p["reference"]) for p in told], [(2, None)] * 2)  # not: no sequence
        self.assertIn("prose: reference NaN, runs ", lamp("inspect", out / "result.h5").stdout)

    def test_what_is_pending_is_no_finding(self):
        out = self.scratch / "part"
        part = lamp("run", self.config, "--out", out, "--shard", "2/4", "--quiet", "--json", check=False)  # prose, sequence 1
        self.assertEqual(part.returncode, 75, part.stderr)
        mine = [n for n in self.names if n.startswith("text prose") and "sequence 1" in n]
        self.assertEqual((len(mine), json.loads(part.stdout)["nan"]), (2, self.told(mine)))
        self.assertIn(f"lamp run: {words(mine, 4)}\n", part.stderr)
        merged = lamp("merge", out, "--out", out / "some.h5", "--json", check=False)
        self.assertEqual((merged.returncode, json.loads(merged.stdout)["nan"]), (75, self.told(mine)))
        self.assertEqual(computed_nan(out / "some.h5"), (mine, 4))
        self.assertEqual(json.loads(lamp("status", out, "--json", check=False).stdout)["nan"], self.told(mine))
        inspected = json.loads(lamp("inspect", out / "some.h5", "--json").stdout)
        self.assertEqual(inspected["nan"], self.told(mine))
        self.assertEqual([(p["text"], p["sequences"], p["points"], p["nan"]) for p in inspected["perplexity"]], [("prose", 1, 4, 2), ("code", 0, 0, 0)])
        self.assertIn("code: none (0 sequences)", lamp("inspect", out / "some.h5").stdout)

    def test_none_is_not_mentioned(self):
        out = self.scratch / "none"
        done = lamp("run", self.config, "--out", out, "--quiet", "--json", "--set", 'grid."arithmetic.low.format"=["binary32", "ps7"]')
        self.assertEqual((done.stderr, json.loads(done.stdout)["nan"]), ("", NONE))
        self.assertEqual(json.loads(lamp("status", out, "--json").stdout)["nan"], NONE)
        self.assertEqual(json.loads(lamp("inspect", out / "result.h5", "--json").stdout)["nan"], NONE)
        self.assertNotIn("NaN ", lamp("status", out).stdout + lamp("inspect", out / "result.h5").stdout.split("/metrics")[0])

    def test_one_token_has_no_perplexity(self):
        out = self.scratch / "short"
        lamp("run", self.config, "--out", out, "--quiet", "--set", "tokens.sequence_length=1")
        told = json.loads(lamp("inspect", out / "result.h5", "--json").stdout)["perplexity"]
        self.assertEqual([(p["sequences"], p["reference"], p["nan"]) for p in told], [(0, None, 0)] * 2)


if __name__ == "__main__":
    unittest.main()
