"""Writes the seeds that are no text: tests/fuzz/seeds/{safetensors,gguf}. Small ones of each type of tensor and of each network.
usage: /usr/bin/python3 tests/fuzz/binary_seeds.py
"""
import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import gguf_files  # noqa: E402


def safetensors(tensors, metadata=None):
    """tensors: {name: (dtype, shape, bytes)}."""
    header, data = {} if metadata is None else {"__metadata__": metadata}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def of_safetensors(random):
    numbers = random.standard_normal(6).astype(np.float32)
    yield "f32", safetensors({"wte.weight": ("F32", [2, 3], numbers.tobytes())}, {"format": "pt"})
    yield "halves", safetensors({"a": ("F16", [6], numbers.astype(np.float16).tobytes()),
                                 "b": ("BF16", [3, 2], (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes())})
    yield "others", safetensors({"a": ("I64", [1], bytes(8)), "b": ("F64", [], bytes(8)), "c": ("BOOL", [0, 5], b""), "d": ("U8", [3], b"abc")})
    yield "none", safetensors({})
    names = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight"]
    yield "layers", safetensors({f"h.{n}.{name}": ("F32", [2], bytes(8)) for n in range(2) for name in names})


def of_gguf(random):
    small = {"layers": 1, "heads": 2, "width": 32}
    yield "llama", gguf_files.gguf(*gguf_files.llama(random, groups=1, inner=32, matrices="Q4_0", **small)[:2])
    metadata = {"general.architecture": ("str", "gpt2"), "general.alignment": ("u32", 32), "a": ("u8", 1), "b": ("i8", -1), "c": ("u16", 2),
                "d": ("i16", -2), "e": ("i32", -3), "f": ("f32", 0.5), "g": ("bool", True), "h": ("u64", 1 << 40), "i": ("i64", -1), "j": ("f64", 0.25),
                "k": ("[f32", [1.0, 2.0]), "l": ("[u8", [1, 2, 3]), "m": ("[str", ["x", "yz"])}
    tensors = {}
    for kind, width in [("F32", 2), ("F16", 4), ("BF16", 4), ("Q4_0", 32), ("Q4_1", 32), ("Q8_0", 32), ("Q6_K", 256)]:
        tensors[f"t.{kind}"] = (kind, (2, width), gguf_files.tensor(kind, (2, width), random)[0])
    yield "types", gguf_files.gguf(metadata, tensors)
    yield "version-2", gguf_files.gguf({"general.architecture": ("str", "llama")}, {}, version=2)
    vectors = gguf_files.tensor("F32", (4,), random)[0]
    matrices = {name: ("F32", shape, gguf_files.tensor("F32", shape, random)[0]) for name, shape in
                [("token_embd.weight", (3, 4)), ("position_embd.weight", (2, 4)), ("blk.0.attn_qkv.weight", (12, 4)), ("blk.0.attn_output.weight", (4, 4)),
                 ("blk.0.ffn_up.weight", (8, 4)), ("blk.0.ffn_down.weight", (4, 8))]}
    rest = {name: ("F32", (4,), vectors) for name in ["output_norm.weight", "output_norm.bias", "blk.0.attn_norm.weight", "blk.0.ffn_norm.bias"]}
    keys = {"general.architecture": ("str", "gpt2"), "gpt2.block_count": ("u32", 1), "gpt2.context_length": ("u32", 2), "gpt2.embedding_length": ("u32", 4),
            "gpt2.feed_forward_length": ("u32", 8), "gpt2.attention.head_count": ("u32", 2), "gpt2.attention.layer_norm_epsilon": ("f32", 1e-5),
            "tokenizer.ggml.eos_token_id": ("u32", 2)}
    yield "gpt2", gguf_files.gguf(keys, {**matrices, **rest})


def main():
    random = np.random.default_rng(7)
    for kind, seeds in (("safetensors", of_safetensors), ("gguf", of_gguf)):
        folder = HERE / "seeds" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in seeds(random):
            (folder / name).write_bytes(content)


main()
