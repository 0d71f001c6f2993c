"""Greedy continuations end to end: against the logits of whole passes over the same tokens, and what a run may not depend on."""
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, differences, lamp, sets  # noqa: E402

sys.path.insert(0, str(ROOT / "notebooks"))
from lib import results  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
PREFIX, TOKENS = 12, 20
SMALL = ["tokens.sequence_length=16", "reference.arithmetic=high", 'grid."lamp.scores.rule"=["lamp", "random-full-row"]',
         'grid."lamp.scores.tau"=[1.3]', 'grid."arithmetic.low.mu"=[2, 23]', "plan.values=low"]
CONTINUED = [f"continuation.prefix={PREFIX}", f"continuation.tokens={TOKENS}"]
STOCHASTIC = ["arithmetic.low.rounding=SR", 'grid."arithmetic.low.mu"=[2]']


TEXTS = ("prompt_text", "reference_text", "run_text")
NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def byte_of_character():
    """GPT-2 writes each byte of a token as a character: the printable ones as themselves, the others from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def spelled(ids):
    """What the ids say, by vocab.json alone: up to the first -1; each byte that is no UTF-8, and NUL, is U+FFFD."""
    tokens = {id: token for token, id in json.loads((ROOT / "data/models/gpt2-nano/vocab.json").read_text()).items()}
    byte_of, ids = byte_of_character(), [int(id) for id in ids]
    whole = b"".join(tokens[id].encode() if tokens[id] == "<|endoftext|>" else bytes(byte_of[c] for c in tokens[id])
                     for id in ids[:ids.index(-1) if -1 in ids else None])
    return re.sub("[\udc80-\udcff\0]", NO_CHARACTER, whole.decode("utf-8", "surrogateescape"))


class Continuation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        cls.whole = cls.run_lamp("whole", *CONTINUED)

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    @classmethod
    def run_lamp(cls, name, *changes, threads=1, more=()):
        lamp("run", CONFIG, "--out", cls.scratch / name, "--quiet", "--threads", threads, *sets(*SMALL, *changes), *more)
        return cls.scratch / name / "result.h5"

    def read(self, result):
        with h5py.File(result) as f:
            return (f["metrics/divergence_position"][()], f["continuations/run"][()], f["continuations/reference"][()],
                    f["reference/tokens"][()])

    def test_the_position_is_the_first_difference_of_the_tokens(self):
        position, run, reference, _ = self.read(self.whole)
        self.assertEqual(position.shape, (2, 2, 2, 1, 2))
        self.assertEqual(run.shape, (*position.shape, TOKENS))
        self.assertEqual(reference.shape, (2, 2, TOKENS))
        for index in np.ndindex(position.shape):
            differ = np.flatnonzero(run[index] != reference[index[:2]])
            self.assertEqual(position[index], differ[0] if len(differ) else TOKENS)
        self.assertTrue((position[:, :, 0] < TOKENS).any(), "ps2 never diverges")

    def texts(self, result):
        with h5py.File(result) as f:
            return [f[f"continuations/{name}"].asstr()[()] for name in TEXTS]

    def test_the_texts_are_what_the_ids_say(self):
        _, run, reference, tokens = self.read(self.whole)
        for found, ids in zip(self.texts(self.whole), (tokens[..., :PREFIX], reference, run)):
            self.assertEqual(found.shape, ids.shape[:-1])
            for index in np.ndindex(found.shape):
                self.assertEqual(found[index], spelled(ids[index]))
        with h5py.File(self.whole) as f:
            for name in TEXTS:
                dims = [dim.label for dim in f[f"continuations/{name}"].dims]
                self.assertEqual(dims + ["position"], [dim.label for dim in f[f"continuations/{name.split('_')[0]}"].dims]
                                 if name != "prompt_text" else ["text", "sequence", "position"])

    def test_bytes_that_are_no_text_and_models_without_a_vocabulary(self):
        ids = self.scratch / "odd.ids"
        # NUL; two bytes of a character of three, and a letter; NUL; a byte that continues none; an end of text and letters.
        ids.write_text(json.dumps([188, 158, 224, 64, 188, 224, 4095, 65, 66, 67, 68, 69]))
        change = ("tokens.source=ids", f'tokens.path="{ids}"', "tokens.sequences=1", "tokens.sequence_length=12")
        prompt, *_ = self.texts(self.run_lamp("odd", *CONTINUED, *change))
        self.assertEqual(prompt.tolist(), [spelled(json.loads(ids.read_text()))])
        self.assertEqual((prompt[0].count(NO_CHARACTER), prompt[0][-5:]), (5, "bcdef"))
        bare = shutil.copytree(ROOT / "data/models/gpt2-nano", self.scratch / "bare", ignore=shutil.ignore_patterns("vocab.json", "merges.txt"))
        without = self.run_lamp("without-vocabulary", *CONTINUED, *change, f'model.path="{bare}"')
        self.assertEqual({path.split("@")[0] for path in differences(without, self.scratch / "odd/result.h5")},
                         {f"/continuations/{name}" for name in TEXTS})

    def test_the_references_own_arithmetic_never_diverges(self):
        position, run, reference, _ = self.read(self.run_lamp("own", *CONTINUED, "plan.scores=high", "plan.values=high"))
        self.assertTrue((position == TOKENS).all())
        self.assertTrue((run == reference[:, :, None, None, None]).all())

    def teacher_forced(self, name, *changes):
        """Tokens of a continued run, and the argmax of the recorded logits of whole passes over prefix and continuation, cell by cell."""
        _, run, reference, tokens = self.read(self.run_lamp(name, *CONTINUED, *changes, "tokens.sequences=1"))
        with h5py.File(self.scratch / name / "result.h5") as f:
            mus = f["metrics/arithmetic.low.mu"][()]
        for text, mu, rule in np.ndindex(2, len(mus), 2):
            generated = run[text, 0, mu, 0, rule]
            ids = self.scratch / f"{name}-{text}-{mu}-{rule}.ids"
            ids.write_text(json.dumps([*map(int, tokens[text, 0, :PREFIX]), *map(int, generated)]))
            forced = self.run_lamp(ids.stem, *changes, "tokens.source=ids", f'tokens.path="{ids}"', "tokens.sequences=1",
                                   f"tokens.sequence_length={PREFIX + TOKENS}", 'record.activations=["logits"]')
            with h5py.File(forced) as f:
                logits = f["activations/logits/run"][0, mu, 0, rule]
            yield generated, logits.argmax(-1)[PREFIX - 1:-1]

    def test_teacher_forcing_gives_the_same_tokens(self):
        for changes in ((), STOCHASTIC):
            for generated, forced in self.teacher_forced("forced" + str(len(changes)), *changes):
                np.testing.assert_array_equal(generated, forced)

    def test_other_draws_generate_other_tokens(self):
        seeds = [self.read(self.run_lamp(f"seed{seed}", *CONTINUED, *STOCHASTIC, f"seed={seed}"))[1] for seed in (7, 8)]
        self.assertFalse(np.array_equal(*seeds))

    def test_same_bits_for_threads_parts_and_resumed_runs(self):
        assert_same_bits(self.run_lamp("threads", *CONTINUED, threads=2), self.whole)
        for part in ("1/2", "2/2"):
            lamp("run", CONFIG, "--out", self.scratch / "parts", "--quiet", "--shard", part, *sets(*SMALL, *CONTINUED), check=False)
        lamp("merge", self.scratch / "parts")
        assert_same_bits(self.scratch / "parts/result.h5", self.whole)
        self.run_lamp("grown", *CONTINUED, 'grid."arithmetic.low.mu"=[23]', "tokens.sequences=1")
        assert_same_bits(self.run_lamp("grown", *CONTINUED), self.whole)
        lamp("verify", self.scratch / "grown", "--fraction", 1)

    def test_an_unfinished_run_holds_no_tokens(self):
        lamp("run", CONFIG, "--out", self.scratch / "half", "--quiet", "--shard", "1/2", *sets(*SMALL, *CONTINUED), check=False)
        lamp("merge", self.scratch / "half", check=False)
        position, run, reference, tokens = self.read(self.scratch / "half/result.h5")
        self.assertTrue(np.isfinite(position[:, 0]).all() and (run[:, 0] >= 0).all() and (reference[:, 0] >= 0).all())
        self.assertTrue(np.isnan(position[:, 1]).all() and (run[:, 1] == -1).all() and (reference[:, 1] == -1).all())
        self.assertTrue((tokens[:, 0] >= 0).all() and (tokens[:, 1] == -1).all())
        for ids in (run, reference, tokens):
            self.assertEqual(ids.dtype, np.int64)
        for text in self.texts(self.scratch / "half/result.h5"):
            self.assertTrue((text[:, 0] != "").all() and (text[:, 1] == "").all())

    def test_nothing_else_changes(self):
        without = self.run_lamp("without")
        new = {path.split("@")[0] for path in differences(self.whole, without)} - {"/"}  # the experiment's identity
        self.assertEqual(new, {"/metrics/divergence_position", "/continuations", "/continuations/run", "/continuations/reference",
                               *(f"/continuations/{name}" for name in TEXTS),
                               *(f"/continuations/{scale}" for scale in ("text", "sequence", "arithmetic.low.mu", "lamp.scores.tau",
                                                                         "lamp.scores.rule", "position"))})

    def test_the_notebooks_read_them(self):
        position, run, reference, _ = self.read(self.whole)
        found = results.open_continuations(results.open_result(self.whole))
        self.assertEqual(found.divergence_position.dims, ("text", "sequence", "mu", "tau", "rule"))
        np.testing.assert_array_equal(found.divergence_position.values, position)
        np.testing.assert_array_equal(found.run.transpose(..., "position").values, run)
        np.testing.assert_array_equal(found.reference.values, reference)
        self.assertIsNone(results.open_continuations(results.open_result(self.run_lamp("without"))))

    def test_other_lengths_are_another_experiment(self):
        for change in ((), ("continuation.prefix=11", CONTINUED[1]), (CONTINUED[0], "continuation.tokens=21")):
            refused = lamp("run", CONFIG, "--out", self.scratch / "whole", "--quiet", *sets(*SMALL, *change), check=False)
            self.assertEqual(refused.returncode, 73, refused.stderr)

    def test_a_nan_logit_ends_the_text_and_differs(self):
        broken = '{p = 4, emin = -40, emax = -30, infinities = false, top_codes_lost = 1, overflow = "nan"}'
        position, run, reference, _ = self.read(self.run_lamp("nan", *CONTINUED, "plan.ln_f=broken", f"arithmetic.broken.format={broken}"))
        self.assertTrue((position == 0).all() and (run == -1).all() and (reference >= 0).all())
        self.assertTrue((self.texts(self.scratch / "nan/result.h5")[2] == "").all())
        found = results.open_continuations(results.open_result(self.scratch / "nan/result.h5"))
        self.assertTrue(np.isnan(found.run).all(), "no token is like no other")


if __name__ == "__main__":
    unittest.main()
