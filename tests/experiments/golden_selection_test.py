"""The second implementation of LAMP's sets (tests/golden/low_precision) against Jacobians of f, and all subsets of a row."""
import itertools
import math
import pathlib
import random
import sys
import unittest

import mpmath

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "golden/low_precision"
sys.path.insert(0, str(FOLDER))
from selection import UNIT, Softmax  # noqa: E402
from targets import RATIOS, Activation, LayerNorm, LinearMap, RmsNorm, column_sum, kappa  # noqa: E402

EPS = 0.0123
MAP = [[0.5, -0.25, 1.0, 0.125, -0.75], [-1.0, 0.3, 0.2, 0.9, 0.4], [0.1, 0.7, -0.6, -0.2, 1.1]]


def softmax(y):
    e = [mpmath.exp(x) for x in y]
    return [x / mpmath.fsum(e) for x in e]


def rms_norm(y):
    r = mpmath.sqrt(mpmath.fsum(x * x for x in y) / len(y) + EPS)
    return [x / r for x in y]


def layer_norm(y):
    mean = mpmath.fsum(y) / len(y)
    c = [x - mean for x in y]
    s = mpmath.sqrt(mpmath.fsum(x * x for x in c) / len(y) + EPS)
    return [x / s for x in c]


def linear_map(y):
    return [mpmath.fsum(a * x for a, x in zip(row, y)) for row in MAP]


FUNCTIONS = {
    "gelu_new": lambda y: y / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (y + mpmath.mpf(44715) / 1000000 * y**3))),
    "gelu": lambda y: y * mpmath.ncdf(y),
    "silu": lambda y: y / (1 + mpmath.exp(-y)),
}


def jacobian(f, y):
    """J_ij by central differences, good to 25 digits and more."""
    h = mpmath.mpf(10) ** -20
    columns = []
    for j in range(len(y)):
        up, down = (f([x + d * (k == j) for k, x in enumerate(y)]) for d in (h, -h))
        columns.append([(a - b) / (2 * h) for a, b in zip(up, down)])
    return list(zip(*columns))


def true_cost(f, y, w, norm, s):
    """The cost of leaving out of S all else, by its definition."""
    z, rows = f(y), jacobian(f, y)
    left = [j for j in range(len(y)) if j not in s]
    if norm == "normwise1":
        return mpmath.fsum(w[j] * mpmath.fsum(abs(row[j]) for row in rows) for j in left) / mpmath.fsum(abs(x) for x in z)
    return max(mpmath.fsum(abs(row[j]) * w[j] for j in left) / abs(x) for row, x in zip(rows, z))


def subsets(n):
    return [set(s) for k in range(n + 1) for s in itertools.combinations(range(n), k)]


def rows(rng, keys):
    """(name, f, y, w, row of the second implementation) of each f with these keys."""
    n = len(MAP[0])
    y, p, bound = ([rng.uniform(low, 2) for _ in range(n)] for low in (-2, -1, 0.1))

    def weights(values):
        return {"absolute": [1.0] * n, "relative": [abs(x) for x in values], "dot": bound}[keys["weights"]]

    soft = [float(x) for x in softmax([mpmath.mpf(x) for x in y])]
    found = [("softmax", softmax, y, weights(y), Softmax(y, soft, lambda: bound, keys, n)),
             ("rms_norm", rms_norm, y, weights(p), RmsNorm(y, p, lambda: bound, EPS, keys))]
    if keys["solver"] == "greedy":
        found.append(("layer_norm", layer_norm, y, weights(p), LayerNorm(y, p, lambda: bound, EPS, keys)))
        if keys["norm"] == "normwise1":
            found.append(("linear_map", linear_map, y, weights(y), LinearMap(y, lambda: bound, MAP, keys)))
    return found


def all_keys():
    names = itertools.product(("absolute", "relative", "dot"), ("componentwise", "normwise1"), ("greedy", "exact"))
    return [dict(zip(("weights", "norm", "solver"), name)) for name in names]


class Sets(unittest.TestCase):
    def test_costs_are_those_of_the_jacobian(self):
        rng = random.Random("costs")
        with mpmath.workdps(50):
            for keys in all_keys():
                if keys["solver"] == "exact":
                    continue
                for name, f, y, w, row in rows(rng, keys):
                    exact = [mpmath.mpf(x) for x in y]
                    for s in subsets(len(y))[::3]:
                        expected = true_cost(f, exact, w, keys["norm"], s)
                        self.assertLess(abs(mpmath.mpf(row.cost(s)) / UNIT - expected), 2**-35, (name, keys, s))

    def test_layer_norm_takes_the_largest_columns_first(self):
        rng = random.Random("columns")
        with mpmath.workdps(50):
            for keys in ({"weights": weights} for weights in ("absolute", "relative", "dot")):
                _, f, y, w, row = rows(rng, keys | {"norm": "componentwise", "solver": "greedy"})[2]
                for j, column in enumerate(zip(*jacobian(f, [mpmath.mpf(x) for x in y]))):
                    expected = w[j] * mpmath.fsum(abs(x) for x in column)
                    self.assertLess(abs(mpmath.mpf(row.b[j]) / UNIT - expected), 2**-35, (keys, j))

    def test_sets_of_all_subsets(self):
        rng = random.Random("sets")
        for keys in all_keys() * 3:
            for name, _, y, _, row in rows(rng, keys):
                costs = {frozenset(s): row.cost(s) for s in subsets(row.n)}
                prefixes = [frozenset(row.order[:k]) for k in range(row.n + 1)]
                for tau in (0.05, 0.3, 0.8, 1.6, *(max(costs[s], 0) / UNIT for s in [*costs][::4])):  # some cost just as much
                    row.keys = keys | {"tau": tau}
                    admitted = [s for s, cost in costs.items() if cost <= math.ceil(tau * UNIT)]
                    s = row.lamp()
                    self.assertIn(s, admitted)
                    if keys["solver"] == "exact" or keys["norm"] == "normwise1":
                        self.assertEqual(len(s), len(min(admitted, key=len)), (name, keys, tau, y))
                    else:
                        self.assertEqual(s, next(prefix for prefix in prefixes if prefix in admitted), (name, keys, tau, y))

    def test_kappa(self):
        rng = random.Random("kappa")
        points = [rng.uniform(-6, 6) for _ in range(20)] + [-0.7517916243860016, 1e-30, -1e-300, 40.0, -30.0, 700.0]
        with mpmath.workdps(400):
            for (form, phi), y, weights in itertools.product(FUNCTIONS.items(), points, ("relative", "absolute", "dot")):
                if form == "gelu_new" and y == -30.0:
                    continue  # 1 + tanh is 0 in 400 digits
                w = {"relative": abs(y), "absolute": 1.0, "dot": 0.3}[weights]
                x = mpmath.mpf(y)
                h = abs(x) * mpmath.mpf(10) ** -120
                expected = abs((phi(x + h) - phi(x - h)) / (2 * h) * w / phi(x))
                found = kappa(form, y, w, weights == "relative")
                found = mpmath.mpf(found.numerator) / found.denominator
                self.assertLessEqual(abs(found - expected), expected * mpmath.mpf(2) ** -24, (form, y, weights))
                with mpmath.workprec(24):
                    self.assertEqual(+expected, found, (form, y, weights))

        self.assertEqual(kappa("gelu", -(2.0**400), 2.0**-390, False), 2**10)

    def test_what_an_activation_leaves(self):
        y = [0.0, -0.0, 1.5, -3.0, 0.25]
        for form in RATIOS:
            self.assertEqual(Activation(y, None, form, {"weights": "relative", "tau": 1.0}).lamp(),
                             {j for j in range(5) if kappa(form, y[j], abs(y[j]), True) > 1})
            self.assertLessEqual({0, 1}, Activation(y, None, form, {"tau": 1e5}).lamp())  # infinite at 0
            for weights, large in itertools.product(("absolute", "relative", "dot"), (1.0, -1.0)):  # infinities: the limit
                w = {"relative": math.inf, "absolute": 1.0, "dot": 0.3}[weights]
                far = kappa(form, large * 2.0**20, 2.0**20 if weights == "relative" else w, weights == "relative")
                limit = kappa(form, large * math.inf, w, weights == "relative")
                self.assertLess(abs(min(limit, 1e5) - min(far, 1e5)), 1e-5, (form, weights, large))
            self.assertEqual(len(Activation([0.1, math.nan], None, form, {"tau": 1e5}).lamp()), 2)

    def test_bad_rows(self):
        for weights, norm in itertools.product(("absolute", "relative"), ("componentwise", "normwise1")):
            keys = {"weights": weights, "norm": norm, "tau": 1e6}
            for bad in (math.nan, math.inf):
                y = [1.0, bad, 2.0]
                for row in (RmsNorm(y, y, None, EPS, keys), LayerNorm(y, y, None, EPS, keys)):
                    self.assertEqual(row.lamp(), {0, 1, 2}, (row, bad, keys))
            self.assertEqual(LinearMap([1.0, math.nan, 2.0], None, [[1.0, 2.0, 3.0]], keys).lamp(), {0, 1, 2})
        zero = RmsNorm([0.0, 1.0, -1.0], [1.0, 1.0, 1.0], None, EPS, {"tau": 1e6, "solver": "exact"})
        self.assertEqual(zero.lamp(), {0})  # left low, a component of 0 has an infinite error
        only = RmsNorm([0.0, 1.0], [1.0, 1.0], None, EPS, {})
        self.assertLess(only.a[1], 0)
        self.assertEqual(only.cost({0}), only.b[1] + only.a[1])  # in S it is no row that costs B
        self.assertEqual(only.cost({1}), only.b[0] + only.a[0])
        centred = LayerNorm([-1.0, 0.0, 1.0], [1.0] * 3, None, EPS, {"tau": 1e5})
        self.assertEqual((len(centred.costs), centred.lamp()), (2, set()))  # nor is the mean one of LayerNorm's

    def test_the_prefix_sums(self):
        rng = random.Random("prefix")
        for n in range(1, 30):
            u = [rng.gauss(0, 1.5) for _ in range(n - n // 3)] + [0.0] * (n // 3)
            for j in range(n):
                self.assertAlmostEqual(column_sum(u, j), sum(abs(1 + x * u[j]) for x in u), delta=1e-12 * n)

    def test_ties_take_the_lower_index(self):
        ones, half = [1.0] * 4, {"rate": 0.5}
        for row in (RmsNorm(ones, ones, None, EPS, half), LayerNorm([1.0, -1.0, 1.0, -1.0], ones, None, EPS, half),
                    LinearMap(ones, None, [ones], half), Activation(ones, None, "silu", half)):
            self.assertEqual(row.lamp(), {0, 1})


if __name__ == "__main__":
    unittest.main()
