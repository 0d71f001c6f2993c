"""The reference mpfr:N of a run: bits of its numbers, threads, continuation, local errors, plan, identities."""
import json
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2", "ln_f",
         "logits"]
NAMES = "[" + ", ".join(f'"{site}"' for site in SITES) + "]"
SMALL = ["tokens.sequences=1", "tokens.sequence_length=5",
         f'tokens.path={ROOT / "data/texts/prose.txt"}', "arithmetic.high.format=binary64",
         'grid."lamp.scores.rule"=["none"]', 'grid."arithmetic.low.mu"=[4]', 'grid."lamp.scores.tau"=[1.5]',
         f"record.activations={NAMES}", f"record.errors={NAMES}"]


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.folder.name)
        cls.wide = cls.run_lamp("wide", "mpfr:120")
        cls.binary64 = cls.run_lamp("binary64", "binary64")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_lamp(cls, name, reference, *sets, threads=1):
        arguments = [word for value in (*SMALL, f"reference.arithmetic={reference}", *sets) for word in ("--set", value)]
        lamp("run", CONFIG, "--out", cls.scratch / name, "--quiet", "--threads", threads, *arguments)
        return cls.scratch / name / "result.h5"

    def test_values_are_binary64s_up_to_its_roundings(self):
        with h5py.File(self.wide) as wide, h5py.File(self.binary64) as narrow:
            for site in SITES:
                x, y = (f[f"activations/{site}/reference"][()] for f in (wide, narrow))
                self.assertTrue((np.isnan(x) == np.isnan(y)).all(), site)
                # the network's condition, at most 2^10 here, times 2^-53 and the largest value
                self.assertLessEqual(np.nanmax(np.abs(x - y)), 2.0**-43 * np.nanmax(np.abs(y)), site)
                # ends that differ: binary64's own roundings, of which the first additions have none
                self.assertEqual(bool(np.nanmax(np.abs(x - y)) > 0), site != "embed", site)

    def test_local_errors_are_those_of_binary64(self):
        with h5py.File(self.wide) as f:
            for site in SITES:
                if site in ("scores", "embed"):
                    continue
                u = f[f"errors/{site}/local_max_u"][()]
                self.assertTrue(np.isfinite(u).all(), site)
                # one rounding is the reference's own, to binary64; GELU's bound is 0.7 ulp, 1.4 u, and half an ulp of the reference's
                self.assertEqual(bool((u > 0).any()), site not in ("resid_1", "resid_2"), site)
                if site == "gelu":
                    self.assertLessEqual(u.max(), 2.0, site)

    def test_threads_do_not_matter_and_bits_do(self):
        assert_same_bits(self.run_lamp("threads", "mpfr:120", threads=3), self.wide)
        with h5py.File(self.wide) as wide, h5py.File(self.run_lamp("few", "mpfr:20")) as few:
            self.assertTrue((few["metrics/kl"][()] != wide["metrics/kl"][()]).all())
            x, y = (f["activations/logits/reference"][()] for f in (wide, few))
            self.assertGreater(np.abs(x - y).max(), 1e-6)

    def test_continuation_is_that_of_the_values(self):
        sets = ["continuation.prefix=3", "continuation.tokens=6", "record.activations=[]", "record.errors=[]"]
        with h5py.File(self.run_lamp("on", "mpfr:80", *sets)) as wide, h5py.File(self.run_lamp("on64", "binary64", *sets)) as narrow:
            np.testing.assert_array_equal(wide["continuations/reference"][()], narrow["continuations/reference"][()])
            self.assertEqual(wide["continuations/reference"].shape[-1], 6)

    def test_plan_tells_its_time(self):
        def plan(reference, *arguments):
            sets = [word for value in (*SMALL, f"reference.arithmetic={reference}") for word in ("--set", value)]
            return lamp("plan", CONFIG, *sets, *arguments).stdout
        few, many, narrow = (json.loads(plan(r, "--json")) for r in ("mpfr:64", "mpfr:4000", "binary64"))
        self.assertGreater(few["seconds"]["reference"], 20 * narrow["seconds"]["reference"])
        self.assertGreater(many["seconds"]["reference"], 4 * few["seconds"]["reference"])
        self.assertGreater(many["memory"]["reference"], few["memory"]["reference"])
        self.assertIn("reference   mpfr:64 takes about", plan("mpfr:64"))
        self.assertNotIn("too long", plan("mpfr:64"))
        long = lamp("plan", CONFIG, "--set", "reference.arithmetic=mpfr:10000", "--set", "tokens.sequence_length=250", "--set",
                    f'tokens.path={ROOT / "data/texts/prose.txt"}', "--set", "tokens.sequences=120").stdout
        self.assertIn("too long to wait for?", long)
        refused = lamp("run", CONFIG, "--out", self.scratch / "wide", "--set", "reference.arithmetic=mpfr:121", check=False)
        self.assertEqual(refused.returncode, 73, refused.stderr)


if __name__ == "__main__":
    unittest.main()
