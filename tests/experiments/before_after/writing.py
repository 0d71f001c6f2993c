"""Configs as text, and what many of them have in common."""
import json
import re

from .sides import ROOT

SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2",
         "ln_f", "logits"]
LLAMA_SITES = ["embed", "ln_1", "q", "k", "v", "rope_q", "rope_k", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "gate",
               "up", "silu", "gated", "mlp_proj", "resid_2", "ln_f", "logits"]
NANO, TEXTS, LLAMA = ROOT / "data/models/gpt2-nano", ROOT / "data/texts", ROOT / "tests/golden/llama/model"
EVERYTHING = {"errors": SITES, "detail": "full", "activations": SITES}
ENDS = {"plan": {"default": "high"}, "arithmetic.high": {"format": "binary32"}}


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def config(title, sections, seed=7):
    """A config as text; `sections`: name of a table to its keys."""
    lines = ["schema_version = 1", f"title = {toml(title)}", f"seed = {seed}"]
    for name, keys in sections.items():
        lines += ["", f"[{name}]", *(f"{key if re.fullmatch('[a-z0-9_.]+', key) and name != 'grid' else toml(key)} = {toml(value)}"
                                     for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def common(length, sequences=1, text="prose", **more):
    return {"model": {"path": str(NANO)},
            "tokens": {"path": str(TEXTS / f"{text}.txt"), "sequence_length": length, "sequences": sequences, **more}}
