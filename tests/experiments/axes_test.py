"""The axes over seed, tokens.shuffle and model.path: every cell has the bits of a run with its values, references and equal cells are
computed once where that is enough, and folders go on, are verified and told of like any other."""
import itertools
import json
import pathlib
import shutil
import sys
import tempfile
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, assert_same_bits, lamp  # noqa: E402
from scaled_model import scaled_copy  # noqa: E402

NANO = ROOT / "data/models/gpt2-nano"
CONFIG = f"""schema_version = 1
title = "axes"
[tokens]
path = "{ROOT}/data/texts/prose.txt"
sequence_length = 12
sequences = 2
[arithmetic.low]
preset = "lamp-paper"
mu = 4
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
recompute = "high"
tau = 1.2
"""
SORT = ROOT / "tests/golden/gpt-nano-sort"  # 3 tokens, 3 layers of 48: what takes long elsewhere
OF_SORT = CONFIG.replace(f'path = "{ROOT}/data/texts/prose.txt"', 'source = "ids"\npath = "sort.txt"').replace("= 12", "= 6")
RULES = '"lamp.scores.rule" = ["lamp", "random", "none"]\n'
STOCHASTIC = "format = \"ps4\"\nvia = \"none\"\nrounding = \"SR\"\nrandom_bits = 8\n"


def bits_of(values):
    return values.tolist() if values.dtype == object else values.tobytes()  # of texts an array has pointers


def values_of(path):
    """Datasets by path, as (names of dimensions, values); dimension scales and provenance apart."""
    found = {}

    def visit(name, node):
        if isinstance(node, h5py.Dataset) and not h5py.h5ds.is_scale(node.id) and not name.startswith("provenance"):
            found[name] = ([dim.label for dim in node.dims], node[()])

    with h5py.File(path) as f:
        f.visititems(visit)
    return found


class Axes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        for model, copy in ((NANO, "scaled"), (SORT, "scaled-sort")):
            scaled_copy(model, cls.scratch / copy)
        (cls.scratch / "sort.txt").write_text("[0, 2, 1, 0, 1, 2]\n[1, 1, 0, 2, 2, 0]\n")
        cls.models = [str(NANO), "scaled"]  # a path relative to the config, too
        cls.sort_models = [str(SORT), "scaled-sort"]

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    def config(self, name, grid, more="", base=CONFIG):
        path = self.scratch / f"{name}.toml"
        path.write_text(base + f"[grid]\n{grid}" + more)
        return path

    def run_lamp(self, name, config, *arguments):
        """The folder, and what `run` says."""
        done = lamp("run", config, "--out", self.scratch / name, "--json", *arguments)
        return self.scratch / name, json.loads(done.stdout)

    def axes(self, seeds=(3, 8), shuffles=(False, True), rules=RULES, models=None):
        return (f'"model.path" = {json.dumps(models or self.models)}\n{rules}seed = {list(seeds)}\n'
                f'"tokens.shuffle" = {json.dumps(list(shuffles))}\n')

    def assert_equal_to_separate_runs(self, name, more, base=CONFIG, rules=RULES, models=None, shuffles=(False, True), seeds=(3, 8)):
        """Each value of a run over the three axes is bit by bit that of the run with these values; returns what the run says."""
        folder, said = self.run_lamp(name, self.config(name, self.axes(seeds, shuffles, rules, models), more, base))
        together = values_of(folder / "result.h5")
        drawn = {"model.path", "tokens.shuffle"} | ({"seed"} if True in shuffles else set())
        config = self.config(name + "-alone", rules, more, base.replace("[tokens]", 'seed = 0\n[model]\npath = "none"\n[tokens]'))
        for (m, model), (s, seed), (t, shuffle) in itertools.product(*map(enumerate, (models or self.models, seeds, shuffles))):
            alone = values_of(self.run_lamp(f"{name}-{m}{s}{t}", config, "--set", f"model.path={model}", "--set", f"seed={seed}", "--set",
                                            f"tokens.shuffle={json.dumps(shuffle)}")[0] / "result.h5")
            self.assertEqual(alone.keys(), together.keys())
            at = {"model.path": m, "seed": s, "tokens.shuffle": t}
            for path, (dims, values) in together.items():
                own = values[tuple(at.get(dim, slice(None)) for dim in dims)]
                self.assertEqual(bits_of(own), bits_of(alone[path][1]), (path, model, seed, shuffle))
                of_reference = path.startswith("reference/") or path.endswith(("/reference", "/reference_text", "/prompt_text"))
                self.assertEqual(set(at) & set(dims), drawn if of_reference else set(at), path)
        return folder, said

    def test_every_cell_has_the_bits_of_a_run_of_its_own(self):
        folder, said = self.assert_equal_to_separate_runs("all", """[record]
errors = ["scores", "ln_f"]
activations = ["resid_2"]
selected = true
[continuation]
prefix = 4
tokens = 3
""")
        # A sequence of unshuffled tokens has one shard for both seeds: of each model 3 of them, not 4.
        self.assertEqual(len(list((folder / "shards").iterdir())), 2 * 2 * 3)
        with h5py.File(folder / "result.h5") as f:
            kl = f["metrics/kl"][..., 0]  # (sequence, model, rule, seed), not shuffled
        np.testing.assert_array_equal(kl[:, :, [0, 2], 0], kl[:, :, [0, 2], 1])
        self.assertTrue((kl[:, :, 1, 0] != kl[:, :, 1, 1]).all())  # random
        # And there lamp and none are computed once for both: of 2 models x 2 sequences (1 + 2 + 1) + 2 x 3 passes.
        self.assertEqual((said["cells"], said["passes"]), (2 * 2 * 2 * 2 * 3, 2 * 2 * (4 + 6)))

    def test_stochastic_reference_and_arithmetic(self):
        base = OF_SORT.replace('preset = "lamp-paper"\nmu = 4\n', STOCHASTIC)
        more = """[record]
errors = ["scores"]
[reference]
arithmetic = "drawn"
[arithmetic.drawn]
format = "binary16"
rounding = "SR"
random_bits = 9
"""
        folder, said = self.assert_equal_to_separate_runs("drawn", more, base, models=self.sort_models)
        self.assertEqual(len(list((folder / "shards").iterdir())), 2 * 2 * 4)
        self.assertEqual(said["passes"], said["cells"])
        with h5py.File(folder / "result.h5") as f:
            logits = f["reference/cross_entropy"][..., 0]  # (sequence, model, seed), not shuffled
        self.assertTrue((logits[..., 0] != logits[..., 1]).all())

    def test_truth_and_rules_that_know_it(self):
        base = OF_SORT.replace('preset = "lamp-paper"\nmu = 4\n', STOCHASTIC)
        base = base.replace("sequences = 2", "sequences = 1").replace("= 6", "= 4")
        truth = '[truth]\nsample = 0.5\nrules = ["first-order"]\nbudgets = [0.2]\nlocal = false\n'
        rules = '"lamp.scores.rule" = ["fisher", "truth:one-low"]\n'
        self.assert_equal_to_separate_runs("truth-seeds", truth + "coarse = false\n", base, rules, self.sort_models[:1], shuffles=(False,))
        self.assert_equal_to_separate_runs("truth-models", truth, base, rules, self.sort_models, shuffles=(False,), seeds=(3,))

    def test_cells_without_a_draw_are_computed_once_for_all_seeds(self):
        seeds = list(range(20))
        rules = ["lamp", "random", "none", "random-full-row", "all"]
        grid = f'seed = {seeds}\n"lamp.scores.rule" = {json.dumps(rules)}\n"lamp.scores.tau" = [2.0, 1.2]\n'
        config = self.config("seeds", grid, base=CONFIG + f'[model]\npath = "{NANO}"\n')
        folder, said = self.run_lamp("seeds", config)
        planned = json.loads(lamp("plan", config, "--json").stdout)
        # all; nothing selected; lamp at 1.2; and of each seed random and random-full-row at 1.2
        self.assertEqual((planned["cells"], planned["computed"]), (200, 3 + 2 * len(seeds)))
        self.assertEqual((said["cells"], said["passes"]), (2 * 200, 2 * planned["computed"]))
        self.assertEqual(len(list((folder / "shards").iterdir())), 2)
        again = json.loads(lamp("verify", folder, "--fraction", 1, "--json").stdout)
        self.assertEqual((again["cells"], again["same_bits"]), (400, True))
        with h5py.File(folder / "result.h5") as f:
            self.assertEqual([dim.label for dim in f["reference/status"].dims], ["sequence"])
            self.assertEqual(f["metrics/seed"][()].tolist(), seeds)

    def test_more_values_of_the_axes_go_on_from_what_is_there(self):
        whole, _ = self.run_lamp("whole", self.config("whole", self.axes(seeds=(3, 8, 9))))
        config = self.config("small", self.axes(seeds=(3,), shuffles=(True,)).replace(', "scaled"', ""))
        folder, first = self.run_lamp("grown", config)
        grown = self.config("grown", self.axes(seeds=(3, 8, 9)))
        status = lamp("status", folder, "--json")
        self.assertTrue(json.loads(status.stdout)["complete"])
        for part in (1, 2, 3):
            lamp("run", grown, "--out", folder, "--shard", f"{part}/3", "--quiet", check=False)
        _, said = self.run_lamp("grown", grown)
        self.assertEqual(said["resumed"], said["cells"])
        assert_same_bits(folder / "result.h5", whole / "result.h5")
        shutil.rmtree(folder)
        _, first = self.run_lamp("grown", config)
        _, said = self.run_lamp("grown", grown)
        self.assertEqual((first["computed"], said["resumed"], said["computed"]), (6, 6, 2 * 2 * 3 * (3 + 3) - 6))
        self.assertEqual({p.name: p.read_bytes() for p in (folder / "shards").iterdir()},
                         {p.name: p.read_bytes() for p in (whole / "shards").iterdir()})
        assert_same_bits(folder / "result.h5", whole / "result.h5")

    def test_status_verify_and_inspect(self):
        config = self.config("told", self.axes())
        folder, _ = self.run_lamp("told", config)
        status = json.loads(lamp("status", folder, "--json").stdout)
        self.assertEqual(status["sequences"], {"asked": 2, "complete": 2, "cells": 24})
        self.assertEqual(status["cells"], {"asked": 48, "done": 48, "failed": 0})
        self.assertEqual([shard["done"] for shard in status["shards"]], 2 * [6, 3, 3, 6, 3, 3])
        self.assertEqual([shard["variant"] for shard in status["shards"]][:4],
                         ["model.path = gpt2-nano, tokens.shuffle = false", "model.path = gpt2-nano, seed = 3, tokens.shuffle = true",
                          "model.path = gpt2-nano, seed = 8, tokens.shuffle = true", "model.path = scaled, tokens.shuffle = false"])
        verified = json.loads(lamp("verify", folder, "--fraction", 1, "--json").stdout)
        self.assertEqual((verified["sequences"], verified["cells"], verified["same_bits"]), (2, 48, True))

        told = json.loads(lamp("inspect", folder / "result.h5", "--json").stdout)
        with h5py.File(folder / "result.h5") as f:
            reference, runs = f["reference/cross_entropy"][()], f["metrics/cross_entropy"][()]  # (sequence, model[, rule], seed, shuffle)
            self.assertEqual(f["metrics/model.path"].asstr()[()].tolist(), ["gpt2-nano", "scaled"])
            self.assertEqual(f["metrics/tokens.shuffle"].asstr()[()].tolist(), ["false", "true"])
        self.assertEqual(len(told["perplexity"]), 8)
        for found, (m, s, t) in zip(told["perplexity"], np.ndindex(2, 2, 2)):
            model, seed, shuffle = ("gpt2-nano", "scaled")[m], (3, 8)[s], ("false", "true")[t]
            self.assertEqual(found["variant"], f"model.path = {model}, seed = {seed}, tokens.shuffle = {shuffle}")
            points = np.exp(runs[:, m, :, s, t].mean(0))
            np.testing.assert_allclose([found[k] for k in ("reference", "lowest", "highest")],
                                       [np.exp(reference[:, m, s, t].mean()), points.min(), points.max()], rtol=1e-12)
            self.assertEqual((found["points"], found["sequences"]), (3, 2))
        self.assertEqual(told["provenance"]["model_1"].split()[0], str(self.scratch / "scaled"))
        self.assertEqual(told["provenance"]["seed"], "[3, 8]")

        shard = pathlib.Path(status["shards"][4]["file"])
        shard.unlink()
        missing = lamp("status", folder, "--json", check=False)
        self.assertEqual((missing.returncode, json.loads(missing.stdout)["sequences"]["complete"]), (75, 1))
        merged = lamp("merge", folder, "--json", check=False)
        self.assertEqual((merged.returncode, json.loads(merged.stdout)["pending"]), (75, 3))
        with h5py.File(folder / "result.h5") as f:  # scaled, seed 3, shuffled
            gone = np.argwhere(f["metrics/status"][()] == 0)
            self.assertEqual({tuple(at[[0, 1, 3, 4]]) for at in gone}, {(0, 1, 0, 1)})
            self.assertEqual(np.argwhere(f["reference/status"][()] == 0).tolist(), [[0, 1, 0, 1]])

    def test_rounds_of_a_run_that_stops(self):
        stop = '[stop]\nrelative_error = 1\nmin_sequences = 2\nbaseline = {"tokens.shuffle" = false, "model.path" = "scaled"}\n'
        config = self.config("stop", self.axes(), stop, CONFIG.replace("sequences = 2", "sequences = 3"))
        folder, said = self.run_lamp("stop", config)
        self.assertEqual((said["cells"], said["computed"], said["stop"]["sequences"]), (72, 72, 3))
        self.assertEqual(self.run_lamp("stop", config)[1]["resumed"], 72)
        self.assertTrue(json.loads(lamp("status", folder, "--json").stdout)["complete"])
        with h5py.File(folder / "result.h5") as f:
            kl = f["metrics/kl"][()]  # (sequence, model, rule, seed, shuffle)
            self.assertEqual(kl.shape, (3, 2, 3, 2, 2))
            np.testing.assert_allclose(f["stop/mean"][()], kl.mean(0), rtol=1e-13)
            ratio = np.exp(np.log(kl / kl[:, 1:2, :, :, :1]).mean(0))
            np.testing.assert_allclose(f["stop/ratio"][()], ratio, rtol=1e-13)
        shutil.rmtree(folder / "shards")
        self.assertEqual(json.loads(lamp("status", folder, "--json", check=False).stdout)["sequences"],
                         {"asked": 2, "complete": 0, "cells": 24})

    def test_plan_counts_references_and_weights(self):
        def plan(grid, base):
            return json.loads(lamp("plan", self.config("plan", grid, base=base), "--json").stdout)
        one = plan(RULES, CONFIG + f'[model]\npath = "{NANO}"\n')
        all_axes = plan(self.axes(), CONFIG)
        self.assertEqual((one["sequences"], one["passes"]), (2, 2 * (1 + 3)))
        self.assertEqual((all_axes["sequences"], all_axes["passes"]), (2, 2 * 2 * (3 + 4 + 6)))
        self.assertEqual(all_axes["memory"]["weights"], 2 * one["memory"]["weights"])

    def test_models_that_do_not_go_together(self):
        def refused(grid, *words, base=CONFIG, code=65):
            done = lamp("run", self.config("bad", grid, base=base), "--out", self.scratch / "bad", check=False)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (code, 1), done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
        tiny = ROOT / "data/models/gpt2-tiny"
        refused(f'"model.path" = ["{NANO}", "{tiny}"]', "grid.model.path: gpt2-nano has n_embd 128, gpt2-tiny has n_embd ",
                "A/result.h5 --with B/result.h5", "bad.toml:")
        other = self.scratch / "vocabulary"
        shutil.copytree(NANO, other)
        vocabulary = json.loads((other / "vocab.json").read_text())
        first, second = list(vocabulary)[300:302]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
        (other / "vocab.json").write_text(json.dumps(vocabulary))
        refused(f'"model.path" = ["{NANO}", "vocabulary"]', "gpt2-nano and vocabulary have different vocabularies", "--with")
        ids = self.scratch / "ids.txt"
        ids.write_text(f"{list(range(12))}\n{list(range(1, 13))}\n")
        numbers = CONFIG.replace(f'path = "{ROOT}/data/texts/prose.txt"', f'source = "ids"\npath = "{ids}"')
        self.run_lamp("by-ids", self.config("by-ids", f'"model.path" = ["{NANO}", "vocabulary"]', base=numbers))
        refused('"model.path" = ["nowhere"]', "nowhere", code=66)


if __name__ == "__main__":
    unittest.main()
