"""experiments/pytorch/check.py on a real PyTorch pass of gpt2-nano: it agrees, and every planted difference is found where it is."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

NANO = ROOT / "data/models/gpt2-nano"
GOLDEN = ROOT / "tests/golden/gpt2-nano/pytorch.h5"  # made by experiments/pytorch/export.py


def check(model, activations, *arguments):
    command = ["/usr/bin/python3", ROOT / "experiments/pytorch/check.py", model, activations, *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


class PyTorch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "activations.h5"

    def changed(self, change):
        """A copy of the golden file whose arrays `change` has edited."""
        with h5py.File(GOLDEN) as f:
            arrays = {name: f[name][()] for name in f}
        change(arrays)
        with h5py.File(self.path, "w") as f:
            for name, value in arrays.items():
                f[name] = value
        return self.path

    def refused(self, code, word, activations, *arguments):
        done = check(NANO, activations, *arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def differs_first_at(self, words, activations, *arguments):
        done = check(NANO, activations, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(f"differs, first at {words}:", done.stdout)

    def test_agrees_at_every_site(self):
        done = check(NANO, GOLDEN)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = [line.split() for line in done.stdout.splitlines()[1:-1]]
        self.assertEqual(len(rows), 1 + 4 * 12 + 2)
        self.assertEqual([row[0] for row in rows[:14]], ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2",
                                                         "mlp_fc", "gelu", "mlp_proj", "resid_2", "ln_1"])

    def test_another_definition_is_found_where_it_is(self):
        self.differs_first_at("gelu of layer 0", GOLDEN, "--set", "model.activation=gelu")

        def coarse(arrays):
            arrays["ln_1"][2] *= 1 + 2.0**-17
        self.differs_first_at("ln_1 of layer 2", self.changed(coarse))

        def exchange_heads(arrays):
            arrays["scores"][1] = arrays["scores"][1, ::-1].copy()
        self.differs_first_at("scores of layer 1", self.changed(exchange_heads))

        def one_nan(arrays):
            arrays["logits"][3, 7] = np.nan
        self.differs_first_at("logits", self.changed(one_nan))

    def test_any_subset_of_sites_and_layers(self):
        def few(arrays):
            for name in set(arrays) - {"tokens", "qkv", "logits"}:
                del arrays[name]
            arrays["qkv"][[0, 2]] = np.nan
        done = check(NANO, self.changed(few))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[:2] for line in done.stdout.splitlines()[1:3]], [["qkv", "1"], ["qkv", "3"]])
        self.assertEqual(len(done.stdout.splitlines()), 5)

    def test_ids_of_the_text(self):
        with h5py.File(GOLDEN) as f:
            ids = " ".join(str(i) for i in f["tokens"][()])
        text = lamp("tokenize", NANO, "--decode", input=ids).stdout

        def with_text(words):
            def change(arrays):
                for name in set(arrays) - {"tokens", "embed"}:
                    del arrays[name]
                arrays["text"] = words
            return check(NANO, self.changed(change))
        done = with_text(text + " and what comes after")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("tokens: lamp's tokenizer gives the same ids for the text\n", done.stdout)
        for words in ("X" + text, text[: len(text) // 2]):
            done = with_text(words)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn("tokens: differ, first at place", done.stdout)

    def test_bad_files(self):
        self.refused(66, "no such file", self.path)
        self.refused(65, "not an HDF5 file", ROOT / "README.md")
        self.refused(65, "/tokens", self.changed(lambda a: a.pop("tokens")))
        self.refused(65, "/score is no site", self.changed(lambda a: a.update(score=a["scores"])))
        self.refused(65, "float64", self.changed(lambda a: a.update(qkv=a["qkv"].astype(float))))
        self.refused(65, "needs (4, 16, 384)", self.changed(lambda a: a.update(qkv=a["qkv"][:, :, 1:])))
        self.refused(65, "5000", self.changed(lambda a: a.update(tokens=a["tokens"] + 5000 - a["tokens"][0])))
        self.refused(2, "keys of [model]", GOLDEN, "--set", "arithmetic.single.format=ps7")
        self.refused(65, "acivation", GOLDEN, "--set", "model.acivation=gelu")


if __name__ == "__main__":
    unittest.main()
