"""The Llama family in float64, from method.md, section 4: `forward` gives every site. numpy; nothing here is read from lamp.

`/usr/bin/python3 golden.py` writes this folder's model and golden.h5; tests/experiments/llama_test.py compares, and makes variants.
"""
import json
import math
import pathlib
import random

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
TYPES = {"F32": "<f4", "BF16": "<u2"}
ABSENT = object()  # in the place of a value: no such key

# --- a checkpoint as transformers writes it -----------------------------------------------------------------------------------------


def config_of(model_type="llama", **changes):
    """Groups, llama3 scaling, biases at q k v o, an untied head, head_dim of its own."""
    config = {"model_type": model_type, "hidden_act": "silu", "vocab_size": 48, "hidden_size": 20, "intermediate_size": 24,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": LLAMA3, "tie_word_embeddings": False, "attention_bias": True,
              "mlp_bias": False, **changes}
    return {key: value for key, value in config.items() if value is not ABSENT}


# Wavelengths of d_head 8 and theta 10,000: 6.3 and 63 below 1024/4, 628 between, 6283 above 1024.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 1024}


def dimensions(config):
    """(heads, groups, d_head) with the defaults of transformers."""
    heads = config["num_attention_heads"]
    return heads, config.get("num_key_value_heads", heads), config.get("head_dim") or config["hidden_size"] // heads


def biases(config):
    """Which projections of a layer have one."""
    attention = {"qwen2": "qkv", "mistral": ""}.get(config["model_type"], "qkvo" if config.get("attention_bias") else "")
    mlp = ("gate", "up", "down") if config.get("mlp_bias") else ()
    return [f"self_attn.{name}_proj" for name in attention] + [f"mlp.{name}_proj" for name in mlp]


def tensors_of(config, seed="llama"):
    """Random tensors of a config by name; matrices are (out, in)."""
    rng, found = random.Random(seed), {}
    heads, groups, d = dimensions(config)
    n, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]

    def tensor(name, shape, low, high):
        found[name] = np.array([low + (high - low) * rng.random() for _ in range(math.prod(shape))], np.float32).reshape(shape)

    tensor("model.embed_tokens.weight", (vocabulary, n), -1, 1)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensor(f"{prefix}{name}.weight", (n,), 0.5, 1.5)
        for name, rows, columns in (("self_attn.q_proj", heads * d, n), ("self_attn.k_proj", groups * d, n),
                                    ("self_attn.v_proj", groups * d, n), ("self_attn.o_proj", n, heads * d), ("mlp.gate_proj", inner, n),
                                    ("mlp.up_proj", inner, n), ("mlp.down_proj", n, inner)):
            tensor(f"{prefix}{name}.weight", (rows, columns), -0.5, 0.5)
            if name in biases(config):
                tensor(f"{prefix}{name}.bias", (rows,), -0.5, 0.5)
    tensor("model.norm.weight", (n,), 0.5, 1.5)
    if not config.get("tie_word_embeddings"):
        tensor("lm_head.weight", (vocabulary, n), -0.5, 0.5)
    return found


def write_model(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    header, end = {}, 0
    for name, values in tensors.items():
        begin, end = end, end + values.nbytes
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in tensors.values()))


def read_model(folder):
    """(config, tensors in float64)."""
    content = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[first:last], TYPES[entry["dtype"]])
            if entry["dtype"] == "BF16":
                values = (values.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = values.astype(np.float64).reshape(entry["shape"])
    return json.loads((folder / "config.json").read_text()), tensors


def tokens_of(config, length=24):
    rng = random.Random("tokens")
    return [int(rng.random() * config["vocab_size"]) for _ in range(length)]


# --- the pass -----------------------------------------------------------------------------------------------------------------------


def rotation(config, length, d):
    """cos and sin of position f_j, (length, d/2). Angles in long double: in float64 their roundings would show."""
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = scaling.get("rope_theta", config.get("rope_theta", 10000.0))
    f = np.longdouble(theta) ** (-2 * np.arange(d // 2, dtype=np.longdouble) / d)
    if scaling.get("rope_type", "default") == "llama3":
        original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        wavelength = 8 * np.arctan(np.longdouble(1)) / f
        s = (original / wavelength - low) / (high - low)
        f = np.where(wavelength < original / high, f, np.where(wavelength > original / low, f / factor, (1 - s) * f / factor + s * f))
    angle = np.arange(length, dtype=np.longdouble)[:, None] * f
    return np.cos(angle).astype(np.float64), np.sin(angle).astype(np.float64)


def rotate(x, cos, sin):
    """x (heads, T, d): pairs (j, j + d/2)."""
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def norm(x, gamma, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gamma


def forward(config, weights, tokens):
    """Every site: (T, width), of a layer (layer, T, width), scores, softmax and values (layer, head, T, ..), masked entries NaN."""
    heads, groups, d = dimensions(config)
    eps, length = config.get("rms_norm_eps", 1e-6), len(tokens)
    cos, sin = rotation(config, length, d)
    future = np.triu(np.ones((length, length), bool), 1)
    layers = {}

    def site(name, value):
        layers.setdefault(name, []).append(value)
        return value

    def linear(name, x):
        y = x @ weights[name + ".weight"].T
        return y + weights[name + ".bias"] if name + ".bias" in weights else y

    def split(x):
        return x.reshape(length, -1, d).swapaxes(0, 1)

    def join(x):
        return x.swapaxes(0, 1).reshape(length, -1)

    x = embed = weights["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        normal = site("ln_1", norm(x, weights[prefix + "input_layernorm.weight"], eps))
        q, k, v = (split(site(name, linear(f"{attention}{name}_proj", normal))) for name in "qkv")
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        site("rope_q", join(q)), site("rope_k", join(k))
        k, v = (np.repeat(one, heads // groups, axis=0) for one in (k, v))  # head h reads group floor(h groups / heads)
        y = q @ k.swapaxes(1, 2) / math.sqrt(d)
        site("scores", np.where(future, np.nan, y))
        e = np.where(future, 0, np.exp(y - np.where(future, -np.inf, y).max(-1, keepdims=True)))
        z = e / e.sum(-1, keepdims=True)
        site("softmax", np.where(future, np.nan, z))
        projected = site("attn_proj", linear(attention + "o_proj", join(site("values", z @ v))))
        x = site("resid_1", x + projected)
        normal = site("ln_2", norm(x, weights[prefix + "post_attention_layernorm.weight"], eps))
        gate, up = site("gate", linear(mlp + "gate_proj", normal)), site("up", linear(mlp + "up_proj", normal))
        gated = site("gated", site("silu", gate / (1 + np.exp(-gate))) * up)
        x = site("resid_2", x + site("mlp_proj", linear(mlp + "down_proj", gated)))
    final = norm(x, weights["model.norm.weight"], eps)
    head = weights["model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"]
    return {"embed": embed, **{name: np.stack(values) for name, values in layers.items()}, "ln_f": final, "logits": final @ head.T}


def golden():
    config, weights = read_model(HERE / "model")
    tokens = tokens_of(config)
    return {"tokens": np.array(tokens), **forward(config, weights, tokens)}


def main():
    write_model(HERE / "model", config_of(), tensors_of(config_of()))
    with h5py.File(HERE / "golden.h5", "w", libver="latest") as f:
        for name, values in golden().items():
            f.create_dataset(name, data=values, compression="gzip", compression_opts=9, shuffle=True)


if __name__ == "__main__":
    main()
