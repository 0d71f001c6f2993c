"""Recorded errors: against numpy on whole arrays, vanishing where the arithmetic is the reference's, in the cells asked for."""
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2", "ln_f", "logits"]
SMALL = ["--set", "tokens.sequences=1", "--set", "tokens.sequence_length=20", "--set", 'grid."lamp.scores.rule"=["lamp"]',
         "--set", 'grid."arithmetic.low.mu"=[4]', "--set", 'grid."lamp.scores.tau"=[1.5, 1.1]']
KINDS = ("forward", "local")


def toml(names):
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


class Errors(unittest.TestCase):
    def run_lamp(self, *sets):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        arguments = [word for value in sets for word in ("--set", value)]
        lamp("run", CONFIG, "--out", pathlib.Path(scratch.name) / "run", "--quiet", *SMALL, *arguments)
        f = h5py.File(pathlib.Path(scratch.name) / "run/result.h5")
        self.addCleanup(f.close)
        return f

    def test_local_error_vanishes_where_the_arithmetic_is_the_reference(self):
        f = self.run_lamp("arithmetic.high.format=binary64", f"record.errors={toml(SITES)}")
        for site in SITES:
            local = f[f"errors/{site}/local_max_abs"][()]
            self.assertTrue(np.isfinite(local).all(), site)
            self.assertEqual(bool((local == 0).all()), site != "scores", f"{site}: {local.max()}")
            forward = f[f"errors/{site}/forward_max_abs"][()]
            before = site in ("embed",) or (site in ("ln_1", "qkv") and (forward[..., 0] == 0).all())  # upstream of the first scores
            self.assertTrue(before or (forward > 0).any(), site)
        self.assertTrue((f["errors/embed/forward_max_abs"][()] == 0).all())
        self.assertTrue((f["errors/qkv/forward_max_abs"][..., 0] == 0).all() and (f["errors/qkv/forward_max_abs"][..., 1:] > 0).all())

    def test_statistics_are_those_of_the_whole_arrays(self):
        sites = ["scores", "softmax", "gelu", "logits"]
        f = self.run_lamp(f"record.errors={toml(sites)}", 'record.detail="full"', f"record.activations={toml(sites)}", "plan.gelu=low")
        u = {"scores": 2.0**-5, "gelu": 2.0**-5, "softmax": 2.0**-24, "logits": 2.0**-24}
        for site in sites:
            run, reference = f[f"activations/{site}/run"][()], f[f"activations/{site}/reference"][()]
            reference = np.broadcast_to(np.expand_dims(reference, (2, 3, 4)), run.shape)  # (text, sequence | mu, tau, rule | ..)
            forward = f[f"errors/{site}/forward"][()]
            np.testing.assert_array_equal(forward, run - reference)
            rows, columns = run.shape[-2:]
            if site in ("scores", "softmax"):
                self.assertTrue((np.isnan(forward) == np.triu(np.ones((rows, columns), bool), 1)).all())
            cells = forward.reshape(-1, rows * columns)
            x, r = run.reshape(cells.shape), reference.reshape(cells.shape)
            flat = {name: f[f"errors/{site}/forward_{name}"][()].reshape(len(cells), -1) for name in
                    ("count", "nan", "inf", "zero", "underflow", "max_abs", "rms_abs", "max_rel", "rms_rel", "max_u", "rms_u", "bins")}
            for i in range(len(cells)):
                exists = ~np.isnan(cells[i])
                underflow = exists & (np.abs(x[i]) < 2.0**-126) & (r[i] != 0)
                counted = exists & (r[i] != 0) & ~underflow
                relative = np.abs(cells[i][counted]) / np.abs(r[i][counted])
                self.assertEqual(flat["count"][i, 0], counted.sum())
                self.assertEqual(flat["underflow"][i, 0], underflow.sum())
                self.assertEqual(flat["zero"][i, 0], (exists & (r[i] == 0)).sum())
                self.assertEqual((flat["nan"][i, 0], flat["inf"][i, 0]), (0, 0))
                self.assertEqual(flat["max_abs"][i, 0], np.abs(cells[i][exists]).max())
                self.assertEqual(flat["max_rel"][i, 0], relative.max())
                self.assertEqual(flat["max_u"][i, 0], relative.max() / u[site])
                n = exists.sum() * 2.0**-53  # a sum of n squares, in either order
                np.testing.assert_allclose(flat["rms_abs"][i, 0], np.sqrt((cells[i][exists] ** 2).mean()), rtol=2 * n + 1e-15)
                np.testing.assert_allclose(flat["rms_u"][i, 0], np.sqrt((relative**2).mean()) / u[site], rtol=2 * n + 1e-15)
                in_u = relative / u[site]
                bins = np.zeros(129, np.uint64)
                bins[0] = (in_u == 0).sum()
                exponents, sizes = np.unique(np.frexp(in_u[in_u != 0])[1] - 1, return_counts=True)
                np.add.at(bins, np.clip(exponents + 64, 0, 127) + 1, sizes.astype(np.uint64))
                np.testing.assert_array_equal(flat["bins"][i], bins)
                self.assertEqual(flat["bins"][i].sum(), flat["count"][i, 0])
        self.assertEqual(f["errors/scores/bin"][0], 0.0)
        self.assertEqual(f["errors/scores/bin"][65], 1.0)

    def test_only_in_cells_that_match(self):
        f = self.run_lamp('record.errors=["scores"]', 'record.where={"lamp.scores.tau"=[1.1]}')
        rms, count = f["errors/scores/forward_rms_u"][()], f["errors/scores/forward_count"][()]
        self.assertTrue(np.isnan(rms[:, :, :, 0]).all() and np.isfinite(rms[:, :, :, 1]).all())
        self.assertTrue((count[:, :, :, 0] == 0).all() and (count[:, :, :, 1] == 210).all())
        self.assertTrue(np.isfinite(f["metrics/kl"][()]).all())

    def test_activations_only_in_cells_that_match(self):
        everywhere = self.run_lamp('record.activations=["ln_f"]')
        f = self.run_lamp('record.activations=["ln_f"]', 'record.where={"lamp.scores.tau"=[1.1]}')
        run, expected = f["activations/ln_f/run"][()], everywhere["activations/ln_f/run"][()]
        self.assertTrue(np.isnan(run[:, :, :, 0]).all())
        np.testing.assert_array_equal(run[:, :, :, 1], expected[:, :, :, 1])
        self.assertTrue(np.isfinite(expected).all())
        np.testing.assert_array_equal(f["activations/ln_f/reference"][()], everywhere["activations/ln_f/reference"][()])
        np.testing.assert_array_equal(f["metrics/kl"][()], everywhere["metrics/kl"][()])

    def test_recording_changes_no_metric(self):
        with_errors, without = self.run_lamp(f"record.errors={toml(SITES)}"), self.run_lamp()
        np.testing.assert_array_equal(with_errors["metrics/kl_position"][()], without["metrics/kl_position"][()])


if __name__ == "__main__":
    unittest.main()
