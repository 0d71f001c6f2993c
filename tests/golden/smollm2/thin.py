"""`/usr/bin/python3 thin.py GOLDEN.npz` writes golden.h5: of a whole float64 pass (README.md) what fits here."""
import pathlib
import sys

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
POSITIONS = [16, 48, 63]  # of the 33 that hidden states are kept at, and of the 5 that layer 0's sites are kept at
LAYER_0 = {"input_layernorm": "ln_1", "q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "attn_proj",
           "post_attention_layernorm": "ln_2", "gate_proj": "gate", "up_proj": "up", "down_proj": "mlp_proj"}
LAYER_0_POSITIONS = [0, 16, 32, 48, 63]


def thinned(full):
    rows = np.searchsorted(full["positions"], POSITIONS)
    found = {name: full[name] for name in ("tokens", "top_ids", "top_logits", "logsumexp")}
    found |= {"text": str(full["text"]), "positions": np.array(POSITIONS)}
    hidden = full["hidden"][:, rows]  # embedding, 30 layers, final norm
    found |= {"embed": hidden[0], "resid_2": hidden[1:-1], "ln_f": hidden[-1], "layer_0/softmax": full["layer0_attention"][:, rows]}
    few = [LAYER_0_POSITIONS.index(position) for position in POSITIONS]
    return found | {f"layer_0/{site}": full[f"layer0_{name}"][few] for name, site in LAYER_0.items()}


def main():
    full = np.load(sys.argv[1])
    with h5py.File(HERE / "golden.h5", "w", libver="latest") as f:
        for name, values in thinned(full).items():
            packed = {} if isinstance(values, str) else {"compression": "gzip", "compression_opts": 9, "shuffle": True}
            f.create_dataset(name, data=values, **packed)


if __name__ == "__main__":
    main()
