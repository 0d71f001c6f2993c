"""[store] and reference.model in whole runs: values against numpy's own rounding, what is shared, what the folder's README shows."""
import json
import pathlib
import re
import shutil
import struct
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp, sets  # noqa: E402
from scaled_model import scaled_copy  # noqa: E402

NANO = ROOT / "data/models/gpt2-nano"
HEAD = f"""schema_version = 1
title = "storage"
[model]
path = "{NANO}"
[tokens]
path = "{ROOT}/data/texts/prose.txt"
sequence_length = 12
sequences = 1
"""
COMPUTE = """[arithmetic.high]
format = "binary32"
[plan]
default = "high"
"""


def bfloat16(x):
    """Finite numbers to 8 bits, ties to even, by the bits of binary32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def tensor(folder, name):
    content = (folder / "model.safetensors").read_bytes()
    start = 8 + struct.unpack("<Q", content[:8])[0]
    found = next(t for key, t in json.loads(content[8:start]).items() if key.endswith(name))
    begin, end = found["data_offsets"]
    assert found["dtype"] == "F32"
    return np.frombuffer(content[start + begin:start + end], np.float32).reshape(found["shape"])


class Storage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.folder.name)
        scaled_copy(NANO, cls.scratch / "scaled")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_lamp(self, name, text, *changes):
        """The result, and what `run` says."""
        config = self.scratch / f"{name}.toml"
        config.write_text(HEAD + text)
        done = lamp("run", config, "--out", self.scratch / name, "--json", *sets(*changes))
        return h5py.File(self.scratch / name / "result.h5"), json.loads(done.stdout)

    def refused(self, text, *words):
        config = self.scratch / "refused.toml"
        config.write_text(HEAD + text)
        done = lamp("plan", config, check=False)
        self.assertEqual(done.returncode, 65, done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_computed_in_binary32_stored_in_bfloat16(self):
        """Additions of the residual stream, and token plus position vectors, in numpy."""
        text = COMPUTE + """[store]
default = "bfloat16"
weights = "bfloat16"
[record]
activations = ["embed", "attn_proj", "resid_1", "mlp_proj", "resid_2"]
"""
        with self.run_lamp("bf16", text)[0] as result:
            values = {site: result[f"activations/{site}/run"][()].squeeze(0) for site in
                      ("embed", "attn_proj", "resid_1", "mlp_proj", "resid_2")}
            tokens = result["reference/tokens"][()].reshape(-1)
            reference = result["activations/embed/reference"][()].squeeze(0)
        wte, wpe = tensor(NANO, "wte.weight"), tensor(NANO, "wpe.weight")
        own = bfloat16(bfloat16(wte[tokens]) + bfloat16(wpe[:len(tokens)]))
        np.testing.assert_array_equal(values["embed"], own)
        as_they_are = wte[tokens].astype(np.float64) + wpe[:len(tokens)]
        np.testing.assert_array_equal(reference, as_they_are)
        stream = own
        for layer in range(values["resid_1"].shape[0]):
            for added, made in (("attn_proj", "resid_1"), ("mlp_proj", "resid_2")):
                stream = bfloat16(stream.astype(np.float32) + values[added][layer].astype(np.float32))
                np.testing.assert_array_equal(values[made][layer], stream)
                self.assertTrue(np.array_equal(bfloat16(values[added][layer]), values[added][layer]))

    def test_cells_and_identities(self):
        """As computed is what a run without [store] has; cells that are equal share passes; verify and status know storage."""
        grid = COMPUTE + """[arithmetic.low]
preset = "lamp-paper"
mu = 3
[lamp.scores]
recompute = "high"
[grid]
"lamp.scores.rule" = ["none", "lamp"]
"lamp.scores.tau" = [2.0, 1.2]
"store.default" = ["as-computed", "bfloat16", {element = "e2m1fn", scale = "e8m0fnu", size = 16}]
"store.cache.keys" = ["as-computed", "e4m3fn"]
"""
        stored, said = self.run_lamp("grid", grid, "plan.scores=low")
        self.assertEqual((said["cells"], said["passes"]), (24, 12))  # of each storage: nothing selected, and tau = 1.2
        bare = grid.replace('"store.default" = ["as-computed", "bfloat16", {element = "e2m1fn", scale = "e8m0fnu", size = 16}]\n', "")
        plain, _ = self.run_lamp("plain", bare.replace('"store.cache.keys" = ["as-computed", "e4m3fn"]\n', ""), "plan.scores=low")
        with stored, plain:
            kl = stored["metrics/kl"][()]
            np.testing.assert_array_equal(kl[..., 0, 0], plain["metrics/kl"][()])
            self.assertEqual(len(np.unique(kl)), 10)  # keys stored in 2 bits are numbers of e4m3fn already
            self.assertTrue(np.all(kl[0, 0, 0, 0] < kl[0, 0, 0, 2]))  # 2 bits are worse than none
        lamp("verify", self.scratch / "grid", "--fraction", "0.2")
        self.assertEqual(json.loads(lamp("status", self.scratch / "grid", "--json").stdout)["cells"]["done"], 24)

    def test_memory(self):
        """A set of weights for each system that weights are stored in."""
        config = self.scratch / "memory.toml"
        config.write_text(HEAD + COMPUTE + "[grid]\n\"store.weights\" = [\"as-computed\", \"bfloat16\", \"mxfp4\"]\n")
        weights = [json.loads(lamp("plan", config, "--json", *sets(*change)).stdout)["memory"]["weights"]
                   for change in ([], ['grid."store.weights"=["as-computed"]'])]
        self.assertAlmostEqual(weights[0] / weights[1], 3, places=2)

    def test_reference_model(self):
        """A run is compared with the other folder's reference; both are in the identities, and provenance names them."""
        wide = COMPUTE.replace("binary32", "binary64") + "[record]\nerrors = [\"mlp_fc\"]\n"
        same, _ = self.run_lamp("same", wide, "reference.model=" + str(NANO))
        other, _ = self.run_lamp("other", wide, "reference.model=" + str(self.scratch / "scaled"))
        alone, _ = self.run_lamp("alone", wide, "model.path=" + str(self.scratch / "scaled"))
        plain, _ = self.run_lamp("own", wide)
        with same, other, alone, plain:
            assert_same_bits(self.scratch / "same/result.h5", self.scratch / "own/result.h5")  # equal contents: the same experiment
            self.assertTrue(np.all(same["metrics/kl"][()] == 0))
            self.assertTrue(np.all(other["metrics/kl"][()] > 0))
            np.testing.assert_array_equal(other["reference/cross_entropy_position"][()], alone["reference/cross_entropy_position"][()])
            np.testing.assert_array_equal(other["metrics/cross_entropy"][()], plain["metrics/cross_entropy"][()])
            # Layer 0 reads what the run computed, with the reference's weights: they are 3/4 of the run's, and nothing else differs.
            local, none = (r["errors/mlp_fc/local_max_abs"][()].reshape(-1) for r in (other, plain))
            self.assertTrue(np.all(none == 0) and local[0] > 0 and np.all(local[1:] == 0))
            names = {name: entry for name, entry in other["provenance"].attrs.items()} or {n: d[()] for n, d in other["provenance"].items()}
            self.assertIn("scaled", str(names["reference_model"]))
        with_reference = sets(f"reference.model={self.scratch}/scaled")
        done = lamp("run", self.scratch / "other.toml", "--out", self.scratch / "own", *with_reference, check=False)
        self.assertEqual(done.returncode, 73)  # another experiment
        self.assertEqual(json.loads(lamp("status", self.scratch / "other", "--json").stdout)["cells"]["done"], 1)
        lamp("verify", self.scratch / "other")

    def test_refused(self):
        store = COMPUTE + "[store]\n"
        self.refused(store + "cache.keys = {element = \"e2m1fn\", scale = \"e4m3fn\", size = 16, tensor_scale = \"auto\"}\n",
                     "store.cache.keys: ", "looks at a whole tensor")
        self.refused(store + "weights = {element = \"e2m1fn\", scale = \"e4m3fn\", size = 16, tensor_scale = \"auto\"}\n",
                     "store.weights: ", "no binary32 numbers")
        self.refused(store + "default = \"bfloat16\"\n[truth]\n", "truth: ", "there is [store]")
        self.refused(COMPUTE + "[reference]\nmodel = \"" + str(ROOT / "tests/golden/gpt-nano-sort") + "\"\n",
                     "reference.model: gpt-nano-sort has vocab_size 3, gpt2-nano has vocab_size")
        other = self.scratch / "epsilon"
        shutil.copytree(NANO, other)
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(config | {"layer_norm_epsilon": 1e-3}))
        self.refused(COMPUTE + f"[reference]\nmodel = \"{other}\"\n", "reference.model: epsilon is", "layer_norm_epsilon")

    def test_plans_of_the_readme(self):
        """Each example runs, and no two give the same."""
        text = (ROOT / "experiments/README.md").read_text().split("## Plans of storage")[1].split("\n## ")[0]
        plans = re.findall(r"```toml\n(.*?)```", text, re.S)
        self.assertEqual(len(plans), 4)
        kl = []
        for i, plan in enumerate(plans):
            with self.run_lamp(f"readme-{i}", plan)[0] as result:
                kl.append(float(result["metrics/kl"][()].item()))
        self.assertEqual(len({0.0, *kl}), 5)


if __name__ == "__main__":
    unittest.main()
