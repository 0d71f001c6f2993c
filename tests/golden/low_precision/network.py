"""What the networks share: sites as functions of their inputs, and a pass under a precision plan: method.md, section 4.

A network is a Model with `forward`, in a file of its own: gpt2.py, llama.py. Arrays are lists of rows; masked entries are NaN.
"""
import dataclasses
import math

import numpy as np
from operations import Output
from orders import dot
from rounding import FORMATS, NAN, Arithmetic, Place
from selection import Row, select
from unlimited import Unlimited, binary64

SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2",
         "ln_f", "logits", "q", "k", "v", "rope_q", "rope_k", "gate", "up", "silu", "gated"]  # their positions are the ids of their draws
WITHOUT_LAYER = ("embed", "ln_f", "logits")
BY_HEAD = ("scores", "softmax", "values")
BINARY64 = Arithmetic(FORMATS["binary64"])


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


def masked(row, length):
    return row + [NAN] * (length - len(row))


# --- the pass ---------------------------------------------------------------------------------------------------------------------


class Pass:
    """One cell's pass over one sequence. `arithmetic(site, layer, head)` is its plan, `lamp` its [lamp.scores] or None.

    Afterwards `run` holds every site's rows by (layer, head) (`array` makes arrays of them), `local` those of the reference's operation on
    this pass's inputs (with `reference`, an Arithmetic or Unlimited), and `selected` the number of scores recomputed by layer and head.
    """

    def __init__(self, model, tokens, arithmetic, seed, sequence, lamp=None, recompute=None, reference=None):
        self.model, self.tokens, self.arithmetic, self.seed, self.sequence = model, tokens, arithmetic, seed, sequence
        self.lamp, self.recompute, self.reference = lamp, recompute, reference
        self.run, self.local = {}, {}
        self.selected = np.zeros((model.layers, model.heads), int)
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
        value = function(self.at(name, layer, head), *inputs)
        self.run.setdefault(name, {})[layer, head] = value
        if self.reference is not None:
            self.local.setdefault(name, {})[layer, head] = function(self.at(name, layer, head, self.reference), *inputs)
        return value

    def attention(self, layer, head, q, k, v):
        """Scores, softmax and values of a head."""
        length = len(q)

        def score_rows(at):
            return [[score(at(i, j), q[i], k[j]) for j in range(i + 1)] for i in range(length)]

        def softmax_rows(at, y):
            return [masked(softmax_row(at(i, 0), row[: i + 1]), length) for i, row in enumerate(y)]

        low = score_rows(self.at("scores", layer, head))
        mixed = [list(row) for row in low]
        if self.lamp is not None:
            soft, again = self.at("softmax", layer, head), self.at("scores", layer, head, self.recompute)
            for i, y in enumerate(low):
                for j in self.select(layer, head, i, y, softmax_row(soft(i, 0), y), q, k):
                    mixed[i][j] = score(again(i, j), q[i], k[j])
                    self.selected[layer, head] += 1
        y = self.run.setdefault("scores", {})[layer, head] = [masked(row, length) for row in mixed]
        if self.reference is not None:
            exact = score_rows(self.at("scores", layer, head, self.reference))
            self.local.setdefault("scores", {})[layer, head] = [masked(row, length) for row in exact]
        z = self.site("softmax", layer, softmax_rows, y, head=head)
        return self.site("values", layer, values, z, v, head=head)

    def select(self, layer, head, i, y, z, q, k):
        w = None
        if self.lamp.get("weights") == "dot":  # fused binary64: q and k as they are, whatever `operands` the site has
            magnitudes = [abs(x) for x in q[i]]
            w = [score(Output(BINARY64), magnitudes, [abs(x) for x in k[j]]) for j in range(i + 1)]
        place = Place(self.seed, self.sequence, SITES.index("scores"), layer, head)
        return select(Row(y, z, w, self.lamp, len(q)), y, place, i)

    @staticmethod
    def array(kept, site):
        """A kept site as an array with the dimensions that the result file gives it."""
        layers = sorted({layer for layer, _ in kept[site]})
        heads = sorted({head for _, head in kept[site]})
        x = np.array([[[[binary64(v) for v in row] for row in kept[site][layer, head]] for head in heads] for layer in layers])
        if site not in BY_HEAD:
            x = x[:, 0]
        return x[0] if site in WITHOUT_LAYER else x
