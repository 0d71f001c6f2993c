"""GPT-2 folders in the forms people have: logits against a pass in numpy's binary64, written here from the definition; others are refused.

Prints a table, a variant and its verdict a line.
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
from results import lamp  # noqa: E402

VOCABULARY, POSITIONS, WIDTH, LAYERS, HEADS = 29, 12, 24, 2, 2
TOKENS = [[3, 28, 0, 7, 7, 11, 2, 19, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]]
CONFIG = {"model_type": "gpt2", "vocab_size": VOCABULARY, "n_positions": POSITIONS, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS}
RUN = """schema_version = 1
title = "variants"
[tokens]
source = "ids"
path = "tokens.txt"
sequence_length = 9
sequences = 2
[arithmetic.double]
format = "binary64"
[plan]
default = "double"
[record]
activations = ["logits"]
"""


def weights(seed=1):
    """Of all tensors, as binary32 numbers in binary64."""
    random = np.random.default_rng(seed)

    def of(*shape, around=0.0, scale=0.3):
        return (around + scale * random.standard_normal(shape)).astype(np.float32).astype(np.float64)

    found = {"wte.weight": of(VOCABULARY, WIDTH), "wpe.weight": of(POSITIONS, WIDTH)}
    found |= {"ln_f.weight": of(WIDTH, around=1), "ln_f.bias": of(WIDTH)}
    for layer in range(LAYERS):
        for name in ("ln_1", "ln_2"):
            found |= {f"h.{layer}.{name}.weight": of(WIDTH, around=1), f"h.{layer}.{name}.bias": of(WIDTH)}
        for name, rows, cols in (("attn.c_attn", WIDTH, 3 * WIDTH), ("attn.c_proj", WIDTH, WIDTH), ("mlp.c_fc", WIDTH, 4 * WIDTH),
                                 ("mlp.c_proj", 4 * WIDTH, WIDTH)):
            found |= {f"h.{layer}.{name}.weight": of(rows, cols, scale=0.5), f"h.{layer}.{name}.bias": of(cols)}
    return found


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def logits(w, tokens, activation=gelu_tanh, by_layer=False, eps=1e-5):
    """GPT-2's; a bias that is not there is none, a head that is not there the token vectors."""
    def norm(x, name):
        centred = x - x.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps) * w[name + ".weight"] + w.get(name + ".bias", 0)

    def linear(x, name):
        return x @ w[name + ".weight"] + w.get(name + ".bias", 0)

    n, d = len(tokens), WIDTH // HEADS
    x = w["wte.weight"][tokens] + w["wpe.weight"][:n]
    for layer in range(LAYERS):
        q, k, v = np.split(linear(norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn"), 3, axis=1)
        heads = []
        for h in range(HEADS):
            part = slice(h * d, (h + 1) * d)
            y = q[:, part] @ k[:, part].T / math.sqrt(d) / (layer + 1 if by_layer else 1)
            y = np.where(np.tri(n, dtype=bool), y, -np.inf)
            z = np.exp(y - y.max(axis=1, keepdims=True))
            heads.append(z / z.sum(axis=1, keepdims=True) @ v[:, part])
        x = x + linear(np.concatenate(heads, axis=1), f"h.{layer}.attn.c_proj")
        x = x + linear(activation(linear(norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc")), f"h.{layer}.mlp.c_proj")
    return norm(x, "ln_f") @ w.get("lm_head.weight", w["wte.weight"]).T


def safetensors(tensors):
    """{name: array} as a file; uint16 is bfloat16."""
    kinds = {"float64": "F64", "float32": "F32", "float16": "F16", "uint16": "BF16", "bool": "BOOL"}
    header, data = {}, b""
    for name, x in tensors.items():
        header[name] = {"dtype": kinds[x.dtype.name], "shape": list(x.shape), "data_offsets": [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def binary32(w):
    return {name: x.astype(np.float32) for name, x in w.items()}


def one_file(w, prefix="", **more):
    return {"model.safetensors": safetensors({prefix + name: x for name, x in (binary32(w) | more).items()})}


def without(w, *endings):
    return {name: x for name, x in w.items() if not name.endswith(endings)}


def in_shards(w):
    """Three files, none of them in the order of layers."""
    names = list(w)
    files = {f"model-0000{i + 1}-of-00003.safetensors": names[i::3] for i in range(3)}
    index = {"metadata": {"total_size": 4 * sum(x.size for x in w.values())},
             "weight_map": {name: file for file, of in files.items() for name in of}}
    return {file: safetensors(binary32({name: w[name] for name in of})) for file, of in files.items()} | {
        "model.safetensors.index.json": json.dumps(index).encode()}


W = weights()
OTHER = weights(2)
HEAD = {"lm_head.weight": OTHER["wte.weight"]}
HALVES = {name: x.astype(np.float16) for name, x in W.items()}
CODES = {name: (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for name, x in W.items()}
FINER = {name: x + 2e-9 * OTHER[name] for name, x in W.items()}  # no binary32 numbers
MASKS = {f"h.{n}.attn.bias": np.tri(POSITIONS, dtype=bool)[None, None] for n in range(LAYERS)} | {
    f"h.{n}.attn.masked_bias": np.array(-1e4, np.float32) for n in range(LAYERS)}

# Variant: its files, what its config.json says besides, and what the pass in numpy takes.
READ = {
    "one file": (one_file(W), {}, W, {}),
    "three shards": (in_shards(W), {}, W, {}),
    "float64": ({"model.safetensors": safetensors(FINER)}, {},
                {name: x.astype(np.float32).astype(np.float64) for name, x in FINER.items()}, {}),
    "float16": ({"model.safetensors": safetensors(HALVES)}, {}, {name: x.astype(np.float64) for name, x in HALVES.items()}, {}),
    "bfloat16": ({"model.safetensors": safetensors(CODES)}, {},
                 {name: (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64) for name, x in CODES.items()}, {}),
    "prefix transformer": (one_file(W, "transformer."), {}, W, {}),
    "prefix module": (one_file(W, "module."), {}, W, {}),
    "prefix _orig_mod.module.transformer": (one_file(W, "_orig_mod.module.transformer."), {}, W, {}),
    "prefix model": (one_file(W, "model."), {}, W, {}),
    "causal masks": (one_file(W, **MASKS), {}, W, {}),
    "no biases": (one_file(without(W, ".bias")), {}, without(W, ".bias"), {}),
    "no biases at c_attn and ln_f": (one_file(without(W, "c_attn.bias", "ln_f.bias")), {}, without(W, "c_attn.bias", "ln_f.bias"), {}),
    "head besides, equal": (one_file(W | {"lm_head.weight": W["wte.weight"]}), {}, W, {}),
    "head alone": (one_file(without(W, "wte.weight") | {"lm_head.weight": W["wte.weight"]}), {}, W, {}),
    "head of its own": (one_file(W | HEAD), {"tie_word_embeddings": False}, W | HEAD, {}),
    "head of its own, though tied": (one_file(W | HEAD), {"tie_word_embeddings": True}, W | HEAD, {}),
    "n_inner and eps": (one_file(W), {"n_inner": 4 * WIDTH, "layer_norm_epsilon": 0.01}, W, {"eps": 0.01}),
    "names hidden_size .. num_attention_heads": (
        one_file(W), {"n_embd": None, "n_layer": None, "n_head": None, "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
                      "num_attention_heads": HEADS}, W, {}),
    "end of text outside the vocabulary": (one_file(W), {"eos_token_id": 50256}, W, {}),
    "scale_attn_by_inverse_layer_idx": (one_file(W), {"scale_attn_by_inverse_layer_idx": True}, W, {"by_layer": True}),
    "reorder_and_upcast_attn": (one_file(W), {"reorder_and_upcast_attn": True}, W, {}),
}
READ |= {name: (one_file(W), {"activation_function": name}, W, {"activation": f}) for name, f in [
    ("gelu_new", gelu_tanh), ("gelu_pytorch_tanh", gelu_tanh), ("gelu_fast", gelu_tanh), ("gelu_accurate", gelu_tanh),
    ("gelu", gelu_erf), ("gelu_python", gelu_erf), ("silu", silu), ("swish", silu), ("relu", relu)]}

MULTI_QUERY = {name: x[..., :WIDTH + 2 * WIDTH // HEADS] if "c_attn" in name else x for name, x in W.items()}
EXTRA = np.zeros((2, WIDTH), np.float32)
PICKLE = {"pytorch_model.bin": b"PK\x03\x04"}
# Variant: its files, what its config.json says besides, and words of the message.
REFUSED = {
    "pickle": (PICKLE, {}, ["pytorch_model.bin", "python3 -c", "save_file"]),
    "pickles": ({"pytorch_model.bin.index.json": b"{}"}, {}, ["of pickles", "save_pretrained"]),
    "pickle renamed .safetensors": ({"model.safetensors": b"PK\x03\x04" + bytes(99)}, {}, ["pickle", "renamed, not converted"]),
    "Git LFS pointer": ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"}, {}, ["git lfs pull"]),
    "Flax": ({"flax_model.msgpack": b"\x80"}, {}, ["Flax", "from_flax=True"]),
    "TensorFlow": ({"tf_model.h5": b"\x89HDF"}, {}, ["TensorFlow", "from_tf=True"]),
    "LoRA": ({"adapter_config.json": b"{}", "adapter_model.safetensors": b""}, {}, ["LoRA", "merge_and_unload"]),
    "classifier": (one_file(W, **{"score.weight": EXTRA}), {}, ["score.weight", "classifier of sequences", "without-head"]),
    "value head": (one_file(W, **{"v_head.summary.weight": EXTRA}), {}, ["v_head.summary.weight", "value model", "without-head"]),
    "multiple choice": (one_file(W, "transformer.", **{"multiple_choice_head.summary.weight": EXTRA}), {},
                        ["multiple choice", "without-head"]),
    "multi-query": (one_file(MULTI_QUERY), {}, ["c_attn.weight", "multi-query"]),
    "gpt_bigcode": (one_file(MULTI_QUERY), {"model_type": "gpt_bigcode"}, ["gpt_bigcode", "multi-query"]),
    "cross attention": (one_file(W), {"add_cross_attention": True}, ["add_cross_attention", "legal: false"]),
    "unscaled scores": (one_file(W), {"scale_attn_weights": False}, ["scale_attn_weights", "legal: true"]),
    "another activation": (one_file(W), {"activation_function": "quick_gelu"}, ["quick_gelu", "silu"]),
    "no head": (one_file(W), {"tie_word_embeddings": False}, ["lm_head.weight", "is missing"]),
    "a bias in one layer only": (one_file(without(W, "h.1.mlp.c_fc.bias")), {}, ["h.1.mlp.c_fc.bias", "is missing"]),
}


class Variants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        for name, (files, changes, *_) in (READ | REFUSED).items():
            folder = cls.folder / name
            folder.mkdir()
            for file, content in files.items():
                (folder / file).write_bytes(content)
            config = {key: value for key, value in (CONFIG | changes).items() if value is not None}
            (folder / "config.json").write_text(json.dumps(config))

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_what_is_read_has_the_logits_of_an_independent_pass(self):
        (self.folder / "tokens.txt").write_text("".join(json.dumps(line) + "\n" for line in TOKENS))
        (self.folder / "study.toml").write_text(RUN + f'[grid]\n"model.path" = {json.dumps(list(READ))}\n')
        done = lamp("run", self.folder / "study.toml", "--out", self.folder / "out", "--threads", "2", "--quiet")
        warnings = [line for line in done.stderr.splitlines() if "warning" in line]
        self.assertEqual(len(warnings), 1, done.stderr)
        self.assertIn("head of its own, though tied: config.json ties the head", warnings[0])
        with h5py.File(self.folder / "out/result.h5") as f:
            recorded = f["activations/logits/run"]
            self.assertEqual([dim.label for dim in recorded.dims], ["sequence", "model.path", "query", "component"])
            self.assertEqual(list(f["activations/logits/model.path"].asstr()), list(READ))
            found = np.swapaxes(recorded[()], 0, 1)
        passes = {}
        for i, (name, (_, _, w, options)) in enumerate(READ.items()):
            for s, tokens in enumerate(TOKENS):
                expected = logits(w, tokens, **options)
                distance = math.sqrt(((found[i, s] - expected)**2).sum() / (expected**2).sum())
                self.assertLess(distance, 1e-14, name)
                passes[name, s] = expected
            print(f"{name:45} read, relative rms {distance:.1e}")
        # the variants that differ from the plain one differ visibly
        plain = passes["one file", 0]
        for name, (files, _, w, options) in READ.items():
            same = w is W and options in ({}, {"activation": gelu_tanh})
            self.assertEqual(np.abs(passes[name, 0] - plain).max() < 1e-9, same, name)

    def test_what_is_not_read_is_refused_by_name(self):
        for name, (_, _, words) in REFUSED.items():
            done = lamp("inspect", self.folder / name, check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (65, "", 1), done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            print(f"{name:45} refused: {done.stderr.split('; legal')[0].split(': ', 2)[-1]}")

    def test_inspect_says_which_biases_are_missing_and_which_head_is_used(self):
        done = lamp("inspect", self.folder / "no biases at c_attn and ln_f", "--json")
        self.assertEqual(json.loads(done.stdout)["without_bias"], ["qkv", "ln_f"])
        done = lamp("inspect", self.folder / "head of its own, though tied", "--json")
        self.assertFalse(json.loads(done.stdout)["tied"])
        self.assertIn("warning", done.stderr)
        self.assertEqual(lamp("inspect", self.folder / "head of its own").stderr, "")


if __name__ == "__main__":
    unittest.main()
