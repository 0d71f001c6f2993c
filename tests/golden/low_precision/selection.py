"""Which scores of a row are recomputed: method.md, section 6, for softmax, in integers (multiples of 2^-40)."""
import math
from fractions import Fraction

UNIT = 2**40
REFUSED = 2.0**22


def integer(x):
    """floor(x 2^40)."""
    return math.floor(Fraction(x) * UNIT)


class Row:
    """A row of low scores y, its softmax z, the error weights w, and what of [lamp.scores] asks for a set."""

    def __init__(self, y, z, w, keys, length):
        self.n, self.keys, self.length = len(y), keys, length
        self.weights, self.norm = keys.get("weights", "absolute"), keys.get("norm", "componentwise")
        self.masked = keys.get("mask", "exclude") == "as-zero" and length > self.n  # rows with z = 0 and w = 1 outside of every S
        w = {"absolute": [1.0] * self.n, "relative": [abs(x) for x in y], "dot": w}[self.weights]
        self.refused = any(not 0 <= x < REFUSED for x in z)
        if not self.refused:
            key = (lambda x, v: 2 * x * (1 - x) * v) if self.norm == "normwise1" else (lambda x, v: x * v)
            values = [(x, key(x, v), (1 - 2 * x) * v) for x, v in zip(z, w)]
            self.refused = any(not abs(x) < REFUSED for triple in values for x in triple)
        if not self.refused:
            self.z, self.b, self.a = ([integer(triple[i]) for triple in values] for i in range(3))
            self.order = sorted(range(self.n), key=lambda j: (-self.b[j], j))  # descending, ties: lower index first

    def left(self, s):
        """B: what the components that stay low cost every row."""
        if self.weights == "absolute" and self.norm == "componentwise":
            return max(0, UNIT - sum(self.z[j] for j in s))
        return sum(self.b[j] for j in range(self.n) if j not in s)

    def cost(self, s):
        if self.norm == "normwise1":
            return self.left(s)
        if self.n == 1 and not self.masked or len(s) == self.n and not self.masked:
            return 0
        rows = [self.a[i] for i in range(self.n) if i not in s] + ([UNIT] if self.masked else []) + ([0] if s else [])
        return self.left(s) + max(rows)

    def lamp(self):
        """S of the LAMP rule."""
        everything = set(range(self.n))
        if self.refused:
            return everything
        if "rate" in self.keys:
            return set(self.order[: math.ceil(self.keys["rate"] * self.n - 1e-9)])
        tau = math.ceil(Fraction(self.keys.get("tau", 1.5)) * UNIT)
        if self.keys.get("solver", "greedy") == "exact" and self.norm == "componentwise":
            return self.exact(tau)
        for k in range(self.n + 1):  # for normwise1 the shortest prefix is a smallest set: both solvers
            if self.cost(set(self.order[:k])) <= tau:
                return set(self.order[:k])
        return everything

    def exact(self, tau):
        """The first threshold that leaves out most."""
        if self.n == 1 and not self.masked:
            return set()
        thresholds = sorted(set(self.a))
        if self.masked:
            thresholds = sorted({t for t in thresholds if t > UNIT} | {UNIT})
        best = set(range(self.n))
        for t in thresholds:
            s = set(range(self.n))
            for j in sorted((j for j in s if self.a[j] <= t), key=lambda j: (self.b[j], -j)):  # smallest first, equal: higher index first
                if self.left(s - {j}) > tau - max(t, 0):
                    break
                s = s - {j}
            if len(s) < len(best):
                best = s
        return best


class Draws:
    """The words of rules: draw 3, the words of a call in order."""

    def __init__(self, place, row):
        self.place, self.row, self.calls, self.words = place, row, 0, []

    def word(self):
        if not self.words:
            self.words = list(self.place.words(self.calls, 0, self.row, 3))
            self.calls += 1
        return self.words.pop(0)

    def below(self, b):
        """Lemire 2019: multiplication with rejection."""
        while True:
            product = self.word() * b
            if product % 2**32 >= (2**32 - b) % b:
                return product >> 32


def sample(draws, n, k):
    """Floyd's k of n; of the n - k left out where k > floor(n/2)."""
    few = k if k <= n // 2 else n - k
    s = set()
    for j in range(n - few, n):
        t = draws.below(j + 1)
        s.add(j if t in s else t)
    return s if k <= n // 2 else set(range(n)) - s


def select(row, y, place, index):
    """The set of a row under its rule; every rule but none and all has LAMP's budget."""
    rule = row.keys.get("rule", "lamp")
    if rule in ("none", "all"):
        return set() if rule == "none" else set(range(row.n))
    s = row.lamp()
    if rule == "random":
        return sample(Draws(place, index), row.n, len(s))
    if rule == "random-full-row":
        return {j for j in sample(Draws(place, index), row.length, len(s)) if j < row.n}
    if rule == "largest-logit":
        return set(sorted(range(row.n), key=lambda j: (-y[j], j))[: len(s)])
    return s
