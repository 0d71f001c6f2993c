"""What the networks share: sites as functions of their inputs, and a pass under a precision plan: method.md, section 4.

A network is a Model with `forward`, in a file of its own: gpt2.py, llama.py. Arrays are lists of rows; masked entries are NaN.
"""
import dataclasses
import math

import numpy as np
from operations import Output
from orders import dot
from rounding import NAN, Place
from selection import Softmax, select
from targets import BINARY64, LinearMap
from unlimited import Unlimited, binary64

SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2",
         "ln_f", "logits", "q", "k", "v", "rope_q", "rope_k", "gate", "up", "silu", "gated"]  # their positions are the ids of their draws
WITHOUT_LAYER = ("embed", "ln_f", "logits")
BY_HEAD = ("scores", "softmax", "values")


@dataclasses.dataclass
class Model:
    """config.json and the tensors. A network adds `layers`, `heads` and `forward(run)`, which computes its sites in order by `run.site`."""

    config: dict
    weights: dict

    def __getitem__(self, name):
        return self.weights[name]


# --- each site as a function of its inputs; `at(row, column)` starts the roundings of an output ------------------------------------


def linear(at, columns, bias, x):
    """Row times column, each output by itself; without a bias nothing is added."""
    if bias is None:
        return [[dot(at(i, c), row, column) for c, column in enumerate(columns)] for i, row in enumerate(x)]
    return [[affine(at(i, c), row, column, bias[c]) for c, column in enumerate(columns)] for i, row in enumerate(x)]


def affine(fl, row, column, bias):
    return fl.add(dot(fl, row, column), bias)  # the addition goes on in the count of the sum


def score(fl, q, k):
    return fl.div(dot(fl, q, k), math.sqrt(len(q)))


def softmax_row(fl, y):
    top = NAN if any(v != v for v in y) else max(y)
    t = [fl.sub(v, top) for v in y]
    e = [fl.exp(v) for v in t]
    s = dot(fl, e, [1.0] * len(e))
    return [fl.div(v, s) for v in e]


def values(at, z, v):
    columns = list(zip(*v))
    return [[dot(at(i, c), row[: i + 1], column[: i + 1]) for c, column in enumerate(columns)] for i, row in enumerate(z)]


def elementwise(at, function, *arrays):
    return [[function(at(i, c), *values) for c, values in enumerate(zip(*rows))] for i, rows in enumerate(zip(*arrays))]


def residual(at, x, y):
    return elementwise(at, lambda fl, a, b: fl.add(a, b), x, y)


def bounds(x, columns):
    """Of the inner products of a row with columns: the same in binary64 on absolute values, without a bias."""
    magnitudes = [abs(v) for v in x]
    return [dot(Output(BINARY64), magnitudes, [abs(v) for v in column]) for column in columns]


def square(rows):
    """Causal rows with NaN where they are masked."""
    return [row + [NAN] * (len(rows) - len(row)) for row in rows]


# --- the pass ---------------------------------------------------------------------------------------------------------------------


class Pass:
    """One cell's pass over one sequence. `arithmetic(site, layer, head)` is its plan, `selection(site, layer, head)` the keys
    of [lamp.SITE] there and the arithmetic that recomputes, or None.

    Afterwards `run` holds every site's rows by (layer, head) (`array` makes arrays of them), `local` those of the reference's operation on
    this pass's inputs (with `reference`, an Arithmetic or Unlimited), and `selected` the share of a site's components recomputed, by layer
    and head.
    """

    def __init__(self, model, tokens, arithmetic, seed, sequence, selection=lambda *_: None, reference=None):
        self.model, self.tokens, self.arithmetic, self.seed, self.sequence = model, tokens, arithmetic, seed, sequence
        self.selection, self.reference = selection, reference
        self.run, self.local, self.selected = {}, {}, {}
        model.forward(self)

    def at(self, site, layer=0, head=0, arithmetic=None):
        """The start of an output's roundings at a site."""
        spec = arithmetic or self.arithmetic(site, layer, head)
        if isinstance(spec, Unlimited):
            return lambda row, column: spec
        place = Place(self.seed, self.sequence, SITES.index(site), layer, head)
        return lambda row, column: Output(spec, place, row, column)

    def site(self, name, layer, function, *inputs, head=0):
        """Computes a site and keeps it, and what the reference's operation makes of the same inputs."""
        return self.keep(name, layer, head, function(self.at(name, layer, head), *inputs), lambda at: function(at, *inputs))

    def keep(self, name, layer, head, value, operation):
        """Keeps a site's rows, and those of `operation(at)` in the reference's arithmetic."""
        self.run.setdefault(name, {})[layer, head] = value
        if self.reference is not None:
            self.local.setdefault(name, {})[layer, head] = operation(self.at(name, layer, head, self.reference))
        return value

    def recomputed(self, name, layer, rows, row_of, again, heads=(0,), causal=False):
        """The rows of a site, the same list, with the components of each that its rule chooses recomputed: `row_of(i, keys)` makes a row to
        select in, `again(at, i, j)` recomputes. Rows with several `heads` have the components of all of them, side by side."""
        found = self.selection(name, layer, heads[0])
        if found is None:
            return rows
        keys, arithmetic = found
        at = {head: self.at(name, layer, head, arithmetic) for head in heads}
        width = len(rows[0]) // len(heads) if not causal else None
        counts = dict.fromkeys(heads, 0)
        place = Place(self.seed, self.sequence, SITES.index(name), layer, heads[0])
        for i, row in enumerate(rows):
            for j in select(row_of(i, keys), place, i):
                head = heads[0] if causal else heads[j // width]
                row[j] = again(at[head], i, j)
                counts[head] += 1
        for head, count in counts.items():
            self.selected.setdefault(name, {})[layer, head] = count / (len(rows) * (len(rows) + 1) / 2 if causal else len(rows) * width)
        return rows

    def linear(self, name, layer, columns, bias, x, row_of):
        """A linear site whose components are selected; `row_of(i, row, bound, keys)`: f of a low row, `bound()`: what bounds its
        inner products."""

        def operation(at):
            return linear(at, columns, bias, x)

        def again(at, i, j):
            return linear(lambda *_: at(i, j), [columns[j]], None if bias is None else [bias[j]], [x[i]])[0][0]

        rows = operation(self.at(name, layer))
        self.recomputed(name, layer, rows, lambda i, keys: row_of(i, rows[i], lambda: bounds(x[i], columns), keys), again)
        return self.keep(name, layer, 0, rows, operation)

    def projection(self, name, layer, columns, bias, x, following, stream, norm):
        """A projection that the site `following` adds to the stream; `norm(y, p, bound, keys)`: the norm that reads the sums."""
        at = self.at(following, layer)

        def row_of(i, row, bound, keys):
            return norm([at(i, c).add(*both) for c, both in enumerate(zip(stream[i], row))], row, bound, keys)

        return self.linear(name, layer, columns, bias, x, row_of)

    def logits(self, columns, x):
        def row_of(i, row, bound, keys):
            return Softmax(row, softmax_row(Output(BINARY64), row), bound, keys, len(row))

        return self.linear("logits", 0, columns, None, x, row_of)

    def attention(self, layer, parts, rows_of_map):
        """Scores, softmax and values of all heads, whose (q, k, v) are `parts`: rows of all heads side by side, which attn_proj maps."""
        heads = range(len(parts))
        z = [self.softmax(layer, head, q, k) for head, (q, k, _) in enumerate(parts)]
        columns = [column for _, _, v in parts for column in zip(*v)]  # of all heads
        width = len(columns) // len(parts)
        low = [values(self.at("values", layer, head), z[head], parts[head][2]) for head in heads]
        joined = [sum(rows, []) for rows in zip(*low)]

        def bound(i):
            return [bounds(z[j // width][i][: i + 1], [columns[j][: i + 1]])[0] for j in range(len(columns))]

        def again(at, i, j):
            return dot(at(i, j % width), z[j // width][i][: i + 1], columns[j][: i + 1])

        self.recomputed("values", layer, joined, lambda i, keys: LinearMap(joined[i], lambda: bound(i), rows_of_map, keys), again, heads)
        for head in heads:
            rows = [row[head * width : (head + 1) * width] for row in joined]
            self.keep("values", layer, head, rows, lambda at, head=head: values(at, z[head], parts[head][2]))
        return joined

    def softmax(self, layer, head, q, k):
        """Scores and softmax of a head."""
        length = len(q)

        def score_rows(at):
            return [[score(at(i, j), q[i], k[j]) for j in range(i + 1)] for i in range(length)]

        def softmax_rows(at, y):
            return square([softmax_row(at(i, 0), row[: i + 1]) for i, row in enumerate(y)])

        def row_of(i, keys):
            y = rows[i]

            def bound():  # fused binary64: q and k as they are, whatever `operands` the site has
                return [score(Output(BINARY64), [abs(x) for x in q[i]], [abs(x) for x in k[j]]) for j in range(i + 1)]

            return Softmax(y, softmax_row(self.at("softmax", layer, head)(i, 0), y), bound, keys, length)

        rows = score_rows(self.at("scores", layer, head))
        self.recomputed("scores", layer, rows, row_of, lambda at, i, j: score(at(i, j), q[i], k[j]), (head,), causal=True)
        y = self.keep("scores", layer, head, square(rows), lambda at: square(score_rows(at)))
        return self.site("softmax", layer, softmax_rows, y, head=head)

    @staticmethod
    def array(kept, site):
        """A kept site as an array with the dimensions that the result file gives it."""
        layers, heads = (sorted({place[axis] for place in kept[site]}) for axis in (0, 1))
        x = np.array([[[[binary64(v) for v in row] for row in kept[site][layer, head]] for head in heads] for layer in layers])
        if site not in BY_HEAD:
            x = x[:, 0]
        return x[0] if site in WITHOUT_LAYER else x

    def shares(self, site):
        """The share of a site's components that were recomputed, with the dimensions that the result file gives it."""
        layers, heads = (sorted({place[axis] for place in self.selected[site]}) for axis in (0, 1))
        x = np.array([[self.selected[site][layer, head] for head in heads] for layer in layers])
        if site not in BY_HEAD:
            x = x[:, 0]
        return x[0] if site in WITHOUT_LAYER else x
