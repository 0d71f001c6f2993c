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


def statistics(x, exact, form):
    """Errors of a site in one layer and head, section 5: NaN, infinities and underflow apart; relative to what is not zero."""
    nan = np.isnan(x) | np.isnan(exact)
    inf = ~nan & (np.isinf(x) | np.isinf(exact))
    finite = ~nan & ~inf
    underflow = finite & (np.abs(x) < form.xmin) & (exact != 0)
    counted = finite & ~underflow & (exact != 0)
    absolute = np.abs(x[finite] - exact[finite])
    relative = np.abs(x[counted] - exact[counted]) / np.abs(exact[counted])
    found = {"count": counted.sum(), "nan": nan.sum(), "inf": inf.sum(), "zero": (finite & (exact == 0)).sum(), "underflow": underflow.sum()}
    for name, errors in (("abs", absolute), ("rel", relative), ("u", relative / form.u)):
        if errors.size:
            found[f"max_{name}"], found[f"rms_{name}"] = errors.max(), np.sqrt((errors**2).mean())
    return found


def differing(x, golden):
    """How many elements differ in a bit; -0 differs from +0, all NaN are equal. Arrays of other shapes differ everywhere."""
    if x.shape != golden.shape:
        return max(x.size, golden.size)
    x, golden = x.astype(np.float64), golden.astype(np.float64)
    return int(((x.view(np.uint64) != golden.view(np.uint64)) & ~(np.isnan(x) & np.isnan(golden))).sum())


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
            for kind in ("run", "reference"):
                for site in result["activations"]:
                    with self.subTest(config=name, kind=kind, site=site):
                        self.assertEqual(differing(result[f"activations/{site}/{kind}"][()], self.golden[f"{name}/{kind}/{site}"][()]), 0)

    def test_recompute_rate(self):
        for name, result in self.results.items():
            with self.subTest(config=name):
                self.assertEqual(differing(result["metrics/recompute_rate"][()], self.golden[f"{name}/recompute_rate"][()]), 0)

    def formats(self, name, site, shape):
        """(index, format) of every layer and head of every cell of a config that has one sequence dimension; `shape` without (row, column)."""
        lengths, cells = generate.cells(generate.config_of(name))
        for index in np.ndindex(*shape):
            cell = cells[np.ravel_multi_index(index[1 : 1 + len(lengths)], lengths) if lengths else 0]
            layer, head = (*index[1 + len(lengths) :], 0, 0)[:2]
            yield index, generate.plan_of(cell)(site, layer, head).format

    def test_errors_in_units_of_the_u_of_each_layer(self):
        for name, kind in itertools.product(("directed", "range"), ("forward", "local")):
            for site, group in self.results[name]["errors"].items():
                run, exact = self.golden[f"{name}/run/{site}"][()], self.golden[f"{name}/{'reference' if kind == 'forward' else 'local'}/{site}"][()]
                if kind == "forward":  # one reference for all cells
                    axes = len(generate.cells(generate.config_of(name))[0])
                    exact = np.broadcast_to(exact.reshape(exact.shape[0], *axes * [1], *exact.shape[1:]), run.shape)
                if "scores" in site or "softmax" in site:
                    causal = np.tril(np.ones(run.shape[-2:], bool))
                else:
                    causal = np.ones(run.shape[-2:], bool)
                found = {key.removeprefix(kind + "_"): data[()] for key, data in group.items() if key.startswith(kind + "_")}
                for index, form in self.formats(name, site, run.shape[:-2]):
                    for key, value in statistics(run[index][causal], exact[index][causal], form).items():
                        with self.subTest(config=name, kind=kind, site=site, index=index, statistic=key):
                            if key.startswith("rms"):  # sums of n squares in two orders, n roundings each; quotient and root
                                np.testing.assert_allclose(found[key][index], value, rtol=(causal.sum() + 4) * 2 * U)
                            else:
                                self.assertEqual(found[key][index], value)
                if name == "directed":  # detail = "full"
                    with np.errstate(invalid="ignore"):
                        self.assertEqual(differing(np.where(causal, group[kind][()], 0), np.where(causal, run - exact, 0)), 0, (name, kind, site))

    def test_the_comparison_sees_one_bit_one_sign_and_one_nan(self):
        golden = self.golden["stochastic/run/logits"][()]
        self.assertEqual(differing(golden, golden), 0)
        for bits in (lambda x: x ^ np.uint64(1), lambda x: x ^ np.uint64(1 << 63), lambda x: np.uint64(0x7FF8 << 48)):
            changed = golden.copy()
            changed.view(np.uint64).flat[17] = bits(changed.view(np.uint64).flat[17])
            self.assertEqual(differing(changed, golden), 1)
        self.assertEqual(differing(np.array([-0.0, np.nan]), np.array([0.0, -np.nan])), 1)

    def test_the_golden_file_is_what_the_scripts_write(self):
        for file, content in {**{f"model/{k}": v for k, v in generate.model_files().items()}, **generate.token_files()}.items():
            self.assertEqual((FOLDER / file).read_bytes(), content, file)
        self.assertEqual(list(self.golden), sorted(generate.CONFIGS))
        for path, array in generate.golden("small").items():
            self.assertEqual(differing(array, self.golden[f"small/{path}"][()]), 0, path)


if __name__ == "__main__":
    unittest.main()
