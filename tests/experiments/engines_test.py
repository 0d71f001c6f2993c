"""Matrix engines at every matrix product of the model, through configs: the same bits from every instruction set and number of threads."""
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
PRODUCTS = ["qkv", "scores", "values", "attn_proj", "mlp_fc", "mlp_proj", "logits"]
SMALL = ["tokens.sequences=1", 'grid."lamp.scores.rule"=["none"]', 'grid."arithmetic.low.mu"=[4]', 'grid."lamp.scores.tau"=[1.5]',
         'record.activations=["values", "logits"]', *[f"plan.{site}=gpu" for site in PRODUCTS]]


def run(out, *sets, **options):
    words = [word for value in [*SMALL, *sets] for word in ("--set", value)]
    lamp("run", CONFIG, "--out", out, "--quiet", *[word for key, value in options.items() for word in (f"--{key}", value)], *words)
    with h5py.File(out / "result.h5") as f:
        return f["activations/logits/run"][()], f["metrics/kl"][()]


class Engines(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = pathlib.Path(folder.name)

    def test_same_bits_from_every_instruction_set_and_number_of_threads(self):
        sets = ["tokens.sequence_length=5", "arithmetic.gpu.engine=h100", 'grid."arithmetic.gpu.operands"=["binary16", "bfloat16", "e5m2"]']
        run(self.scratch / "one", *sets, threads=1)
        run(self.scratch / "two", *sets, threads=2)
        assert_same_bits(self.scratch / "one/result.h5", self.scratch / "two/result.h5")
        flags = pathlib.Path("/proc/cpuinfo").read_text()
        for target in ("scalar", *[name for name, flag in (("avx2", " avx2 "), ("avx512", " avx512dq ")) if flag in flags]):
            with mock.patch.dict(os.environ, LAMP_TARGET=target):
                run(self.scratch / target, *sets, threads=2)
            assert_same_bits(self.scratch / "one/result.h5", self.scratch / f"{target}/result.h5")

    def test_engines_differ_as_their_arithmetic_does(self):
        def engine(name, operands="binary16", form="binary32"):
            return run(self.scratch / f"{name}-{operands}-{form}", "tokens.sequence_length=48", f"arithmetic.gpu.engine={name}",
                       f"arithmetic.gpu.operands={operands}", f"arithmetic.gpu.format={form}")

        volta, _ = engine("v100")
        ampere, _ = engine("a100")
        hopper, kl = engine("h100")
        self.assertTrue((volta != ampere).any() and (ampere != hopper).any())
        np.testing.assert_array_equal(hopper, engine("h200")[0])
        np.testing.assert_array_equal(ampere, engine("ada")[0])
        self.assertTrue((0 < kl).all() and (kl < 1e-4).all(), kl)
        for operands, form in (("bfloat16", "binary32"), ("e4m3fn", "binary32"), ("e5m2", "binary32"), ("e5m2", "binary16")):
            coarse = engine("h100", operands, form)[1]
            self.assertTrue((coarse > kl).all(), f"{operands} to {form}: {coarse}")


if __name__ == "__main__":
    unittest.main()
