"""Writes this folder's models, tokens and golden outputs: `/usr/bin/python3 generate.py`, two minutes."""
import itertools
import json
import math
import pathlib
import random
import struct
import tomllib

import h5py
import mpmath
import numpy as np
from gpt2 import Gpt2
from llama import Llama
from network import Pass
from rounding import arithmetic_of
from unlimited import Unlimited

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.h5"
CONFIGS = ("stochastic", "directed", "weights", "rules", "rates", "range", "unlimited", "small", "llama_stochastic", "llama_directed",
           "llama_unlimited", "everywhere", "llama_everywhere")
NETWORKS = {"gpt2": Gpt2, "llama": Llama}

# --- model and tokens ---------------------------------------------------------------------------------------------------------------

D, INNER, LAYERS, HEADS, VOCABULARY, POSITIONS = 24, 40, 2, 2, 40, 12


def folder_files(config, tensors, seed):
    """config.json and model.safetensors as bytes. `tensors`: (name, shape, low, high); every bit of binary32 in use."""
    rng = random.Random(seed)
    header, data = {}, b""
    for name, shape, low, high in tensors:
        numbers = np.array([low + (high - low) * rng.random() for _ in range(int(np.prod(shape)))], np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(numbers)]}
        data += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return {"config.json": json.dumps(config, indent=1).encode() + b"\n", "model.safetensors": struct.pack("<Q", len(text)) + text + data}


def gpt2_files():
    config = {"model_type": "gpt2", "activation_function": "gelu_new", "vocab_size": VOCABULARY, "n_positions": POSITIONS,
              "n_ctx": POSITIONS, "n_embd": D, "n_inner": INNER, "n_layer": LAYERS, "n_head": HEADS,
              "layer_norm_epsilon": 0.012345678901234568}  # no binary32 number; the variances of embed are as large
    tensors = [("wte.weight", (VOCABULARY, D), -0.25, 0.25), ("wpe.weight", (POSITIONS, D), -0.125, 0.125)]
    for name in [f"h.{layer}.ln_{n}" for layer in range(LAYERS) for n in (1, 2)] + ["ln_f"]:
        tensors += [(name + ".weight", (D,), 0.5, 1.5), (name + ".bias", (D,), -0.5, 0.5)]
    for layer in range(LAYERS):
        for name, rows, columns, size in (("attn.c_attn", D, 3 * D, 0.5), ("attn.c_proj", D, D, 0.1), ("mlp.c_fc", D, INNER, 0.4),
                                          ("mlp.c_proj", INNER, D, 0.1)):
            name = f"h.{layer}.{name}"
            tensors += [(name + ".weight", (rows, columns), -size, size), (name + ".bias", (columns,), -size, size)]
    return folder_files(config, tensors, "low precision")


def llama_files(width, inner, layers, heads, groups, d_head, biases, tied, seed, more):
    """A Llama; biases at q k v o as `attention_bias` has them, or none."""
    config = {"model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS,
              "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": groups, "rms_norm_eps": 0.012345678901234568, "attention_bias": biases, "mlp_bias": False,
              "tie_word_embeddings": tied, **more}
    tensors = [("model.embed_tokens.weight", (VOCABULARY, width), -0.25, 0.25), ("model.norm.weight", (width,), 0.5, 1.5)]
    if not tied:
        tensors.append(("lm_head.weight", (VOCABULARY, width), -0.3, 0.3))
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        tensors += [(prefix + name + ".weight", (width,), 0.5, 1.5) for name in ("input_layernorm", "post_attention_layernorm")]
        for name, columns, rows, size in (("self_attn.q", heads * d_head, width, 0.5), ("self_attn.k", groups * d_head, width, 0.5),
                                          ("self_attn.v", groups * d_head, width, 0.5), ("self_attn.o", width, heads * d_head, 0.1),
                                          ("mlp.gate", inner, width, 0.6), ("mlp.up", inner, width, 0.4), ("mlp.down", width, inner, 0.1)):
            tensors.append((f"{prefix}{name}_proj.weight", (columns, rows), -size, size))
            if biases and name.startswith("self_attn"):
                tensors.append((f"{prefix}{name}_proj.bias", (columns,), -size, size))
    return folder_files(config, tensors, seed)


def model_files():
    """Every model folder's files. In `llama` the three wavelengths 2 pi / f (6.3, 29, 135) take the three branches of the scaling:
    below 64/4 as it is, above 64 divided by 8, between them interpolated. `llama_tied` has d_head 10 where width / heads is 4."""
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
    folders = {
        "model": gpt2_files(),
        "llama": llama_files(24, 28, 2, 4, 2, 6, True, False, "llama", {"rope_theta": 100.0, "rope_scaling": scaling}),
        "llama_tied": llama_files(12, 14, 1, 3, 1, 10, False, True, "tied", {"head_dim": 10, "rope_theta": 123.456, "rope_scaling": None}),
    }
    return {f"{folder}/{name}": content for folder, files in folders.items() for name, content in files.items()}


def token_files():
    """One JSON list a line, two lines a file, longer than a sequence."""
    rng = random.Random("tokens")

    def line():
        return json.dumps([int(rng.random() * VOCABULARY) for _ in range(POSITIONS)]) + "\n"

    return {name: (line() + line()).encode() for name in ("one.jsonl", "two.jsonl")}


def input_files():
    """What a run reads beside the configs, by name."""
    return {**model_files(), **token_files()}


def read_model(folder):
    config = json.loads((folder / "config.json").read_bytes())
    content = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    weights = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        weights[name] = np.frombuffer(content[first:last], np.float32).reshape(entry["shape"]).tolist()
    return NETWORKS[config["model_type"]](config, weights)


# --- configs ------------------------------------------------------------------------------------------------------------------------


def alternatives(name):
    """The keys that an axis takes the place of."""
    return {"mu": ("format",), "format": ("mu",), "tau": ("rate",), "rate": ("tau",)}.get(name, ())


def config_of(name):
    return tomllib.loads((HERE / f"{name}.toml").read_text())


def cells(config):
    """The axes' lengths, and the config of each cell, the last axis fastest."""
    axes = config.get("grid", {})
    points = []
    for values in itertools.product(*axes.values()):
        cell = json.loads(json.dumps(config))
        for key, value in zip(axes, values):
            *path, name = key.split(".")
            table = cell
            for part in path:
                table = table[part]
            for other in alternatives(name):
                table.pop(other, None)
            table[name] = value
        points.append(cell)
    return [len(values) for values in axes.values()], points


def plan_of(cell):
    """arithmetic(site, layer, head) of a cell: the most specific key wins."""

    def arithmetic(site, layer, head):
        keys = (f"layer.{layer}.head.{head}.{site}", f"layer.{layer}.{site}", site, "default")
        return named(cell, next(cell["plan"][key] for key in keys if key in cell["plan"]))

    return arithmetic


def selection_of(cell):
    """selection(site, layer, head) of a cell: (keys of [lamp.SITE], arithmetic that recomputes) or None.
    The most specific tau or rate wins."""
    lamp = cell["lamp"]

    def selection(site, layer, head):
        if site not in lamp:
            return None
        keys = dict(lamp[site])
        in_layer = lamp.get("layer", {}).get(str(layer), {})
        for budget in (in_layer.get(site, {}), in_layer.get("head", {}).get(str(head), {}).get(site, {})):
            for name in budget:
                keys.pop(alternatives(name)[0], None)
            keys |= budget
        return keys, named(cell, keys["recompute"])

    return selection


def named(cell, name):
    if name.startswith("mpfr:"):
        return Unlimited(int(name.removeprefix("mpfr:")))
    return arithmetic_of(cell["arithmetic"][name])


def as_list(paths):
    return paths if isinstance(paths, list) else [paths]


# --- the golden outputs -------------------------------------------------------------------------------------------------------------


def model_of(config):
    model = read_model(HERE / config["model"]["path"])
    if "activation" in config["model"]:
        model.config["activation_function"] = config["model"]["activation"]
    return model


def sequences_of(config):
    """(ids, index) of every sequence. Open in the text: the index that enters the draws counts anew in every text."""
    tokens = config["tokens"]
    for path in as_list(tokens["path"]):
        for index, line in enumerate((HERE / path).read_text().splitlines()[: tokens["sequences"]]):
            yield json.loads(line)[: tokens["sequence_length"]], index


def divergence(logits, reference):
    """The mean over positions of KL(reference || run), to far more digits than binary64 has; NaN where a logit is."""
    if not (np.isfinite(logits).all() and np.isfinite(reference).all()):
        return math.nan
    with mpmath.workdps(50):
        def log_softmax(row):
            y = [mpmath.mpf(float(x)) for x in row]
            s = mpmath.log(mpmath.fsum(mpmath.exp(x) for x in y))
            return [x - s for x in y]

        rows = [(log_softmax(p), log_softmax(q)) for p, q in zip(reference, logits)]
        return float(mpmath.fsum(mpmath.exp(p) * (p - q) for row in rows for p, q in zip(*row)) / len(rows))


def rate_path(site):
    return "recompute_rate" if site == "scores" else f"recompute_rate_{site}"


def golden(name):
    """Every array of a config by its path in golden.h5, with the dimensions ([text,] sequence, axes, ..) of the result file."""
    config = config_of(name)
    model, record, (lengths, points) = model_of(config), config["record"], cells(config)
    reference = named(config, config["reference"]["arithmetic"])
    found = {}

    def keep(path, array):
        found.setdefault(path, []).append(array)

    for ids, index in sequences_of(config):
        exact = Pass(model, ids, lambda *_: reference, config["seed"], index)
        for site in record["activations"]:
            keep(f"reference/{site}", exact.array(exact.run, site))
        for cell in points:
            one = Pass(model, ids, plan_of(cell), config["seed"], index, selection_of(cell), reference if "errors" in record else None)
            for site in record["activations"]:
                keep(f"run/{site}", one.array(one.run, site))
            for site in record.get("errors", []):
                keep(f"local/{site}", one.array(one.local, site))
            keep("kl", np.array(divergence(one.array(one.run, "logits"), exact.array(exact.run, "logits"))))
            for site in one.selected:
                keep(rate_path(site), one.shares(site))
    lead = [len(config["tokens"]["path"])] if isinstance(config["tokens"]["path"], list) else []
    lead.append(config["tokens"]["sequences"])
    return {path: np.array(arrays).reshape(*lead, *([] if path.startswith("reference/") else lengths), *arrays[0].shape)
            for path, arrays in found.items()}


def main():
    for name, content in input_files().items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_bytes(content)
    with h5py.File(GOLDEN, "w", libver="latest") as f:
        for name in CONFIGS:
            for path, array in golden(name).items():
                f.create_dataset(f"{name}/{path}", data=array, compression="gzip", compression_opts=9, shuffle=True)


if __name__ == "__main__":
    main()
