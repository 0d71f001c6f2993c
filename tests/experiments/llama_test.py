"""The Llama family in binary64 against an independent float64 pass (tests/golden/llama): every site, every variant, every refusal."""
import json
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

FOLDER = ROOT / "tests/golden/llama"
sys.path.insert(0, str(FOLDER))
from golden import ABSENT, LLAMA3, config_of, forward, golden, tensors_of, tokens_of, write_model  # noqa: E402

# Both passes round in binary64, u = 1.1e-16: sums of at most 32 terms, two layers. Measured: at most 1.4e-15.
TOLERANCE = 1e-14

CONFIG = """
schema_version = 1
title = "llama"
model.path = "{model}"
tokens = {{source = "ids", path = "{tokens}", sequence_length = {length}, sequences = 1}}
arithmetic.low.format = "bfloat16"
plan.default = "low"
record.activations = {sites}
"""

MISTRAL = {"model_type": "mistral", "attention_bias": ABSENT, "mlp_bias": ABSENT, "rope_scaling": ABSENT}

# Changes of a config that leave a model which lamp runs.
VARIANTS = {
    "untied": {},
    "tied": {"tie_word_embeddings": True},
    "without biases": {"attention_bias": False},
    "biases of the MLP too": {"mlp_bias": True},
    "tied without biases": {"attention_bias": False, "tie_word_embeddings": True},
    "head_dim from the width": {"head_dim": ABSENT, "hidden_size": 24},
    "an odd number of pairs": {"head_dim": 6},
    "one group": {"num_key_value_heads": 1},
    "a group for every head": {"num_key_value_heads": 4},
    "no scaling": {"rope_scaling": ABSENT},
    "rope_type default": {"rope_scaling": {"rope_type": "default"}},
    "another theta and eps": {"rope_scaling": ABSENT, "rope_theta": 123.456, "rms_norm_eps": 0.25},
    "rope_parameters": {"rope_scaling": ABSENT, "rope_theta": ABSENT, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "rope_parameters llama3": {"rope_scaling": ABSENT, "rope_theta": ABSENT, "rope_parameters": {**LLAMA3, "rope_theta": 10000.0}},
    "nulls": {"head_dim": None, "hidden_size": 24, "rope_scaling": None},
    "defaults": {"rope_scaling": ABSENT, "rope_theta": ABSENT, "rms_norm_eps": ABSENT, "num_key_value_heads": ABSENT, "hidden_act": ABSENT,
                 "attention_bias": ABSENT, "mlp_bias": ABSENT, "tie_word_embeddings": ABSENT, "max_position_embeddings": ABSENT},
    "qwen2": {"model_type": "qwen2", "attention_bias": ABSENT, "mlp_bias": ABSENT, "rope_scaling": ABSENT, "rms_norm_eps": 1e-6,
              "rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": 4, "max_window_layers": 2},
    "qwen2 tied": {"model_type": "qwen2", "attention_bias": ABSENT, "mlp_bias": ABSENT, "rope_scaling": ABSENT, "head_dim": ABSENT,
                   "hidden_size": 24, "tie_word_embeddings": True},
    "mistral, a window of T": {**MISTRAL, "sliding_window": 24},
    "mistral with the window of its default": MISTRAL,
}

# Changes of a config that are refused, and words of the message.
REFUSED = {
    "linear": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "linear"),
    "an old linear": ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "linear"),
    "dynamic": ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
    "llama3 without a factor": ({"rope_scaling": {key: value for key, value in LLAMA3.items() if key != "factor"}}, "factor"),
    "yarn": ({"rope_scaling": ABSENT, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, "yarn"),
    "mixtral": ({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}, "mixtral"),
    "a window shorter than T": ({**MISTRAL, "sliding_window": 23}, "sliding window"),
    "fewer positions than T": ({"max_position_embeddings": 23}, "23"),
    "an odd d_head": ({"head_dim": 7}, "head_dim"),
    "groups that do not divide": ({"num_key_value_heads": 3}, "num_key_value_heads"),
}


def distance(x, golden):
    """rms(x - golden) / rms(golden) over what the golden is a number at; NaN where the other is not, or has another shape."""
    if x.shape != golden.shape or (np.isnan(x) != np.isnan(golden)).any():
        return np.nan
    there = ~np.isnan(golden)
    return np.sqrt(((x - golden)[there] ** 2).mean() / (golden[there] ** 2).mean())


class Llama(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch, cls.runs = pathlib.Path(scratch.name), 0

    def run_of(self, model, tokens, sites, check=True):
        """The reference's values of `sites`, or the finished process where that failed."""
        type(self).runs += 1
        (self.scratch / "tokens.jsonl").write_text(json.dumps(tokens) + "\n")
        config, out = self.scratch / "config.toml", self.scratch / f"run{self.runs}"
        config.write_text(CONFIG.format(model=model, tokens=self.scratch / "tokens.jsonl", length=len(tokens), sites=json.dumps(sites)))
        done = lamp("run", config, "--out", out, "--quiet", check=check)
        if done.returncode != 0:
            return done
        with h5py.File(out / "result.h5") as result:
            return {site: result[f"activations/{site}/reference"][0] for site in sites}

    def test_every_site(self):
        with h5py.File(FOLDER / "golden.h5") as file:
            expected = {name: file[name][()] for name in file}
        tokens = expected.pop("tokens").tolist()
        found = self.run_of(FOLDER / "model", tokens, list(expected))
        for site, values in expected.items():
            with self.subTest(site=site):
                self.assertLess(distance(found[site], values), TOLERANCE)

    def test_the_golden_file_is_what_the_script_writes(self):
        write_model(self.scratch / "model", config_of(), tensors_of(config_of()))
        for name in ("config.json", "model.safetensors"):
            self.assertEqual((self.scratch / "model" / name).read_bytes(), (FOLDER / "model" / name).read_bytes(), name)
        again = golden()
        with h5py.File(FOLDER / "golden.h5") as file:
            self.assertEqual(set(file), set(again))
            for name in file:  # the order of numpy's sums is its BLAS's
                self.assertLess(distance(again[name], file[name][()]), TOLERANCE, name)

    def test_the_comparison_sees_what_differs(self):
        with h5py.File(FOLDER / "golden.h5") as file:
            x = file["softmax"][()]
        for change in (lambda y: y * (1 + 2 * TOLERANCE), lambda y: y[:, ::-1], lambda y: y[..., :-1], lambda y: np.nan_to_num(y)):
            self.assertFalse(distance(change(x), x) < TOLERANCE)
        self.assertEqual(distance(x, x), 0)

    def test_variants(self):
        for name, changes in VARIANTS.items():
            with self.subTest(variant=name):
                config = config_of(**changes)
                tensors, tokens = tensors_of(config, name), tokens_of(config)
                folder = self.scratch / name
                write_model(folder, config, tensors)
                expected = forward(config, {name: values.astype(np.float64) for name, values in tensors.items()}, tokens)["logits"]
                self.assertLess(distance(self.run_of(folder, tokens, ["logits"])["logits"], expected), TOLERANCE)

    def refused(self, words, config, tensors):
        """Exit code 65 and one line that has the words."""
        folder = self.scratch / "refused"
        write_model(folder, config, tensors)
        done = self.run_of(folder, tokens_of(config), ["logits"], check=False)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_configs_that_are_refused(self):
        for name, (changes, word) in REFUSED.items():
            with self.subTest(refused=name):
                config = config_of(**changes)
                self.refused([word], config, tensors_of({**config, "model_type": "llama"}))

    def test_the_window_of_mistral(self):
        """Where the key is absent, 4096, as transformers has it; null is none."""
        for window, positions in ((ABSENT, 4096), (None, 8192), (8191, 8191), (8193, 8192)):
            config = config_of(**{**MISTRAL, "sliding_window": window, "max_position_embeddings": 8192})
            write_model(self.scratch / "window", config, tensors_of(config))
            self.assertEqual(json.loads(lamp("inspect", self.scratch / "window", "--json").stdout)["n_positions"], positions)

    def test_tensors_that_are_refused(self):
        config = config_of()
        missing = ("model.layers.1.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.bias", "lm_head.weight", "model.norm.weight")
        for name in missing:
            with self.subTest(missing=name):
                tensors = tensors_of(config)
                del tensors[name]
                self.refused([name.removeprefix("model."), "missing"], config, tensors)
        for name in ("model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.up_proj.bias"):
            with self.subTest(extra=name):
                plain = config_of(attention_bias=False)
                self.refused([name.removeprefix("model.")], plain, {**tensors_of(plain), name: np.ones(32, np.float32)})
        for name, shape in (("model.layers.0.self_attn.k_proj.weight", (32, 20)), ("model.layers.1.mlp.down_proj.weight", (24, 20)),
                            ("model.layers.1.input_layernorm.weight", (1, 20)), ("lm_head.weight", (47, 20))):
            with self.subTest(shape=name):
                changed = {**tensors_of(config), name: np.ones(shape, np.float32)}
                self.refused([name.removeprefix("model."), *map(str, shape)], config, changed)


if __name__ == "__main__":
    unittest.main()
