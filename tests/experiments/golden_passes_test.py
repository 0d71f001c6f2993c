"""Whole low-precision passes against the golden outputs of a second implementation (tests/golden/low_precision), bit by bit."""
import itertools
import pathlib
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

FOLDER = ROOT / "tests/golden/low_precision"
sys.path.insert(0, str(FOLDER))
import generate  # noqa: E402

U = 2.0**-53
CAUSAL = ("scores", "softmax")
ERRORS = ("directed", "range", "unlimited", "llama_directed", "llama_unlimited")  # configs that record errors
FULL = ("directed", "llama_directed")  # with detail = "full"


def differing(x, golden):
    """How many elements differ in a bit; -0 differs from +0, all NaN are equal. Arrays of other shapes differ everywhere."""
    if x.shape != golden.shape:
        return max(x.size, golden.size)
    x, golden = x.astype(np.float64), golden.astype(np.float64)
    return int(((x.view(np.uint64) != golden.view(np.uint64)) & ~(np.isnan(x) & np.isnan(golden))).sum())


def statistics(x, exact, form):
    """Errors of a site in one layer and head, section 5: NaN, infinities and underflow apart; relative to what is not zero."""
    nan = np.isnan(x) | np.isnan(exact)
    inf = ~nan & (np.isinf(x) | np.isinf(exact))
    finite = ~nan & ~inf
    underflow = finite & (np.abs(x) < form.xmin) & (exact != 0)
    counted = finite & ~underflow & (exact != 0)
    absolute = np.abs(x[finite] - exact[finite])
    relative = np.abs(x[counted] - exact[counted]) / np.abs(exact[counted])
    zero = finite & (exact == 0)
    found = {"count": counted.sum(), "nan": nan.sum(), "inf": inf.sum(), "zero": zero.sum(), "underflow": underflow.sum()}
    for name, errors in (("abs", absolute), ("rel", relative), ("u", relative / form.u)):
        found[f"max_{name}"] = errors.max() if errors.size else np.nan
        found[f"rms_{name}"] = np.sqrt((errors**2).mean()) if errors.size else np.nan
    return found


def agrees(name, value, expected, n):
    """Counts and maxima in every bit. A root mean square sums n squares, in another order there and here: each sum has n - 1 roundings
    and each square, quotient and root one, so that the two are within 2 (n + 2) u (Higham, section 4.2; the root halves it)."""
    if name.startswith("rms") and not np.isnan(expected):
        return abs(value - expected) <= 2 * (n + 2) * U * expected
    return differing(np.array(value), np.array(expected)) == 0


class GoldenPasses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.golden = h5py.File(generate.GOLDEN)
        cls.scratch = tempfile.TemporaryDirectory()
        cls.results = {}
        for name in generate.CONFIGS:
            out = pathlib.Path(cls.scratch.name) / name
            lamp("run", FOLDER / f"{name}.toml", "--out", out, "--quiet")
            cls.results[name] = h5py.File(out / "result.h5")

    @classmethod
    def tearDownClass(cls):
        for file in [cls.golden, *cls.results.values()]:
            file.close()
        cls.scratch.cleanup()

    def test_every_site_of_every_pass(self):
        for name, result in self.results.items():
            for kind, site in itertools.product(("run", "reference"), generate.config_of(name)["record"]["activations"]):
                with self.subTest(config=name, kind=kind, site=site):
                    self.assertEqual(differing(result[f"activations/{site}/{kind}"][()], self.golden[f"{name}/{kind}/{site}"][()]), 0)

    def test_recompute_rates(self):
        for name, result in self.results.items():
            rates = [[path for path in group if path.startswith("recompute_rate")] for group in (result["metrics"], self.golden[name])]
            self.assertEqual(*rates, name)
            for path in rates[0]:
                with self.subTest(config=name, rate=path):
                    self.assertEqual(differing(result[f"metrics/{path}"][()], self.golden[f"{name}/{path}"][()]), 0)

    def test_divergence(self):
        for name, result in self.results.items():  # a position's sum has 40 terms, each good to some units of binary64
            np.testing.assert_allclose(result["metrics/kl"][()], self.golden[f"{name}/kl"][()], rtol=1e-12, atol=1e-15, err_msg=name)

    def errors(self, name, kind, site):
        """(run, exact, causal) of a config with one text: the golden arrays that its errors are made of."""
        run = self.golden[f"{name}/run/{site}"][()]
        exact = self.golden[f"{name}/{'reference' if kind == 'forward' else 'local'}/{site}"][()]
        if kind == "forward":  # one reference for all cells
            axes = generate.cells(generate.config_of(name))[0]
            exact = np.broadcast_to(exact.reshape(exact.shape[0], *[1] * len(axes), *exact.shape[1:]), run.shape)
        causal = np.ones(run.shape[-2:], bool)
        return run, exact, np.tril(causal) if site in CAUSAL else causal

    def wrong_statistics(self, name, kind, site, layer_of=lambda layer: layer):
        """Recorded statistics of a site that are not those of the golden arrays, in units of the format of `layer_of` each layer."""
        run, exact, causal = self.errors(name, kind, site)
        lengths, cells = generate.cells(generate.config_of(name))
        found = {key: data[()] for key, data in self.results[name][f"errors/{site}"].items()}
        wrong = []
        for index in np.ndindex(*run.shape[:-2]):  # sequence, axes, then layer and head where the site has them
            cell = cells[np.ravel_multi_index(index[1 : 1 + len(lengths)], lengths) if lengths else 0]
            layer, head = (*index[1 + len(lengths) :], 0, 0)[:2]
            form = generate.plan_of(cell)(site, layer_of(layer), head).format
            expected = statistics(run[index][causal], exact[index][causal], form)
            values = {key: found[f"{kind}_{key}"][index] for key in expected}
            wrong += [(index, key) for key in expected if not agrees(key, values[key], expected[key], causal.sum())]
        return wrong

    def test_errors_in_the_u_of_each_layer(self):
        for name, kind in itertools.product(ERRORS, ("forward", "local")):
            for site in generate.config_of(name)["record"]["errors"]:
                with self.subTest(config=name, kind=kind, site=site):
                    self.assertEqual(self.wrong_statistics(name, kind, site), [])
        wrong = self.wrong_statistics("directed", "forward", "mlp_fc", layer_of=lambda layer: 0)
        self.assertLessEqual({(1, "max_u"), (1, "rms_u")}, {(index[2], key) for index, key in wrong})  # a wrong u is seen

    def test_errors_component_by_component(self):
        for name, kind in itertools.product(FULL, ("forward", "local")):
            for site in generate.config_of(name)["record"]["errors"]:
                run, exact, causal = self.errors(name, kind, site)
                recorded = self.results[name][f"errors/{site}/{kind}"][()]
                self.assertEqual(differing(recorded, np.where(causal, run - exact, np.nan)), 0, (name, kind, site))

    def test_the_comparison_sees_one_bit_one_sign_and_one_nan(self):
        golden = self.golden["stochastic/run/logits"][()]
        self.assertEqual(differing(golden, golden), 0)
        for bits in (lambda x: x ^ np.uint64(1), lambda x: x ^ np.uint64(1 << 63), lambda x: np.uint64(0x7FF8 << 48)):
            changed = golden.copy()
            changed.view(np.uint64).flat[17] = bits(changed.view(np.uint64).flat[17])
            self.assertEqual(differing(changed, golden), 1)
        self.assertEqual(differing(np.array([-0.0, np.nan]), np.array([0.0, -np.nan])), 1)
        self.assertGreater(differing(golden[..., 1:], golden), 0)

    def test_the_golden_file_is_what_the_scripts_write(self):
        for file, content in generate.input_files().items():
            self.assertEqual((FOLDER / file).read_bytes(), content, file)
        self.assertEqual(list(self.golden), sorted(generate.CONFIGS))
        for path, array in generate.golden("small").items():
            self.assertEqual(differing(array, self.golden[f"small/{path}"][()]), 0, path)


if __name__ == "__main__":
    unittest.main()
