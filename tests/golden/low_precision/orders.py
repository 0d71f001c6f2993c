"""The orders of method.md, section 3: sum a_k b_k from +0, every + a rounded operation of one output.

Open in the text: in which order the roundings of an output are counted. Here, as the program does it, in the order in which the sum is
worked out: parts, lanes and subtrees from left to right, each whole, before what adds them.
"""
import itertools
import math

from operations import Output
from rounding import parts, round_exact, special


def dot(fl, a, b):
    """sum a_k b_k by the order of fl's arithmetic: n > 0 terms, c = +0."""
    name, _, parameters = fl.spec.order.partition(":")
    return ORDERS[name](fl, list(zip(a, b)), parameters)


def sequential(fl, pairs, _):
    return chain(fl, pairs)


def reverse(fl, pairs, _):
    return chain(fl, pairs[::-1])


def chain(fl, pairs, s=0.0):
    for a, b in pairs:
        s = fl.mac(a, b, s)
    return s


def chains(fl, groups):
    """Sequential sums of parts, added in order to +0."""
    s = 0.0
    for pairs in groups:
        s = fl.add(s, chain(fl, pairs))
    return s


def blocked(fl, pairs, size):
    inner = Output(fl.spec.block or fl.spec, fl.place, fl.row, fl.column, draw=2)
    s = 0.0
    for first in range(0, len(pairs), int(size)):
        inner.step = fl.step  # one count, inside the blocks and outside
        block = chain(inner, pairs[first : first + int(size)])
        fl.step = inner.step
        s = fl.add(s, block)
    return s


def pairwise(fl, pairs, size):
    if len(pairs) <= int(size):
        return chain(fl, pairs)
    half = len(pairs) // 2
    left = pairwise(fl, pairs[:half], size)
    return fl.add(left, pairwise(fl, pairs[half:], size))


def lanes(fl, pairs, count):
    count = int(count)
    s = [chain(fl, pairs[lane::count]) for lane in range(count)]
    while count > 1:
        count //= 2
        for lane in range(count):
            s[lane] = fl.add(s[lane], s[lane + count])
    return s[0]


def split(fl, pairs, count):
    size = -(-len(pairs) // int(count))
    return chains(fl, [pairs[first : first + size] for first in range(0, len(pairs), size)])


def panels(fl, pairs, parameters):
    """Parts of OpenBLAS's lengths: core/arith/README.md."""
    q, u = map(int, parameters.split(","))
    groups, first = [], 0
    while first < len(pairs):
        left = len(pairs) - first
        size = q if left >= 2 * q else left if left <= q else min(left, -(-(left // 2) // u) * u)
        groups.append(pairs[first : first + size])
        first += size
    return chains(fl, groups)


def numpy_sum(fl, pairs, size):
    """numpy's sum of products: core/arith/README.md. Each product is rounded when its turn to be added comes."""

    def in_order(s, terms):
        for a, b in terms:
            p = fl.mac(a, b, 0.0)
            s = p if s is None else fl.add(s, p)
        return s

    def buffer(p):
        n = len(p)
        if n < 8:
            return in_order(None, p)
        if n > 128:
            half = n // 2 // 8 * 8
            left = buffer(p[:half])
            return fl.add(left, buffer(p[half:]))
        whole = n // 8 * 8
        r = [in_order(None, p[lane:whole:8]) for lane in range(8)]
        while len(r) > 1:  # level by level
            r = [fl.add(left, right) for left, right in zip(r[::2], r[1::2])]
        return in_order(r[0], p[whole:])

    s = 0.0
    for first in range(0, len(pairs), int(size)):
        s = fl.add(s, buffer(pairs[first : first + int(size)]))
    return s


def kahan(fl, pairs, _):
    s, e = 0.0, 0.0
    for a, b in pairs:
        y = fl.sub(fl.mac(a, b, 0.0), e)
        t = fl.add(s, y)
        e = fl.sub(fl.sub(t, s), y)
        s = t
    return s


def neumaier(fl, pairs, _):
    s, e = 0.0, 0.0
    for a, b in pairs:
        p = fl.mac(a, b, 0.0)
        t = fl.add(s, p)
        e = fl.add(e, fl.add(fl.sub(s, t), p) if abs(s) >= abs(p) else fl.add(fl.sub(p, t), s))
        s = t
    return fl.add(s, e)


def exact(fl, pairs, _):
    """One fl of the exact sum, from +0. Finite terms only: what the configs here give it."""
    m, e, terms = 0, 0, [0.0]
    for a, b in pairs:
        a, b = fl.operand(a), fl.operand(b)
        (ma, ea), (mb, eb) = parts(a), parts(b)
        terms.append(math.copysign(1, a) * math.copysign(1, b) * 0.0 if ma * mb == 0 else 1.0)
        low = min(e, ea + eb)
        m, e = (m << (e - low)) + (ma * mb << (ea + eb - low)), low
    return fl.lone((m, e) if m != 0 else fl.zero_sum(terms))


def multiterm(fl, pairs, parameters, rounding=None):
    """Steps of N products and the sum so far, aligned to the largest exponent, cut to F bits below it, added exactly, rounded once."""
    n, f = map(int, parameters.split(","))
    spec, s = fl.spec, 0.0
    for first in range(0, len(pairs), n):
        step = [(fl.operand(a), fl.operand(b)) for a, b in pairs[first : first + n]]
        if not all(map(math.isfinite, [s, *itertools.chain(*step)])):
            s = special(spec.format, s + sum(a * b for a, b in step))
            fl.step += 1
            continue
        terms = [] if s == 0 else [(*parts(s), exponent(s, spec.format.emin))]
        for a, b in step:
            if a != 0 and b != 0:
                least = spec.operands.emin if spec.operands else -(2**20)
                (ma, ea), (mb, eb) = parts(a), parts(b)
                terms.append((ma * mb, ea + eb, exponent(a, least) + exponent(b, least)))
        unit = max((e for _, _, e in terms), default=0) - f
        total = sum((1 if m > 0 else -1) * (abs(m) << (e - unit) if e >= unit else abs(m) >> (unit - e)) for m, e, _ in terms)
        s = 0.0
        if total != 0:
            s = round_exact(spec.format, rounding or spec.rounding, total, unit, lambda: fl.word(0), spec.random_bits, saturates=False)
        fl.step += 1
    return s


def exponent(x, least):
    return max(math.frexp(x)[1] - 1, least)


def engine(fl, pairs, parameters):
    """A matrix engine whose steps are passes with c, rounded to binary32 by RTZ ("fused"): core/arith/README.md."""
    return multiterm(fl, pairs, parameters, rounding="RTZ")


def parse_tree(text):
    """((0 1) 2) as nested lists of integers."""
    stack = [[]]
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            stack.append([])
        elif word == ")":
            node = stack.pop()
            stack[-1].append(node)
        else:
            stack[-1].append(int(word))
    return stack[0][0]


def fold(fl, node, leaf):
    """A tree of additions, children left to right."""
    if isinstance(node, int):
        return leaf(node)
    s = fold(fl, node[0], leaf)
    for child in node[1:]:
        s = fl.add(s, fold(fl, child, leaf))
    return s


def tree(fl, pairs, text):
    return fold(fl, parse_tree(text), lambda k: fl.mac(*pairs[k], 0.0))


def lane_tree(fl, pairs, text):
    count = sum(1 for word in text.replace("(", " ").replace(")", " ").split())
    s = [chain(fl, pairs[lane::count]) for lane in range(count)]
    return fold(fl, parse_tree(text), lambda lane: s[lane])


def fused_tree(fl, pairs, text):
    def value(node):
        s = 0.0
        for i, child in enumerate(node):
            if isinstance(child, int):
                s = fl.mac(*pairs[child], s)
            else:
                s = value(child) if i == 0 else fl.add(s, value(child))
        return s

    return value(parse_tree(text))


ORDERS = {"sequential": sequential, "reverse": reverse, "blocked": blocked, "pairwise": pairwise, "lanes": lanes, "split": split,
          "panels": panels, "numpy-sum": numpy_sum, "kahan": kahan, "neumaier": neumaier, "exact": exact, "multiterm": multiterm,
          "engine": engine, "tree": tree, "lane-tree": lane_tree, "fused-tree": fused_tree}
