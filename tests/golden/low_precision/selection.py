"""Which components of a row are recomputed: method.md, section 6, in integers (multiples of 2^-40). Here what all functions f share, and
softmax; the others are in targets.py."""
import math
from fractions import Fraction

UNIT = 2**40
REFUSED = 2.0**22


def integer(x):
    """floor(x 2^40)."""
    return math.floor(Fraction(x) * UNIT)


def error_weights(keys, values, bound):
    """w_j of abs(dy_j) <= eps w_j. `bound`: a function that gives those of the inner products."""
    name = keys.get("weights", "absolute")
    return bound() if name == "dot" else [1.0 if name == "absolute" else abs(x) for x in values]


class Row:
    """A row of y = g(x), and what of [lamp.SITE] asks for a set. A function f adds `refused`, whether all is recomputed, unseen; the keys
    `b`, integers; `cost(s)`, an integer too; and `exact(tau)` where it has this solver."""

    def __init__(self, y, keys, length=None):
        self.y, self.n, self.keys, self.length = y, len(y), keys, length
        self.norm = keys.get("norm", "componentwise")
        self.refused = False

    @property
    def order(self):
        """Descending, ties: lower index first."""
        return sorted(range(self.n), key=lambda j: (-self.b[j], j))

    def left(self, s):
        """B: what the components that stay low cost every row."""
        return sum(self.b[j] for j in range(self.n) if j not in s)

    def lamp(self):
        """S of the LAMP rule."""
        everything = set(range(self.n))
        if self.refused:
            return everything
        order = self.order
        if "rate" in self.keys:
            return set(order[: math.ceil(self.keys["rate"] * self.n - 1e-9)])
        tau = math.ceil(Fraction(self.keys.get("tau", 1.5)) * UNIT)
        if self.keys.get("solver", "greedy") == "exact" and self.norm == "componentwise":
            return self.exact(tau)
        for k in range(self.n + 1):  # for normwise1 the shortest prefix is a smallest set: both solvers
            if self.cost(set(order[:k])) <= tau:
                return set(order[:k])
        return everything


class Diagonal(Row):
    """f for which, with B of what is left out of S, rows in S cost B, those outside B + a_i; a_i = `a[i]`."""

    extra = ()  # more rows outside of every S

    def counted(self, s):
        """Whether any row in S has a cost."""
        return bool(s)

    def cost(self, s):
        if self.norm == "normwise1":
            return self.left(s)
        if len(s) == self.n and not self.extra:
            return 0
        return self.left(s) + max([self.a[i] for i in range(self.n) if i not in s] + [*self.extra] + ([0] if self.counted(s) else []))

    def exact(self, tau):
        """The first threshold that leaves out most."""
        thresholds = sorted(set(self.a))
        if self.extra:
            lowest = max(self.extra)
            thresholds = sorted({t for t in thresholds if t > lowest} | {lowest})
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


class Softmax(Diagonal):
    """Of low scores or logits y: z is what softmax gives of them, in a causal row of `length` entries, masked ones among them."""

    def __init__(self, y, z, bound, keys, length):
        super().__init__(y, keys, length)
        self.identity = keys.get("weights", "absolute") == "absolute" and self.norm == "componentwise"
        if keys.get("mask", "exclude") == "as-zero" and length > self.n:
            self.extra = (UNIT,)  # rows with z = 0 and w = 1
        w = error_weights(keys, y, bound)
        self.refused = any(not 0 <= x < REFUSED for x in z)
        if not self.refused:
            key = (lambda x, v: 2 * x * (1 - x) * v) if self.norm == "normwise1" else (lambda x, v: x * v)
            values = [(x, key(x, v), (1 - 2 * x) * v) for x, v in zip(z, w)]
            self.refused = any(not abs(x) < REFUSED for triple in values for x in triple)
        if not self.refused:
            self.z, self.b, self.a = ([integer(triple[i]) for triple in values] for i in range(3))

    def left(self, s):
        return max(0, UNIT - sum(self.z[j] for j in s)) if self.identity else super().left(s)

    def cost(self, s):
        return 0 if self.n == 1 and not self.extra and self.norm == "componentwise" else super().cost(s)

    def exact(self, tau):
        return set() if self.n == 1 and not self.extra else super().exact(tau)


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


def select(row, place, index):
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
        return set(sorted(range(row.n), key=lambda j: (-row.y[j], j))[: len(s)])
    return s
