"""A GGUF as a model: the bits of the folder with the same weights in binary32, for GPT-2 and Llama and all types; tokenizer; inspect."""
import json
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import gguf_files  # noqa: E402
from results import lamp  # noqa: E402

RUN = """schema_version = 1
title = "gguf"
[tokens]
source = "ids"
path = "tokens.txt"
sequence_length = 12
sequences = 1
[arithmetic.single]
format = "binary32"
[plan]
default = "single"
[record]
activations = ["logits"]
[grid]
"""


def write_folder(folder, config, weights):
    """A published folder with the weights in binary32."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    header, data = {}, b""
    for name, x in weights.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)


class GgufModels(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def logits(self, *models):
        """Of each, from one run."""
        (self.folder / "tokens.txt").write_text("[5, 1, 30, 8, 8, 2, 39, 17, 0, 21, 3, 11]\n")
        (self.folder / "study.toml").write_text(RUN + f'"model.path" = {json.dumps(models)}\n')
        lamp("run", self.folder / "study.toml", "--out", self.folder / "out", "--threads", "1", "--quiet")
        with h5py.File(self.folder / "out/result.h5") as f:
            recorded = f["activations/logits/run"]
            return np.moveaxis(recorded[()], [dim.label for dim in recorded.dims].index("model.path"), 0)

    def inspect(self, path):
        return json.loads(lamp("inspect", path, "--json").stdout)

    def test_gpt2(self):
        metadata, tensors, weights = gguf_files.gpt2(np.random.default_rng(3))
        (self.folder / "small.gguf").write_bytes(gguf_files.gguf(metadata, tensors, version=2, alignment=32))
        (self.folder / "inside").mkdir()
        aligned = metadata | {"general.alignment": ("u32", 128)}
        (self.folder / "inside/any-name.gguf").write_bytes(gguf_files.gguf(aligned, tensors, alignment=128))
        config = {"model_type": "gpt2", "vocab_size": 40, "n_positions": 24, "n_embd": 256, "n_layer": 2, "n_head": 4, "eos_token_id": 39}
        write_folder(self.folder / "published", config, weights)
        of_file, of_folder, published = self.logits("small.gguf", "inside", "published")
        self.assertGreater(np.ptp(published), 0.1)
        self.assertEqual(of_file.tobytes(), published.tobytes())
        self.assertEqual(of_folder.tobytes(), published.tobytes())
        told, expected = self.inspect(self.folder / "small.gguf"), self.inspect(self.folder / "published")
        self.assertNotEqual(told.pop("content"), expected.pop("content"))  # other bytes
        self.assertEqual(told | {"tokenizer": None}, expected)
        self.assertNotEqual(self.inspect(self.folder / "inside")["content"], self.inspect(self.folder / "small.gguf")["content"])

    def test_llama(self):
        for vectors, matrices in (("Q8_0", "Q4_1"), ("F16", "Q4_0"), ("BF16", "Q8_0")):
            metadata, tensors, weights = gguf_files.llama(np.random.default_rng(4), vectors=vectors, matrices=matrices)
            name = f"{vectors}-{matrices}"
            (self.folder / f"{name}.gguf").write_bytes(gguf_files.gguf(metadata, tensors))
            config = {"model_type": "llama", "vocab_size": 262, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                      "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
                      "rope_theta": 1e5, "tie_word_embeddings": True, "eos_token_id": 2}
            write_folder(self.folder / name, config, weights)
        names = [name for vectors, matrices in (("Q8_0", "Q4_1"), ("F16", "Q4_0"), ("BF16", "Q8_0"))
                 for name in (f"{vectors}-{matrices}.gguf", f"{vectors}-{matrices}")]
        found = self.logits(*names)
        for i in range(0, len(names), 2):
            self.assertEqual(found[i].tobytes(), found[i + 1].tobytes(), names[i])
            self.assertNotEqual(found[i].tobytes(), found[i - 1].tobytes(), names[i])
        told = self.inspect(self.folder / "Q8_0-Q4_1.gguf")
        self.assertEqual(told["tokenizer"]["vocab_size"], 262)
        ids = lamp("tokenize", self.folder / "Q8_0-Q4_1.gguf", input="abcd 12").stdout.split()
        tokens = metadata["tokenizer.ggml.tokens"][1]
        self.assertEqual([tokens[int(i)] for i in ids], ["abcd", "\u0120", "1", "2"])

    def test_what_is_wrong_is_one_line(self):
        metadata, tensors, _ = gguf_files.gpt2(np.random.default_rng(3), width=256, layers=1)
        whole = gguf_files.gguf(metadata, tensors)
        for content, words in [(whole[:-2000], "within the"), (whole[:700], "legal"), (b"", "within its header"),
                               (gguf_files.gguf(metadata | {"general.architecture": ("str", "phi3")}, tensors), "legal: gpt2, llama"),
                               (gguf_files.gguf(metadata | {"gpt2.attention.head_count": ("u32", 3)}, tensors), "n_embd is 256")]:
            (self.folder / "x.gguf").write_bytes(content)
            done = lamp("inspect", self.folder / "x.gguf", check=False)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (65, "", 1), done.stderr)
            self.assertIn(words, done.stderr)
        self.assertEqual(lamp("inspect", self.folder / "none.gguf", check=False).returncode, 66)


if __name__ == "__main__":
    unittest.main()
