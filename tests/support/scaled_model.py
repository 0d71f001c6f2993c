"""A model that differs from another in the weights of one matrix."""
import json
import shutil
import struct

import numpy as np


def scaled_copy(model, folder):
    """The model with other weights of one matrix."""
    shutil.copytree(model, folder)
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    start = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:start])
    begin, end = next(t["data_offsets"] for name, t in header.items() if name.endswith("h.0.mlp.c_fc.weight"))
    weights = np.frombuffer(bytes(content[start + begin:start + end]), np.float32) * np.float32(0.75)
    content[start + begin:start + end] = weights.tobytes()
    file.write_bytes(content)
