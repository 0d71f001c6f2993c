"""lamp.Model against the program: passes against the activations of a run, bit by bit; tokens; continuations.

The run is made by lamp.run, and read by lamp.open.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import h5py
import lamp
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[3]
NANO = ROOT / "data/models/gpt2-nano"
TEXT = ROOT / "data/texts/prose.txt"
SITES = ["embed", "scores", "softmax", "values", "resid_1", "gelu", "resid_2", "logits"]
LOW = {"format": "ps7", "via": "binary32", "rounding": "SR"}
T = 32


def same_bits(x, y):
    x, y = numpy.asarray(x, float), numpy.asarray(y, float)
    return x.shape == y.shape and bool(numpy.all((numpy.isnan(x) & numpy.isnan(y)) | (x.view(numpy.uint64) == y.view(numpy.uint64))))


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.model = lamp.Model(NANO)
        low = lamp.Arithmetic(LOW)
        os.chdir(ROOT)
        cls.path = lamp.run({
            "title": "from python", "seed": 7, "model": {"path": NANO}, "tokens": {"path": TEXT, "sequence_length": T, "sequences": 2},
            "arithmetic": {"low": low, "high": {"format": lamp.Format("binary32")}},
            "plan": {"default": "high", "scores": "low", "layer.1.values": "low"},
            "lamp": {"scores": {"rule": "random", "tau": 1.3, "recompute": "high"}},
            "store": {"resid_2": "bfloat16"},
            "grid": {"arithmetic.low.format": ["ps7", "ps3"], "lamp.scores.tau": [1.3]},
            "record": {"activations": SITES, "selected": True},
            "continuation": {"prefix": 8, "tokens": 6},
        }, out=cls.folder.name + "/run", threads=1, progress=False)
        cls.result = lamp.open(cls.path)
        cls.plan = {"default": {"format": "binary32"}, "scores": low, "layer.1.values": low}
        selection = {"rule": "random", "tau": 1.3, "recompute": "binary32"}
        cls.more = {"lamp": {"scores": selection}, "store": {"resid_2": "bfloat16"}, "seed": 7}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def pass_over(self, sequence, taps, **more):
        tokens = self.result.reference.tokens.values.reshape(2, T)[sequence]
        return self.model.forward(tokens, self.plan, taps, sequence=sequence, **{**self.more, **more})

    def test_a_pass_has_the_bits_of_a_run(self):
        for sequence in (0, 1):
            found = self.pass_over(sequence, SITES + ["scores.selected"], threads=2)
            for site in SITES:
                kept = self.result.activations[site].run.sel(arithmetic_low_format="ps7", lamp_scores_tau=1.3).isel(sequence=sequence)
                ours = found[site]
                if site in ("scores", "softmax"):
                    lower = numpy.tril(numpy.ones((T, T), bool))
                    self.assertTrue(numpy.isnan(ours[..., ~lower]).all(), "entries that do not exist")
                    self.assertFalse(numpy.isnan(ours[..., lower]).any())
                    self.assertTrue(same_bits(ours[..., lower], kept.values.reshape(ours.shape)[..., lower]), site)
                else:
                    self.assertTrue(same_bits(ours, kept.values.reshape(ours.shape)), site)
            bits = numpy.unpackbits(self.result.selected.scores.sel(arithmetic_low_format="ps7",
            lamp_scores_tau=1.3).isel(sequence=sequence).values,
                                    axis=-1, bitorder="little")[..., :T]
            self.assertTrue(numpy.array_equal(found["scores.selected"], bits.reshape(found["scores.selected"].shape).astype(bool)))
            self.assertTrue(found["scores.selected"].any())
            self.assertIs(found.scores_selected, found["scores.selected"])
        other = self.pass_over(0, ["scores"], seed=8)
        self.assertFalse(same_bits(other.scores, self.pass_over(0, ["scores"]).scores))

    def test_the_last_logits_alone(self):
        whole, last = self.pass_over(0, []), self.pass_over(0, [], first_logits=T - 1)
        self.assertEqual(last.logits.shape, (1, self.model.vocab_size))
        self.assertTrue(same_bits(last.logits, whole.logits[-1:]))

    def test_continuations(self):
        runs = self.result.continuations.run.sel(arithmetic_low_format="ps7")
        for sequence in (0, 1):
            prefix = self.result.reference.tokens.values.reshape(2, T)[sequence][:8]
            ours = self.model.generate(prefix, 6, self.plan, sequence=sequence, **self.more)
            self.assertEqual(ours.tolist(), runs.isel(sequence=sequence).values.ravel().tolist())

    def test_tokens(self):
        text = "Once upon a time, \u00e9t\u00e9 <|endoftext|> 12"
        done = subprocess.run([os.environ["LAMP_BINARY"], "tokenize", NANO], input=text, capture_output=True, text=True, check=True)
        self.assertEqual(self.model.tokenize(text).tolist(), [int(word) for word in done.stdout.split()])
        self.assertEqual(self.model.detokenize(self.model.tokenize(text)), text)
        self.assertLess(len(self.model.tokenize(text, special=True)), len(self.model.tokenize(text)))

    def test_weights_that_are_stored(self):
        tokens = [1, 2, 3]
        plain = self.model.forward(tokens, "binary32").logits
        stored = self.model.forward(tokens, "binary32", store={"weights": "e4m3fn"}).logits
        self.assertFalse(same_bits(plain, stored))
        self.assertTrue(same_bits(plain, self.model.forward(tokens, lamp.Arithmetic(format="binary32")).logits))

    def test_what_is_refused(self):
        for call, error, words in (
                (lambda: lamp.Model("/nowhere"), FileNotFoundError, "/nowhere"),
                (lambda: lamp.Model(TEXT.parent), FileNotFoundError, "config.json"),
                (lambda: self.model.forward([], "binary32"), ValueError, "legal: at least 1"),
                (lambda: self.model.forward([10**6], "binary32"), ValueError, "element 0 is 1000000; legal: 0 to"),
                (lambda: self.model.forward([1.5], "binary32"), TypeError, "legal: integers"),
                (lambda: self.model.forward([[1]], "binary32"), ValueError, "legal: .T,."),
                (lambda: self.model.forward([1] * 5000, "binary32"), ValueError, "n_positions"),
                (lambda: self.model.forward([1], "binary32", taps="skores"), ValueError, "taps: skores .*legal: embed"),
                (lambda: self.model.forward([1], "binary32", taps=["scores.selected"]), ValueError, "SITE.selected"),
                (lambda: self.model.forward([1], {"default": "binary32", "skores": LOW}), ValueError, "scores"),
                (lambda: self.model.forward([1], {"default": "binary33"}), ValueError, "binary33"),
                (lambda: self.model.forward([1], {"default": "binary32", "layer.99.scores": "ps7"}), ValueError, "layer"),
                (lambda: self.model.forward([1], "binary32", lamp={"scores": {"tau": -1, "recompute": "binary32"}}), ValueError, "tau"),
                (lambda: self.model.forward([1], "binary32", first_logits=1), ValueError, "first_logits is 1; legal: 0 to 0"),
                (lambda: self.model.generate([1], 10**6, "binary32"), ValueError, "to come"),
                (lambda: lamp.run({"title": "x"}), ValueError, "model.path|arithmetic|required|missing"),
                (lambda: lamp.run("/nowhere.toml"), FileNotFoundError, "/nowhere.toml"),
                (lambda: lamp.open("/nowhere.h5"), FileNotFoundError, "/nowhere.h5"),
                (lambda: lamp.open(TEXT), OSError, "no file of results"),
                (lambda: self.result.metriks, AttributeError, "legal: .*metrics")):
            with self.assertRaisesRegex(error, words):
                call()

    def test_names_with_dots_and_without(self):
        metrics = self.result.metrics
        self.assertEqual(metrics.kl.dims, ("sequence", "arithmetic_low_format", "lamp_scores_tau"))
        self.assertEqual(metrics.kl["arithmetic.low.format"].values.tolist(), ["ps7", "ps3"])
        low, high = (metrics.kl.sel(arithmetic_low_format=name) for name in ("ps3", "ps7"))
        self.assertFalse(same_bits(low.values, high.values))
        self.assertTrue(same_bits((metrics.kl - metrics.kl).values, numpy.zeros(metrics.kl.shape)))
        self.assertTrue(same_bits(low.values, h5py.File(self.path)["metrics/kl"][:, 1]))
        self.assertTrue(same_bits(self.result["metrics/kl"].values, metrics.kl.values))
        self.assertIn("from python", self.result.config)

    def test_the_bar(self):
        """On a terminal of its own, the program draws one; Python hands it on."""
        code = ("import lamp, sys; sys.stderr = sys.stdout\n"
                "changes = {'tokens.sequences': 1, 'grid': {'arithmetic.low.mu': [2]}}\n"
                "lamp.run('tests/experiments/nano.toml', out=sys.argv[1], set=changes)")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, "-c", code, folder + "/run"], capture_output=True, text=True, cwd=ROOT)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"\[#+\] 2/2 cells")


if __name__ == "__main__":
    unittest.main(verbosity=1)
