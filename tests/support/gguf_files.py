"""Small GGUF files and what they mean. A tensor is made of random codes and scales; its values come from those in binary64, where all are
exact, and one rounding to binary32: not from the bytes.
"""
import struct

import numpy as np

KINDS = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"),
         "bool": (7, "<?"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}
TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q6_K": 14, "BF16": 30}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    """A value of a kind of KINDS, "str", or "[KIND" for an array of them, behind its type."""
    if kind == "str":
        return struct.pack("<I", 8) + text(content)
    if kind.startswith("["):
        items = [value(kind[1:], item) for item in content]
        of = struct.unpack("<I", value(kind[1:], "" if kind[1:] == "str" else 0)[:4])[0]
        return struct.pack("<IIQ", 9, of, len(items)) + b"".join(item[4:] for item in items)
    number, form = KINDS[kind]
    return struct.pack("<I", number) + struct.pack(form, content)


def blocks(kind, count, random):
    """Codes of `count` blocks of a type, as bytes, and their values in binary64: (count, elements of a block)."""
    def scales(least=-9, most=-4):
        return (random.uniform(-2, 2, count) * 2.0 ** random.integers(least, most, count)).astype(np.float16)

    def packed(*columns):
        rows = [np.ascontiguousarray(column).view(np.uint8).reshape(count, -1) for column in columns]
        return np.concatenate(rows, axis=1).tobytes()

    def nibbles(q):
        return (q[:, :16] | q[:, 16:] << 4).astype(np.uint8)

    d = scales()
    wide = d.astype(np.float64)[:, None]
    if kind == "F32":
        x = random.standard_normal((count, 1)).astype(np.float32)
        return x.tobytes(), x.astype(np.float64)
    if kind == "F16":
        return d.tobytes(), wide
    if kind == "BF16":
        codes = random.integers(0x3C00, 0x3F80, count).astype(np.uint16) | random.integers(0, 2, count).astype(np.uint16) << 15
        exponent, fraction = (codes >> 7 & 255).astype(np.int64) - 127, 1 + (codes & 127) / 128
        return codes.tobytes(), (np.where(codes >> 15, -1.0, 1.0) * fraction * 2.0 ** exponent)[:, None]
    if kind == "Q8_0":
        q = random.integers(-128, 128, (count, 32)).astype(np.int8)
        return packed(d, q), q * wide
    if kind == "Q4_0":
        q = random.integers(0, 16, (count, 32)).astype(np.uint8)
        return packed(d, nibbles(q)), (q.astype(np.float64) - 8) * wide
    if kind == "Q4_1":
        q, m = random.integers(0, 16, (count, 32)).astype(np.uint8), scales(-12, -2)
        return packed(d, m, nibbles(q)), q * wide + m.astype(np.float64)[:, None]
    # Q6_K: element 128 h + 32 p + i has its low four bits in byte 64 h + 32 (p & 1) + i of ql, in half p >> 1; its high two bits in byte
    # 32 h + i of qh, at 2 p; scale 8 h + 2 p + i / 16.
    q, sc = random.integers(0, 64, (count, 256)).astype(np.uint8), random.integers(-128, 128, (count, 16)).astype(np.int8)
    ql, qh = np.zeros((count, 128), np.uint8), np.zeros((count, 64), np.uint8)
    for e in range(256):
        h, p, i = e // 128, e // 32 % 4, e % 32
        ql[:, 64 * h + 32 * (p & 1) + i] |= (q[:, e] & 15) << (4 * (p >> 1))
        qh[:, 32 * h + i] |= (q[:, e] >> 4) << (2 * p)
    return packed(ql, qh, sc, d), wide * np.repeat(sc.astype(np.float64), 16, axis=1) * (q.astype(np.float64) - 32)


def tensor(kind, shape, random):
    """Rows of bytes (rows, bytes of a row) and values (shape) in binary32."""
    per = {"F32": 1, "F16": 1, "BF16": 1, "Q6_K": 256}.get(kind, 32)
    data, values = blocks(kind, int(np.prod(shape)) // per, random)
    rows = int(np.prod(shape[:-1]))
    return np.frombuffer(data, np.uint8).reshape(rows, -1), values.reshape(shape).astype(np.float32)


def gguf(metadata, tensors, version=3, alignment=32):
    """metadata: {key: (kind, content)}; tensors: {name: (type, shape, rows of bytes)}; shape as in numpy."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(text(key) + value(*entry) for key, entry in metadata.items())
    data = b""
    for name, (kind, shape, rows) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], TYPES[kind], len(data))
        data += rows.tobytes()
        data += b"\0" * (-len(data) % alignment)
    return head + b"\0" * (-len(head) % alignment) + data


def byte_tokens():
    """The 256 characters that byte-level BPE writes bytes as: printable ones of Latin 1 as they are, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]


def llama(random, layers=2, heads=4, groups=2, width=64, inner=96, matrices="Q4_1", vectors="Q8_0", pre="smollm"):
    """A Llama as llama.cpp writes it: metadata, tensors, and the weights by their published names."""
    specials, merges = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["a b", "c d", "ab cd"]
    tokens = specials + byte_tokens() + [pair.replace(" ", "") for pair in merges]
    head = width // heads
    metadata = {
        "general.architecture": ("str", "llama"), "general.languages": ("[str", ["en"]), "llama.block_count": ("u32", layers),
        "llama.context_length": ("u32", 128), "llama.embedding_length": ("u32", width), "llama.feed_forward_length": ("u32", inner),
        "llama.attention.head_count": ("u32", heads), "llama.attention.head_count_kv": ("u32", groups),
        "llama.vocab_size": ("u32", len(tokens)), "llama.attention.layer_norm_rms_epsilon": ("f32", 1e-5),
        "llama.rope.freq_base": ("f32", 100000.0),
        "llama.rope.dimension_count": ("u32", head),
        "tokenizer.ggml.model": ("str", "gpt2"), "tokenizer.ggml.pre": ("str", pre), "tokenizer.ggml.tokens": ("[str", tokens),
        "tokenizer.ggml.token_type": ("[i32", [3] * len(specials) + [1] * (len(tokens) - len(specials))),
        "tokenizer.ggml.merges": ("[str", merges), "tokenizer.ggml.bos_token_id": ("u32", 1), "tokenizer.ggml.eos_token_id": ("u32", 2),
        "tokenizer.ggml.add_bos_token": ("bool", False)}
    tensors, weights = {}, {}

    def add(name, published, kind, shape, rotated=0):
        rows, values = tensor(kind, shape, random)
        order = np.arange(len(rows))
        for h in range(rotated):  # the halves of a head that rotate together become neighbours
            for i in range(head // 2):
                for half in range(2):
                    order[h * head + 2 * i + half] = h * head + half * (head // 2) + i
        tensors[name], weights[published] = (kind, shape, rows[order]), values

    add("token_embd.weight", "model.embed_tokens.weight", vectors, (len(tokens), width))
    add("output_norm.weight", "model.norm.weight", "F32", (width,))
    for n in range(layers):
        for name, published, kind, shape, rotated in [
                ("attn_norm", "input_layernorm", "F32", (width,), 0), ("attn_q", "self_attn.q_proj", matrices, (width, width), heads),
                ("attn_k", "self_attn.k_proj", matrices, (groups * head, width), groups),
                ("attn_v", "self_attn.v_proj", matrices, (groups * head, width), 0),
                ("attn_output", "self_attn.o_proj", matrices, (width, width), 0),
                ("ffn_norm", "post_attention_layernorm", "F32", (width,), 0), ("ffn_gate", "mlp.gate_proj", matrices, (inner, width), 0),
                ("ffn_up", "mlp.up_proj", matrices, (inner, width), 0), ("ffn_down", "mlp.down_proj", matrices, (width, inner), 0)]:
            add(f"blk.{n}.{name}.weight", f"model.layers.{n}.{published}.weight", kind, shape, rotated)
    return metadata, tensors, weights


def gpt2(random, layers=2, heads=4, width=256, vocabulary=40, positions=24, matrices=("Q6_K", "Q4_0", "Q8_0", "F16")):
    """A GPT-2 as llama.cpp writes it, linear weights (out, in): metadata, tensors, and the weights as published, (in, out)."""
    metadata = {
        "general.architecture": ("str", "gpt2"), "gpt2.block_count": ("u32", layers), "gpt2.context_length": ("u32", positions),
        "gpt2.embedding_length": ("u32", width), "gpt2.feed_forward_length": ("u32", 4 * width),
        "gpt2.attention.head_count": ("u32", heads), "gpt2.attention.layer_norm_epsilon": ("f32", 1e-5), "tokenizer.ggml.eos_token_id": ("u32", vocabulary - 1)}
    tensors, weights = {}, {}

    def add(name, published, kind, shape):
        rows, values = tensor(kind, shape, random)
        tensors[name] = kind, shape, rows
        weights[published] = np.ascontiguousarray(values.T) if "attn_" in name or "ffn_" in name else values

    add("token_embd.weight", "wte.weight", "Q6_K", (vocabulary, width))
    add("position_embd.weight", "wpe.weight", "BF16", (positions, width))
    for part in ("weight", "bias"):  # of a norm: vectors
        add(f"output_norm.{part}", f"ln_f.{part}", "F32", (width,))
    for n in range(layers):
        for i, (name, published, inputs, outputs) in enumerate([
                ("attn_qkv", "attn.c_attn", width, 3 * width), ("attn_output", "attn.c_proj", width, width),
                ("ffn_up", "mlp.c_fc", width, 4 * width), ("ffn_down", "mlp.c_proj", 4 * width, width)]):
            add(f"blk.{n}.{name}.weight", f"h.{n}.{published}.weight", matrices[i], (outputs, inputs))
            add(f"blk.{n}.{name}.bias", f"h.{n}.{published}.bias", "F32", (outputs,))
        for name, published in (("attn_norm", "ln_1"), ("ffn_norm", "ln_2")):
            for part in ("weight", "bias"):
                add(f"blk.{n}.{name}.{part}", f"h.{n}.{published}.{part}", "F32", (width,))
    return metadata, tensors, weights
