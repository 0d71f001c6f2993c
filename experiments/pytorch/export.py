"""Writes the activations of one PyTorch pass of a GPT-2 checkpoint to HDF5, for `check`. README.md beside this file gives the format.

Runs where you have torch, transformers and h5py; it imports nothing of lamp.
usage: python export.py MODEL OUT.h5 (--text FILE | --ids "464 3290 ..") [--length 64]
"""
import argparse
import math
import pathlib

import h5py
import numpy as np
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel


def collect(model, ids):
    """Site name to array: (query, component), (layer, query, component), or (layer, head, query, key) with NaN after the query."""
    config, found, handles = model.config, {}, []
    layers, heads = config.n_layer, config.n_head

    def keep(module, site, layer=None, of_input=False):
        def hook(_, inputs, output=None):
            value = inputs[0] if of_input else output
            value = (value[0] if isinstance(value, tuple) else value).detach()
            while value.dim() > 2:
                value = value[0]
            if layer is None:
                found[site] = value
            else:
                found.setdefault(site, [None] * layers)[layer] = value
        handles.append(module.register_forward_pre_hook(hook) if of_input else module.register_forward_hook(hook))

    body = model.transformer
    keep(body.h[0].ln_1, "embed", of_input=True)
    for l, block in enumerate(body.h):
        keep(block.ln_1, "ln_1", l)
        keep(block.attn.c_attn, "qkv", l)
        keep(block.attn.c_proj, "values", l, of_input=True)
        keep(block.attn.c_proj, "attn_proj", l)
        keep(block.ln_2, "resid_1", l, of_input=True)
        keep(block.ln_2, "ln_2", l)
        keep(block.mlp.c_fc, "mlp_fc", l)
        keep(block.mlp.act, "gelu", l)
        keep(block.mlp.c_proj, "mlp_proj", l)
        keep(block, "resid_2", l)
    keep(body.ln_f, "ln_f")
    with torch.no_grad():
        out = model(torch.tensor([ids]), output_attentions=True, use_cache=False)
    for handle in handles:
        handle.remove()

    length, future = len(ids), torch.triu(torch.ones(len(ids), len(ids), dtype=torch.bool), 1)
    scores = []
    for qkv in found["qkv"]:  # attention keeps no scores: the same product and scaling once more
        q, k, _ = (part.view(length, heads, -1).transpose(0, 1) for part in qkv.split(config.n_embd, dim=1))
        scores.append((q @ k.transpose(1, 2) / math.sqrt(config.n_embd // heads)).masked_fill(future, math.nan))
    found["scores"] = scores
    found["softmax"] = [a[0].masked_fill(future, math.nan) for a in out.attentions]
    found["values"] = [v.view(length, heads, -1).transpose(0, 1) for v in found["values"]]
    found["logits"] = out.logits[0]
    return {site: (torch.stack(v) if isinstance(v, list) else v).numpy() for site, v in found.items()}


def load(name):
    """The checkpoint in binary32. transformers fills tensors that a file lacks with random numbers: biases become zeros, as in lamp, and
    anything else ends the program."""
    model, loading = GPT2LMHeadModel.from_pretrained(name, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    missing = set(loading["missing_keys"]) - {"lm_head.weight"}  # tied to the token vectors
    if others := sorted(key for key in missing if not key.endswith(".bias")):
        raise SystemExit(f"export: {name} has no {others[0]}; transformers would make it up")
    with torch.no_grad():
        for key in missing:
            model.get_parameter(key).zero_()
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="a folder or a name that transformers knows")
    parser.add_argument("out", type=pathlib.Path)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--text", type=pathlib.Path, help="its first tokens are taken")
    given.add_argument("--ids", help="token ids, separated by blanks")
    parser.add_argument("--length", type=int, default=64, help="tokens (64)")
    arguments = parser.parse_args()

    model = load(arguments.model)
    text = arguments.text.read_text(encoding="utf-8") if arguments.text else None
    if text is not None:
        ids = AutoTokenizer.from_pretrained(arguments.model)(text, add_special_tokens=False)["input_ids"]
    else:
        ids = [int(word) for word in arguments.ids.split()]
    ids = ids[:arguments.length]
    with h5py.File(arguments.out, "w") as f:
        f.attrs["source"] = f"torch {torch.__version__}, {model.config.activation_function}, {arguments.model}"
        f["tokens"] = np.array(ids, np.int64)
        if text is not None:
            f["text"] = text
        for site, value in collect(model, ids).items():
            f.create_dataset(site, data=value, compression="gzip", shuffle=True)
    print(f"{arguments.out}: {len(ids)} tokens")


if __name__ == "__main__":
    main()
