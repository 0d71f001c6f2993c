"""Checkpoints of GPT-2 of any shape: a right config.json and a right header, over random weights or over none."""
import json
import pathlib

import numpy as np


def shapes(width, layers, vocabulary, positions):
    """The tensors and their shapes, in the order of the file."""
    found = {"wte.weight": (vocabulary, width), "wpe.weight": (positions, width)}
    for layer in range(layers):
        for name in ("ln_1", "ln_2"):
            found |= {f"h.{layer}.{name}.weight": (width,), f"h.{layer}.{name}.bias": (width,)}
        for name, rows, cols in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width),
                                 ("mlp.c_fc", width, 4 * width), ("mlp.c_proj", 4 * width, width)):
            found |= {f"h.{layer}.{name}.weight": (rows, cols), f"h.{layer}.{name}.bias": (cols,)}
    return found | {"ln_f.weight": (width,), "ln_f.bias": (width,)}


def write_checkpoint(folder, width, layers, heads, vocabulary, positions, weights=True):
    """Without weights the file has its size, but nothing is stored: a hole, which reads as zeros."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "gpt2", "activation_function": "gelu_new", "vocab_size": vocabulary, "n_positions": positions,
        "n_embd": width, "n_layer": layers, "n_head": heads, "layer_norm_epsilon": 1e-5}))
    tensors, header, end = shapes(width, layers, vocabulary, positions), {}, 0
    for name, shape in tensors.items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    random = np.random.default_rng(1)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if not weights:
            file.truncate(8 + len(text) + end)
            return
        for name, shape in tensors.items():
            scale = 0.04 if "c_attn" in name else 0.1 if len(shape) > 1 else 0.0 if name.endswith("bias") else 1.0
            values = random.standard_normal(shape, np.float32) if len(shape) > 1 else np.ones(shape, np.float32)
            file.write((np.float32(scale) * values).tobytes())
