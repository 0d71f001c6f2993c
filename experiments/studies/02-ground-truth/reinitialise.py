"""A model folder with the shapes, vocabulary and config of another and the weights of one that was never trained: a control of study 02.

usage: /usr/bin/python3 experiments/studies/02-ground-truth/reinitialise.py MODEL_DIR OUT_DIR [SEED]

GPT-2's initialisation: matrices and embeddings N(0, 0.02^2), the projections that end in the residual stream N(0, 0.02^2 / (2 layers)),
biases 0, gains of layer norms 1; float32. Random numbers: numpy's Philox, seeded (0), tensors in the order of the file.
"""
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np


def initial(name, shape, layers, random):
    if name.endswith("bias"):
        return np.zeros(shape)
    if ".ln_" in "." + name:
        return np.ones(shape)
    return random.normal(0, 0.02 / np.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02, shape)


def main(model, out, seed=0):
    config = json.loads((model / "config.json").read_text())
    content = (model / "model.safetensors").read_bytes()
    length, = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    random = np.random.Generator(np.random.Philox(seed))
    made, data, parameters = {}, b"", 0
    for name, tensor in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [0])[0]):
        if name != "__metadata__":
            values = initial(name, tensor["shape"], config["n_layer"], random).astype("<f4")
            made[name] = {"dtype": "F32", "shape": tensor["shape"], "data_offsets": [len(data), len(data) + values.nbytes]}
            data += values.tobytes()
            parameters += values.size
    out.mkdir(parents=True)  # an error where it is there already
    for file in model.iterdir():
        if file.name not in ("model.safetensors", "README.md"):
            shutil.copy(file, out)
    text = json.dumps(made).encode()
    text += b" " * (-len(text) % 8)
    (out / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(f"{out}: {len(made)} tensors, {parameters} parameters")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
