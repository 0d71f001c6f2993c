"""Sequences that are shorter than tokens.sequence_length: what is recorded of one is what a run of its length records, and fill values beyond."""
import json
import math
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, contents, lamp, sets  # noqa: E402

sys.path.insert(0, str(ROOT / "notebooks"))
from lib import results  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
LENGTHS, LONGEST, PREFIX = (20, 7, 1, 12), 20, 9
RECORDED = ['grid."lamp.scores.rule"=["lamp", "random"]', 'grid."lamp.scores.tau"=[1.1]', 'grid."arithmetic.low.mu"=[3]',
            "arithmetic.low.rounding=SR", "lamp.scores.fallback.tolerance=0.1", "lamp.mlp_fc.rate=0.1", "lamp.mlp_fc.recompute=high",
            'record.errors=["scores", "mlp_fc"]', "record.detail=full", 'record.activations=["softmax", "resid_2"]', "record.selected=true",
            "record.concentration=true", "continuation.tokens=5"]


def lines():
    """Token ids, a list for each length."""
    random = np.random.default_rng(3)
    return [random.integers(0, 4095, n).tolist() for n in LENGTHS]


def run(folder, name, ids, length, sequences, *changes, check=True):
    file = folder / f"{name}.ids"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in ids))
    done = lamp("run", CONFIG, "--out", folder / name, "--quiet", "--threads", 1, check=check,
                *sets(*RECORDED, "tokens.source=ids", f'tokens.path="{file}"', f"tokens.sequence_length={length}", f"tokens.sequences={sequences}",
                      f"continuation.prefix={min(PREFIX, length)}", *changes))
    return folder / name / "result.h5" if check else done


def fill_of(path, dtype):
    if path == "metrics/flip_position":
        return 2
    return np.nan if dtype == np.float64 else -1 if dtype == np.int64 else 0  # 0: bits of selected/


class Lengths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.result = run(cls.scratch, "some", lines(), LONGEST, len(LENGTHS), "tokens.min_length=1")

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def test_each_sequence_is_that_of_a_run_of_its_length(self):
        compared, padded = 0, set()
        with h5py.File(self.result) as f:
            self.assertEqual(f["reference/length"][()].tolist(), list(LENGTHS))
            for s, ids in enumerate(lines()):  # draws depend on the number of the sequence
                alone = run(self.scratch, f"alone-{s}", [ids] * (s + 1), len(ids), s + 1)
                with h5py.File(alone) as g:
                    def compare(path, expected, s=s, g=g):
                        nonlocal compared
                        if not isinstance(expected, h5py.Dataset) or [d.label for d in expected.dims][:1] != ["sequence"] or path.endswith("_text"):
                            return
                        found, expected = f[path][s], expected[s]
                        if found.shape != expected.shape:
                            padded.add(path)
                            whole = np.full(found.shape, fill_of(path, found.dtype), found.dtype)
                            whole[tuple(slice(n) for n in expected.shape)] = expected
                            expected = whole
                        self.assertEqual((found.dtype, found.tobytes()), (expected.dtype, expected.tobytes()), f"{path}, sequence {s}")
                        compared += 1
                    g.visititems(compare)
                    self.assertEqual(f["continuations/prompt_text"][s], g["continuations/prompt_text"][s])
                    np.testing.assert_array_equal(f["continuations/run_text"][s], g["continuations/run_text"][s])
        self.assertGreater(compared, 4 * 60)
        self.assertEqual(padded & {"metrics/kl_position", "metrics/flip_position", "reference/tokens", "activations/softmax/run", "errors/scores/forward",
                                   "activations/resid_2/reference", "selected/scores"},
                         {"metrics/kl_position", "metrics/flip_position", "reference/tokens", "activations/softmax/run", "errors/scores/forward",
                          "activations/resid_2/reference", "selected/scores"})

    def test_what_stands_beyond_is_said(self):
        with h5py.File(self.result) as f:
            for name, words in (("metrics/kl_position", "NaN beyond"), ("metrics/flip_position", "none beyond"), ("reference/tokens", "-1 beyond"),
                                ("activations/softmax/run", "NaN beyond"), ("errors/mlp_fc/local", "NaN beyond"), ("selected/scores", "0 beyond")):
                self.assertTrue(f[name].attrs["long_name"].endswith(f"; {words} the sequence's length"), f[name].attrs["long_name"])
            self.assertEqual(f["metrics/flip_position"].attrs["flag_meanings"].split(), ["same", "flipped", "none"])

    def test_same_bits_in_parts_and_continued_and_verified(self):
        ids = self.scratch / "some.ids"
        more = sets(*RECORDED, "tokens.source=ids", f'tokens.path="{ids}"', f"tokens.sequence_length={LONGEST}", f"continuation.prefix={PREFIX}",
                    "tokens.min_length=1")
        for part in ("1/2", "2/2"):
            lamp("run", CONFIG, "--out", self.scratch / "parts", "--quiet", "--shard", part, *more, *sets("tokens.sequences=4"), check=False)
        lamp("merge", self.scratch / "parts")
        assert_same_bits(self.scratch / "parts/result.h5", self.result)
        lamp("run", CONFIG, "--out", self.scratch / "grown", "--quiet", "--shard", "1/2", *more, *sets("tokens.sequences=2"), check=False)
        lamp("merge", self.scratch / "grown", check=False)
        with h5py.File(self.scratch / "grown/result.h5") as f:
            self.assertEqual(f["reference/length"][()].tolist(), [20, -1])
            self.assertEqual(f["reference/tokens"][1].tolist(), [-1] * LONGEST)
        lamp("run", CONFIG, "--out", self.scratch / "grown", "--quiet", "--threads", 2, *more, *sets("tokens.sequences=4"))
        assert_same_bits(self.scratch / "grown/result.h5", self.result)
        lamp("verify", self.scratch / "grown", "--fraction", 1)

    def test_a_length_that_all_have_changes_nothing(self):
        full = [line * 20 for line in lines()]
        assert_same_bits(run(self.scratch, "said", full, LONGEST, 2, f"tokens.min_length={LONGEST}"), run(self.scratch, "unsaid", full, LONGEST, 2))
        self.assertNotIn("/reference/length", contents(self.scratch / "unsaid/result.h5"))
        refused = run(self.scratch, "some", lines(), LONGEST, len(LENGTHS), "tokens.min_length=2", check=False)
        self.assertEqual((refused.returncode, "ids; legal: at least tokens.offset + tokens.min_length = 2" in refused.stderr), (65, True), refused.stderr)

    def test_perplexity_is_that_of_all_predicted_tokens(self):
        with h5py.File(self.result) as f:
            each = f["reference/cross_entropy_position"][()]
            runs = f["metrics/cross_entropy_position"][()].reshape(len(LENGTHS), 2, LONGEST)
        expected = math.exp(math.fsum(each[~np.isnan(each)]) / (sum(LENGTHS) - len(LENGTHS)))
        highest = max(math.exp(math.fsum(x[~np.isnan(x)]) / (sum(LENGTHS) - len(LENGTHS))) for x in np.moveaxis(runs, 1, 0))
        told, = json.loads(lamp("inspect", self.result, "--json").stdout)["perplexity"]
        self.assertEqual(told["sequences"], sum(n > 1 for n in LENGTHS))
        np.testing.assert_allclose((told["reference"], told["highest"]), (expected, highest), rtol=1e-13)
        opened = results.open_result(self.result)
        self.assertIn(f"reference {expected:.4g}, runs", results.perplexity_words(opened))
        self.assertIn("4 sequences of 1 to 20 tokens", dict(results.head(opened))["tokens"])

    def test_the_notebooks_leave_out_what_is_beyond(self):
        from lib import any_result
        opened = any_result.open_any(self.result)
        for name in ("kl_position", "flip_position"):
            metric = opened.find(name)
            found = any_result.points(opened, metric, ["position"], {"lamp.scores.rule": 0, "lamp.scores.tau": 0, "arithmetic.low.mu": 0})
            with h5py.File(self.result) as f:
                values = f[f"metrics/{name}"][:, 0, 0, 0].astype(float)
            for position in range(LONGEST):
                there = [values[s, position] for s, n in enumerate(LENGTHS) if position < n]
                np.testing.assert_allclose(found.interval.mean[position], math.fsum(there) / len(there), rtol=1e-12)

    def test_a_text_that_ends_before(self):
        text = self.scratch / "prompt.txt"
        text.write_text("Once upon a time there was a small house by the sea")
        tokens = lamp("tokenize", ROOT / "data/models/gpt2-nano", input=text.read_text()).stdout.split()
        whole, rest = divmod(len(tokens), 8)
        self.assertTrue(whole >= 1 and rest >= 1, tokens)
        common = ("--set", f'tokens.path="{text}"', "--set", "tokens.sequence_length=8", "--set", f"tokens.sequences={whole + 1}",
                  "--set", "continuation.prefix=8", "--set", "continuation.tokens=3")
        lamp("run", CONFIG, "--out", self.scratch / "text", "--quiet", *common, "--set", f"tokens.min_length={rest}")
        with h5py.File(self.scratch / "text/result.h5") as f:
            self.assertEqual(f["reference/length"][()].tolist(), [8] * whole + [rest])
            ids = f["reference/tokens"][()].reshape(-1)
            self.assertEqual(ids[:len(tokens)].tolist(), [int(t) for t in tokens])
            self.assertEqual("".join(f["continuations/prompt_text"].asstr()[()]), text.read_text())
        refused = lamp("run", CONFIG, "--out", self.scratch / "more", *common, "--set", f"tokens.min_length={rest + 1}", check=False)
        self.assertEqual((refused.returncode, f"the last of tokens.min_length {rest + 1} or more; at most {whole} sequences fit" in refused.stderr),
                         (65, True), refused.stderr)
        plan = lamp("plan", CONFIG, *common, "--set", f"tokens.min_length={rest}").stdout
        self.assertIn(f"sequences of {rest} to 8 (each counted as 8) in all", plan)


if __name__ == "__main__":
    unittest.main()
