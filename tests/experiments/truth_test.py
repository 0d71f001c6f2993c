"""[truth] end to end: every number of a small run against GPT-2 once more in numpy, subsets by brute force, rankings by their definitions;
the same bits for threads, interruptions and larger grids; configs that cannot be."""
import itertools
import json
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, contents, lamp, sets  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
NANO = ROOT / "data/models/gpt2-nano"
T, LAYERS, HEADS = 7, 4, 2
N = 4  # of the rows whose sets are all evaluated end to end
STEPS = 3  # of forward selection
MU = [3, 6]
TAU = 1.2
RULES = ["lamp", "lamp-dot", "lamp-normwise1", "first-order", "one-high", "random"]
TOLERANCES = [0.05, 0.3]
BUDGETS = [0.05, 0.3]
SETS = [f'tokens.path="{ROOT}/data/texts/prose.txt"', "tokens.sequences=1", f"tokens.sequence_length={T}",
        "reference.arithmetic=binary64", "arithmetic.high.format=binary64", f'grid."arithmetic.low.mu"={MU}',
        f'grid."lamp.scores.tau"=[{TAU}]', 'grid."lamp.scores.rule"=["lamp"]', f"truth.rules={json.dumps(RULES)}",
        f"truth.tolerance={TOLERANCES}", f"truth.budgets={BUDGETS}", f"truth.subset_limit={T}", f"truth.row_sets={N}",
        f"truth.forward={STEPS}"]
# Logits of either run are off by up to e: KL, quadratic in their change, by sqrt(2 KL) e + e^2 / 2.
E = 2.0 ** -42


def kl_tolerance(kl):
    return np.sqrt(2 * np.maximum(kl, 0)) * E + E * E


class Gpt2:
    """Batches of runs in binary64: arrays (run, position, ..)."""

    def __init__(self, folder):
        content = (folder / "model.safetensors").read_bytes()
        length, = struct.unpack("<Q", content[:8])
        header = json.loads(content[8:8 + length])
        self.w = {name.removeprefix("transformer."): np.frombuffer(content[8 + length:], np.float32, offset=t["data_offsets"][0],
                                                                   count=int(np.prod(t["shape"]))).reshape(t["shape"]).astype(float)
                  for name, t in header.items() if name != "__metadata__"}
        config = json.loads((folder / "config.json").read_text())
        self.heads, self.layers, self.eps = config["n_head"], config["n_layer"], config["layer_norm_epsilon"]

    def affine(self, x, name):
        return x @ self.w[name + ".weight"] + self.w[name + ".bias"]

    def norm(self, x, name):
        c = x - x.mean(-1, keepdims=True)
        return c / np.sqrt((c * c).mean(-1, keepdims=True) + self.eps) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def logits(self, tokens, runs, scores):
        """scores(layer, q, k): (run, head, query, key), from q and k (run, head, position, d)."""
        embedded = self.w["wte.weight"][tokens] + self.w["wpe.weight"][:len(tokens)]
        x = np.broadcast_to(embedded, (runs, *embedded.shape))
        future = ~np.tri(len(tokens), dtype=bool)
        for layer in range(self.layers):
            h = f"h.{layer}."
            qkv = self.affine(self.norm(x, h + "ln_1"), h + "attn.c_attn")
            q, k, v = np.moveaxis(qkv.reshape(runs, len(tokens), 3, self.heads, -1), (2, 3), (0, 2))
            y = np.where(future, -np.inf, scores(layer, q, k))
            z = np.exp(y - y.max(-1, keepdims=True))
            z /= z.sum(-1, keepdims=True)
            x = x + self.affine(np.moveaxis(z @ v, 1, 2).reshape(x.shape), h + "attn.c_proj")
            a = self.affine(self.norm(x, h + "ln_2"), h + "mlp.c_fc")
            a = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a * a * a)))
            x = x + self.affine(a, h + "mlp.c_proj")
        return self.norm(x, "ln_f") @ self.w["wte.weight"].T


def layer_risks(model, tokens):
    """Of each layer, with the factors as its source has them: relative condition numbers, gains of norm and kernel."""
    def spread(x):
        return np.square(x - x.mean(-1, keepdims=True)).mean(-1)
    frobenius, spectral = np.linalg.norm, lambda name: np.linalg.norm(model.w[name + ".weight"], 2)
    x, local, transport = model.w["wte.weight"][tokens] + model.w["wpe.weight"][:len(tokens)], [], []
    for layer in range(model.layers):
        h = f"h.{layer}."

        def of_norm(x, name):
            v = spread(x).mean()
            return np.abs(model.w[h + name + ".weight"]).max() * (model.eps + 2 * v) / (v + model.eps) ** 1.5 * frobenius(x)
        qkv = model.affine(model.norm(x, h + "ln_1"), h + "attn.c_attn")
        q, k, v = np.moveaxis(qkv.reshape(len(tokens), 3, model.heads, -1), (1, 2), (0, 1))
        y, causal = high_scores(q, k), np.tri(len(tokens), dtype=bool)
        z = np.where(causal, np.exp(y), 0)
        z /= z.sum(-1, keepdims=True)
        steepest = max(np.linalg.eigvalsh(np.diag(row) - np.outer(row, row)).max() for row in z.reshape(-1, len(tokens)))
        of_softmax = steepest * frobenius(np.where(causal, y, 0)) / frobenius(z)
        of_scores = steepest * frobenius(q) * frobenius(k) / np.sqrt(q.shape[-1]) / frobenius(z)
        heads = np.moveaxis(z @ v, 0, 1).reshape(x.shape)
        attended = model.affine(heads, h + "attn.c_proj")
        middle = x + attended
        normed = model.norm(middle, h + "ln_2")
        a = model.affine(normed, h + "mlp.c_fc")
        a = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a * a * a)))
        added = model.affine(a, h + "mlp.c_proj")
        local.append((of_softmax + of_scores) * frobenius(z) * max(np.linalg.norm(head, 2) for head in v)
                     + of_norm(x, "ln_1") + of_norm(middle, "ln_2")
                     + sum(spectral(h + name) * frobenius(of)
                           for name, of in (("attn.c_proj", heads), ("mlp.c_fc", normed), ("mlp.c_proj", a))))
        by_attention, by_mlp = frobenius(attended) / frobenius(x), frobenius(added) / frobenius(middle)
        transport.append(by_attention + by_mlp * (1 + by_attention))
        x = middle + added
    return np.array(local) / frobenius(model.norm(x, "ln_f")) * [np.prod([1 + t for t in transport[i + 1:]]) for i in range(model.layers)]


def ps(x, mu):
    """To binary32, then to mu + 1 bits, RNE both."""
    bits, cut = np.asarray(x, np.float32).view(np.uint32), 23 - mu
    bits = bits + np.uint32((1 << (cut - 1)) - 1) + (bits >> np.uint32(cut) & np.uint32(1))
    return (bits >> np.uint32(cut) << np.uint32(cut)).view(np.float32).astype(float)


def high_scores(q, k):
    return q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])


def low_scores(q, k, mu):
    """Products and sums of 64 bits: rounded to binary32 as exact ones, but for one in 2^38."""
    s = np.zeros((*q.shape[:-1], k.shape[-2]))
    for c in range(q.shape[-1]):
        s = ps(q[..., :, None, c].astype(np.longdouble) * k[..., None, :, c] + s, mu)
    return ps(s / np.longdouble(np.sqrt(q.shape[-1])), mu)


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def effects(reference, logits):
    """KL and largest logit error of each run."""
    p, q = log_softmax(reference), log_softmax(logits)
    d = q - p
    return (np.exp(p) * (np.expm1(d) - d)).sum(-1).mean(-1), np.abs(logits - reference).max((-1, -2))


def ranks(x):
    return np.array([(x < a).sum() + ((x == a).sum() + 1) / 2 for a in x])


def spearman(x, y):
    return np.corrcoef(ranks(x), ranks(y))[0, 1]


def kendall(x, y):
    a, b = (np.sign(v[:, None] - v) for v in (x, y))
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def first(priority, k):
    """Marks: descending, ties lower index first."""
    chosen = np.zeros(priority.shape, bool)
    chosen.flat[np.argsort(-priority, axis=None, kind="stable")[:k]] = True
    return chosen


class Truth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch_folder = tempfile.TemporaryDirectory()
        cls.scratch = pathlib.Path(cls.scratch_folder.name)
        start = time.monotonic()
        cls.whole = cls.run_lamp("whole")
        cls.seconds = time.monotonic() - start
        with h5py.File(cls.whole) as f:
            cls.tokens = f["reference/tokens"][0]
            groups = ["truth", "truth/coarse", "truth/local", "truth/rows", "truth/forward", "selection",
                      *(f"selection/{rule}" for rule in RULES)]
            cls.f = {name: f[name][0] for group in groups for name in (f"{group}/{key}" for key in f[group])
                     if isinstance(f[name], h5py.Dataset) and f[name].ndim > 1}
        cls.scores = [(l, h, i, j) for l in range(LAYERS) for h in range(HEADS) for i in range(T) for j in range(i + 1)]
        cls.model = Gpt2(NANO)
        cls.bounds = []  # by layer: the sums of abs(q_c k_c) / sqrt d, (head, query, key)

        def keep_bounds(layer, q, k):
            cls.bounds.append(high_scores(np.abs(q), np.abs(k))[0])
            return high_scores(q, k)
        cls.reference = cls.model.logits(cls.tokens, 1, keep_bounds)[0]

    @classmethod
    def tearDownClass(cls):
        cls.scratch_folder.cleanup()

    @classmethod
    def run_lamp(cls, name, *changes, threads=1, more=()):
        lamp("run", CONFIG, "--out", cls.scratch / name, "--quiet", "--threads", threads, *sets(*SETS, *changes), *more)
        return cls.scratch / name / "result.h5"

    def logits_where(self, is_high, mu):
        """Of runs whose scores are recomputed where is_high (run, layer, head, query, key), else low, from each run's q and k."""
        return self.model.logits(self.tokens, len(is_high),
                                 lambda layer, q, k: np.where(is_high[:, layer], high_scores(q, k), low_scores(q, k, mu)))

    def rows(self):
        return ((l, h, i) for l in range(LAYERS) for h in range(HEADS) for i in range(T))

    def low_and_high(self, m):
        """Scores of the reference pass, (layer, head, query, key)."""
        high = self.f["truth/score"][m]
        return high + self.f["truth/score_error"][m], high

    def check_kl(self, found, expected):
        self.assertTrue((np.abs(found - expected) <= 2 * kl_tolerance(expected)).all(), (found, expected))

    def test_scores_of_the_reference_and_their_errors(self):
        for m, mu in enumerate(MU):
            low, high = self.low_and_high(m)

            def compare(layer, q, k):
                y, lower = high_scores(q, k), np.tri(T, dtype=bool)
                np.testing.assert_allclose(high[layer][:, lower], y[0][:, lower], rtol=0, atol=2.0 ** -44)
                np.testing.assert_allclose(low[layer][:, lower], low_scores(q, k, mu)[0][:, lower], rtol=0, atol=2.0 ** -48)
                self.assertTrue(np.isnan(high[layer][:, ~lower]).all() and np.isnan(low[layer][:, ~lower]).all())
                return y
            self.model.logits(self.tokens, 1, compare)

    def test_every_score_alone_low_and_alone_recomputed(self):
        for m, mu in enumerate(MU):
            low = self.low_and_high(m)[0]

            def compare(kind, scores, logits_of):
                one = np.zeros((len(scores), LAYERS, HEADS, T, T), bool)
                for r, s in enumerate(scores):
                    one[(r, *s)] = True
                logits = logits_of(one)
                kl, logit_max = effects(self.reference, logits)
                self.check_kl(np.array([self.f[f"truth/{kind}_kl"][(m, *s)] for s in scores]), kl)
                np.testing.assert_allclose([self.f[f"truth/{kind}_logit_max"][(m, *s)] for s in scores], logit_max, rtol=0, atol=2 * E)
                self.assertGreater(len(set(kl)), 0.7 * len(scores))
                return logits

            def one_low(one):
                return self.model.logits(self.tokens, len(one), lambda layer, q, k: np.where(one[:, layer], low[layer], high_scores(q, k)))
            compare("one_high", self.scores[m::6], lambda one: self.logits_where(one, mu))
            logits = compare("one_low", self.scores[::1 + 6 * m], one_low)
            if m == 0:  # all of them
                change = (logits - self.reference).sum(0)
                p = np.exp(log_softmax(self.reference))
                variance = (p * (change - (p * change).sum(-1, keepdims=True)) ** 2).sum(-1).mean() / 2
                error = len(logits) * 2.5 * E  # of the sum of so many changes, each off by 2 E and cut to 2^-44
                self.assertAlmostEqual(self.f["truth/half_variance_of_sum"][m], variance, delta=np.sqrt(2 * variance) * error)
            kl, logit_max = effects(self.reference, self.logits_where(np.zeros((1, LAYERS, HEADS, T, T), bool), mu))
            self.check_kl(self.f["truth/all_low_kl"][m], kl[0])
            self.assertAlmostEqual(self.f["truth/all_low_logit_max"][m], logit_max[0], delta=2 * E)

    def test_heads_alone(self):
        for m, mu in enumerate(MU):
            one = np.zeros((LAYERS * HEADS, LAYERS, HEADS, T, T), bool)
            for l, h in itertools.product(range(LAYERS), range(HEADS)):
                one[l * HEADS + h, l, h] = True
            for name, where in (("one_low_kl", ~one), ("one_high_kl", one)):
                kl = effects(self.reference, self.logits_where(where, mu))[0]
                self.check_kl(self.f[f"truth/coarse/{name}"][m].ravel(), kl)

    def test_risk_of_layers(self):
        expected = layer_risks(self.model, self.tokens)
        for m in range(len(MU)):
            np.testing.assert_allclose(self.f["truth/coarse/risk"][m], expected, rtol=2.0 ** -32)
        self.assertGreater(expected.max(), 1.1 * expected.min())

    def test_all_sets_of_a_row_end_to_end(self):
        counts = np.array([bin(mask).count("1") for mask in range(2 ** N)])
        for m, background, layer, head in ((0, "exact", 1, 0), (0, "low", 1, 1), (1, "exact", 3, 1), (1, "low", 0, 0)):
            is_high = np.full((2 ** N, LAYERS, HEADS, T, T), background == "exact")
            is_high[:, layer, head, N - 1, :N] = [[mask >> j & 1 for j in range(N)] for mask in range(2 ** N)]
            kl = effects(self.reference, self.logits_where(is_high, MU[m]))[0]
            best, found = (self.f[f"truth/rows/{background}_best_{what}"][m, layer, head] for what in ("kl", "set"))
            self.check_kl(best, np.array([kl[counts == k].min() for k in range(N + 1)]))
            self.assertEqual(counts[found].tolist(), list(range(N + 1)))
            self.check_kl(best, kl[found])
            for rule in ("lamp", "first-order", "one-high"):
                order = np.argsort(-self.f[f"selection/{rule}/priority"][m, layer, head, N - 1, :N], kind="stable")
                prefixes = [sum(1 << j for j in order[:k]) for k in range(N + 1)]
                self.check_kl(self.f[f"selection/{rule}/row_{background}_kl"][m, layer, head], kl[prefixes])
            self.assertGreater(len(set(kl)), 12)

    def test_forward_selection(self):
        for m, mu in enumerate(MU):
            chosen, single = np.zeros((LAYERS, HEADS, T, T), bool), np.zeros((LAYERS, HEADS, T, T), bool)
            by_first = sorted(self.scores, key=lambda score: self.f["truth/one_high_kl"][m][score])
            for k in range(STEPS):
                is_high = np.repeat(chosen[None], len(self.scores), axis=0)
                for run, score in enumerate(self.scores):
                    is_high[run][score] = True
                kl = effects(self.reference, self.logits_where(is_high, mu))[0]
                step = tuple(int(self.f[f"truth/forward/chosen_{name}"][m, k]) for name in ("layer", "head", "query", "key"))
                self.assertFalse(chosen[step])
                self.check_kl(self.f["truth/forward/kl"][m, k], kl[self.scores.index(step)])
                self.check_kl(self.f["truth/forward/kl"][m, k], min(x for x, score in zip(kl, self.scores) if not chosen[score]))
                chosen[step] = single[by_first[k]] = True
                kl = effects(self.reference, self.logits_where(single[None], mu))[0]
                self.check_kl(self.f["truth/forward/single_kl"][m, k], kl[0])
            self.assertLess(self.f["truth/forward/kl"][m, -1], self.f["truth/forward/single_kl"][m, -1])

    def test_what_a_budget_is_worth(self):
        lower = np.broadcast_to(np.tri(T, dtype=bool), (LAYERS, HEADS, T, T))
        for m, mu in enumerate(MU):
            for rule in ("lamp", "first-order", "one-high"):
                priority = np.where(lower, self.f[f"selection/{rule}/priority"][m], -np.inf)
                pooled = [first(priority, int(np.ceil(rate * lower.sum()))) for rate in BUDGETS]
                by_rows = [np.array([first(priority[row][:row[2] + 1], min(size, row[2] + 1)).tolist() + [False] * (T - 1 - row[2])
                                     for row in self.rows()]).reshape(lower.shape) for size in (1, 2, 4, 8)]
                kl = effects(self.reference, self.logits_where(np.array(pooled + by_rows), mu))[0]
                found = [self.f[f"selection/{rule}/{curve}"][m] for curve in ("curve_error", "row_curve_error")]
                self.check_kl(np.concatenate(found), kl)
                self.assertEqual(len(set(kl)), 6)

    def local_errors(self, m, row):
        """rel and l1 of all sets of a row, (mask); the row's scores."""
        n = row[2] + 1
        low, high = (y[row][:n] for y in self.low_and_high(m))
        chosen = np.array([[mask >> j & 1 for j in range(n)] for mask in range(2 ** n)], bool)
        e = np.exp(np.where(chosen, high, low) - max(low.max(), high.max()))
        z = e / e.sum(-1, keepdims=True)
        return np.abs(z / z[-1] - 1).max(-1), np.abs(z - z[-1]).sum(-1), low, high

    def test_all_sets_of_every_row(self):
        sizes = set()
        for m in range(len(MU)):
            for row in self.rows():
                n = row[2] + 1
                rel, l1, *_ = self.local_errors(m, row)
                at, near = (m, *row), dict(rtol=2.0 ** -44, atol=2.0 ** -48)
                count = np.array([bin(mask).count("1") for mask in range(2 ** n)])
                single = 1 << np.arange(n)
                for name, errors in (("rel", rel), ("l1", l1)):
                    best = np.array([errors[count == k].min() for k in range(n + 1)])
                    found = self.f[f"truth/local/best_error_{name}"][at]
                    np.testing.assert_allclose(found[:n + 1], best, **near)
                    self.assertTrue(np.isnan(found[n + 1:]).all())
                    np.testing.assert_allclose(self.f[f"truth/local/one_low_{name}"][at][:n], errors[2 ** n - 1 - single], **near)
                    np.testing.assert_allclose(self.f[f"truth/local/one_high_{name}"][at][:n], errors[single], **near)
                for t, tolerance in enumerate(TOLERANCES):
                    smallest = count[rel <= tolerance].min()
                    self.assertEqual(self.f["truth/local/min_size"][at][t], smallest)
                    found = int(self.f["truth/local/min_set"][at][t])
                    self.assertEqual(bin(found).count("1"), smallest)
                    np.testing.assert_allclose(rel[found], rel[count == smallest].min(), **near)
                    sizes.add((t, smallest))
        self.assertGreater(len(sizes), 10)

    def test_the_set_of_lamp_and_the_bound_that_its_cost_is(self):
        seen = set()
        for m in range(len(MU)):
            for row in self.rows():
                n, at = row[2] + 1, (m, *row)
                rel, l1, low, high = self.local_errors(m, row)
                z = np.exp(low - low.max())
                z /= z.sum()

                def cost(chosen, w):  # componentwise; a row of one costs nothing
                    out = ~chosen
                    return (z * w)[out].sum() + max(0, ((1 - 2 * z) * w)[out].max()) if n > 1 and out.any() else 0.0
                size, given = int(self.f["selection/lamp/size"][at]), self.f["selection/lamp_set"][at][:n].astype(bool)
                prefix = [first(z, k) for k in range(n + 1)]
                smallest = next(k for k in range(n + 1) if cost(prefix[k], np.ones(n)) <= TAU)
                self.assertEqual((size, given.tolist()), (smallest, prefix[smallest].tolist()))
                self.assertTrue(np.isnan(self.f["selection/lamp_set"][at][n:]).all())
                for rule in RULES[:3]:
                    of = {key: self.f[f"selection/{rule}/{key}"][at]
                          for key in ("cost", "largest_error", "error", "violations", "local_rel")}
                    chosen = first(self.f[f"selection/{rule}/priority"][at][:n], size)
                    out, mask = ~chosen, int((chosen << np.arange(n)).sum())
                    error = l1[mask] if rule == "lamp-normwise1" else rel[mask]
                    np.testing.assert_allclose([of["local_rel"], of["error"]], [rel[mask], error], rtol=2.0 ** -44, atol=2.0 ** -48)
                    w = self.bounds[row[0]][row[1:]][:n] if rule == "lamp-dot" else np.ones(n)
                    self.assertAlmostEqual(of["largest_error"], (np.abs(high - low) / w)[out].max(initial=0), delta=2.0 ** -44)
                    expected = (2 * z * (1 - z))[out].sum() if rule == "lamp-normwise1" else cost(chosen, w)
                    self.assertAlmostEqual(of["cost"], expected, delta=n * 2.0 ** -39)
                    bound = of["cost"] * of["largest_error"]
                    self.assertEqual(of["violations"], of["error"] > bound + (n + 8) * 2.0 ** -53, (rule, at))
                    seen.add((rule, of["violations"]))
        self.assertGreater(len(seen), 4)

    def test_rank_correlations_and_overlaps(self):
        compared = 0
        for m in range(len(MU)):
            for rule in RULES[:5]:
                for row in self.rows():
                    n, at = row[2] + 1, (m, *row)
                    priority, one_low = self.f[f"selection/{rule}/priority"][at][:n], self.f["truth/one_low_kl"][at][:n]
                    benefit = self.f["truth/all_low_kl"][m] - self.f["truth/one_high_kl"][at][:n]
                    k = int(self.f["selection/lamp/size"][at])
                    chosen, best = first(priority, k), first(one_low, k)
                    expected = {"precision": (chosen & best).sum() / k if k else np.nan,
                                "jaccard": (chosen & best).sum() / (chosen | best).sum() if k else np.nan}
                    expected["recall"] = expected["precision"]
                    for suffix, truth in (("", one_low), ("_high", benefit)):
                        constant = n < 3 or len(set(truth)) == 1 or len(set(priority)) == 1
                        expected["spearman" + suffix] = np.nan if constant else spearman(priority, truth)
                        expected["kendall" + suffix] = np.nan if constant else kendall(priority, truth)
                    for name, value in expected.items():
                        found = self.f[f"selection/{rule}/{name}"][at]
                        np.testing.assert_allclose(found, value, rtol=0, atol=1e-13, err_msg=f"{rule} {name} {at}")
                        compared += np.isfinite(value)
        self.assertGreater(compared, 1500)

    def test_a_part_is_the_same_part(self):
        asked = ("truth.layers=[3, 1]", "truth.heads=[1]", "truth.queries=[4, 6]")
        for changes in (asked, ("truth.sample=0.4",)):
            part = self.run_lamp("part" + str(len(changes)), *changes, "truth.coarse=false")
            with h5py.File(part) as f:
                found = {name: f[name][0] for name in self.f if name in f}
            self.assertNotIn("truth/coarse/one_low_kl", found)
            evaluated = ~np.isnan(found["truth/one_low_kl"][0].diagonal(axis1=-2, axis2=-1))
            if len(changes) > 1:
                self.assertEqual(set(zip(*map(list, np.nonzero(evaluated)))), {(l, 1, i) for l in (1, 3) for i in (4, 6)})
            self.assertTrue(4 <= evaluated.sum() < 40, evaluated.sum())
            for name in ("truth/one_low_kl", "truth/one_high_logit_max", "truth/local/one_low_values", "truth/local/best_error_rel",
                         "selection/first-order/priority", "selection/lamp/kendall"):
                for at in zip(*np.nonzero(evaluated)):
                    np.testing.assert_array_equal(found[name][(0, *at)], self.f[name][(0, *at)], name)
                self.assertTrue(np.isnan(found[name][0][~evaluated]).all(), name)
            for name in ("truth/score", "truth/all_low_kl", "selection/lamp/curve_error", "selection/lamp/local_rel", "selection/lamp_set"):
                np.testing.assert_array_equal(found[name], self.f[name], name)
            self.assertTrue(np.isnan(found["selection/first-order/curve_error"]).all())

    def test_same_bits_for_threads_shards_and_interruptions(self):
        shard = next((self.whole.parent / "shards").iterdir())
        other = self.run_lamp("threads", threads=2)
        self.assertEqual((other.parent / "shards" / shard.name).read_bytes(), shard.read_bytes())
        assert_same_bits(other, self.whole)
        codes = []
        for share in (0.5, 0.25):
            run = subprocess.Popen([str(LAMP), "run", str(CONFIG), "--out", str(self.scratch / "stopped"), "--quiet", "--threads", "1",
                                    *sets(*SETS)], stderr=subprocess.PIPE, text=True)
            time.sleep(share * self.seconds)
            run.send_signal(signal.SIGINT)
            _, error = run.communicate()
            codes.append(run.returncode)
            self.assertIn(run.returncode, (0, 130), error)
        self.assertIn(130, codes)
        assert_same_bits(self.run_lamp("stopped"), self.whole)

    def test_larger_grids_reuse_the_truth(self):
        few = [*SETS, 'truth.rules=["lamp"]', "truth.coarse=false", "tokens.sequence_length=5"]

        def run(name, taus):
            return lamp("run", CONFIG, "--out", self.scratch / name, "--threads", 1, *sets(*few, f'grid."lamp.scores.tau"={taus}')).stderr
        for name, taus in (("more", [TAU, 1.7]), ("before", [1.7, TAU])):
            result = self.scratch / name / "result.h5"
            run(name, [TAU])
            kept = contents(result)
            self.assertIn("(2 cells computed, 2 found", run(name, taus))
            run(name + "-new", taus)
            assert_same_bits(result, self.scratch / (name + "-new") / "result.h5")
            grown = contents(result)
            for path in ("/truth/one_high_kl", "/truth/score", "/truth/local/best_error_l1", "/selection/lamp/priority"):
                self.assertEqual(kept[path], grown[path], path)
            for path in ("/selection/lamp_set", "/selection/lamp/size"):  # of the first tau
                self.assertEqual(kept[path] == grown[path], name == "more", path)

    def test_a_cell_alone_is_the_cell_among_others(self):
        few = ['truth.rules=["first-order", "first-order-high"]', "truth.coarse=false", "truth.local=false", "tokens.sequence_length=5"]
        with h5py.File(self.run_lamp("many", *few, "tokens.sequences=2")) as many:
            for changes, at in (((f'grid."arithmetic.low.mu"=[{MU[1]}]',), (0, 1)), (("tokens.offset=5",), (1, 0))):
                with h5py.File(self.run_lamp("alone" + str(at[0]), *few, *changes)) as alone:
                    for name in ("truth/one_low_kl", "selection/first-order/priority", "selection/first-order-high/curve_error"):
                        np.testing.assert_array_equal(alone[name][0, 0], many[name][at], name)
                        self.assertFalse(np.array_equal(many[name][0, 0], many[name][at], equal_nan=True), name)

    def test_rules_of_a_run_recompute_by_the_truth(self):
        rules, rates = ["fisher", "truth:local", "truth:one-low", "truth:one-high"], [0.2, 0.6]
        names = [rule.removeprefix("truth:") for rule in rules]
        with h5py.File(self.run_lamp("ranked", f"truth.rules={json.dumps(names)}", "truth.coarse=false")) as f:
            priorities = {rule: f[f"selection/{name}/priority"][0] for rule, name in zip(rules, names)}
        result = self.scratch / "by-truth/result.h5"
        config = self.scratch / "by-truth.toml"
        config.write_text(CONFIG.read_text().replace("../..", str(ROOT))
                          .replace('"lamp.scores.tau" = [2.0, 1.5, 1.1]', f'"lamp.scores.rate" = {rates}'))
        asked = sets(*SETS[:6], f'grid."lamp.scores.rule"={json.dumps(rules)}', "record.selected=true")
        lamp("run", config, "--out", result.parent, "--quiet", "--threads", 2, *asked)
        with h5py.File(result) as f:
            dims = [d.label for d in f["selected/scores"].dims][1:4]
            self.assertEqual(dims, ["arithmetic.low.mu", "lamp.scores.rate", "lamp.scores.rule"])
            chosen = np.unpackbits(f["selected/scores"][0], axis=-1, bitorder="little").astype(bool)
        sets_seen = set()
        for at in itertools.product(range(len(MU)), range(len(rates)), range(len(rules))):
            for row in self.rows():
                n = row[2] + 1
                expected = first(priorities[rules[at[2]]][(at[0], *row)][:n], int(np.ceil(rates[at[1]] * n - 1e-9)))
                self.assertEqual(chosen[(*at, *row)].tolist(), expected.tolist() + [False] * (chosen.shape[-1] - n), (at, row))
                sets_seen.add((at[2], row, expected.tobytes()))
        self.assertGreater(len(sets_seen), 2 * len(rules) * len(list(self.rows())))
        plan = json.loads(lamp("plan", config, "--json", *asked).stdout)
        scores = LAYERS * HEADS * T * (T + 1) // 2
        self.assertEqual((plan["rankings"]["rankings"], plan["rankings"]["suffixes"]), (1 + 3 * len(MU), (2 + 2 * len(MU)) * scores))
        for changes in ((f'grid."arithmetic.low.mu"=[{MU[1]}]',), ()):  # in two steps, with one thread
            lamp("run", config, "--out", self.scratch / "by-truth-again", "--quiet", "--threads", 1, *asked, *sets(*changes))
        assert_same_bits(self.scratch / "by-truth-again/result.h5", result)

    def test_configs_that_cannot_be(self):
        for changes, words in ((("truth.layers=[9]",), ["truth.layers", "9", "3"]), (("truth.heads=[0, 2]",), ["truth.heads", "2"]),
                               ((f"truth.queries=[{T}]",), ["truth.queries", str(T)]), (("truth.sample=2",), ["truth.sample", "2"]),
                               (("reference.arithmetic=mpfr:64",), ["mpfr:64", "truth"]), (("truth.rules=[\"lamb\"]",), ["lamb", "lamp"]),
                               (("truth.subset_limit=40",), ["truth.subset_limit", "24"]), (("truth.forward=5000",), ["truth.forward", "4096"]),
                               (("truth.tolerance=[]",), ["truth.tolerance"]),
                               (("truth.end_to_end=[\"one-low\", \"one-low\"]",), ["one-low", "twice"])):
            refused = lamp("run", CONFIG, "--out", self.scratch / "refused", "--quiet", *sets(*SETS, *changes), check=False)
            self.assertEqual((refused.returncode, refused.stderr.count("\n")), (65, 1), refused.stderr)
            for word in words:
                self.assertIn(word, refused.stderr)
            self.assertFalse((self.scratch / "refused").exists())


if __name__ == "__main__":
    unittest.main()
