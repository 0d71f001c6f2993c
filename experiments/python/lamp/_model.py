"""lamp.Model: passes of a language model under a precision plan."""
import functools
import os

import numpy

from . import _arrays, _core, _rule, _toml
from ._arithmetic import Arithmetic


class Pass(dict):
    """What a pass showed: an array a site, by name, also as attributes (`found.logits`).

    Values are float64: (T, width) of embed, ln_f, logits; (layer, T, width); (layer, head, T, width) of scores, softmax, values. Of the
    causal sites scores and softmax the width is T, and entries that do not exist are NaN. SITE.selected is bool, of that shape; its
    attribute is SITE_selected."""

    def __getattr__(self, name):
        try:
            return self[name.replace("_selected", ".selected")]
        except KeyError:
            raise AttributeError(f"no site {name!r}; legal: {', '.join(self)}") from None


class Model(_core.Model):
    """A Hugging Face folder (GPT-2, Llama, Qwen2, Mistral) or a GGUF, as `lamp run` reads it.

        model = lamp.Model("data/models/gpt2-tiny")
        tokens = model.tokenize("Once upon a time")
        low = lamp.Arithmetic(preset="lamp-paper", mu=7)
        found = model.forward(tokens, {"default": "binary32", "scores": low}, taps=["scores", "resid_2"])

    n_layer, n_head, n_embd, n_positions, vocab_size, network, sites say what it is. ValueError, FileNotFoundError: with the text of the
    command line."""

    def __init__(self, folder):
        self.folder = str(folder)
        super().__init__(self.folder)

    def __repr__(self):
        return f"lamp.Model({self.folder!r})"

    def tokenize(self, text, *, special=False):
        """The ids of a text: int64 (n,). special: texts such as <|endoftext|> become their one id. Nothing is added."""
        return numpy.array(self._encode(text, special), numpy.int64)

    def detokenize(self, tokens):
        """The text of ids; bytes that are no UTF-8 are replaced."""
        return self._decode(_ids(tokens)).decode("utf-8", "replace")

    def forward(self, tokens, plan, taps=(), *, lamp=None, store=None, first_logits=0, seed=0, sequence=0, threads=None):
        """One pass over a sequence.

        tokens: ids (T,), 1 <= T <= n_positions. plan: an arithmetic for all sites, or a dict as [plan] of a config, {"default": ..,
        SITE: .., "layer.3.SITE": .., "layer.3.head.1.SITE": ..}, each a lamp.Arithmetic, a dict of its keys, or the name of a format.
        lamp: as [lamp] of a config, {"scores": {"tau": 1.5, "recompute": ..}}; a rule may be a function of a lamp.Row, too, which runs in
        this process, one row at a time. store: as [store]. taps: sites to show beside the logits, and "SITE.selected". first_logits: the
        first row of logits to evaluate. seed, sequence: what stochastic modes and rules draw from, as seed of a config and the number of a
        sequence; so the values are those of `lamp run`, bit by bit.

        Returns lamp.Pass: a dict of arrays."""
        tokens = _ids(tokens)
        described = self._described(plan, lamp, store, len(tokens))
        if not 0 <= first_logits < max(1, len(tokens)):
            raise ValueError(f"first_logits is {first_logits}; legal: 0 to {len(tokens) - 1}")
        names = [taps] if isinstance(taps, str) else list(taps)
        found = self._forward(described, tokens, names, first_logits, seed, sequence, _arrays.threads(threads))
        return Pass((name, array.view(bool) if name.endswith(".selected") else array) for name, array in found.items())

    def generate(self, tokens, count, plan, *, lamp=None, store=None, seed=0, sequence=0, threads=None):
        """`count` tokens after a prefix, each the most probable one: int64 (count,), fewer where logits are NaN. The rest as in
        forward."""
        tokens = _ids(tokens)
        described = self._described(plan, lamp, store, len(tokens))
        return numpy.array(self._generate(described, tokens, count, seed, sequence, _arrays.threads(threads)), numpy.int64)


    def _described(self, plan, lamp, store, length):
        lamp, rules = with_own_rules(lamp or {})
        return self._plan(_toml.dumps(config_of(plan, lamp, store, length)), rules)


def _ids(tokens):
    tokens = numpy.asarray(tokens)
    if tokens.size and tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens has dtype {tokens.dtype}; legal: integers")
    if tokens.ndim != 1:
        raise ValueError(f"tokens has shape {tokens.shape}; legal: (T,)")
    return [int(token) for token in tokens]


def with_own_rules(lamp):
    """[lamp] with a name in the place of each callable, and by site what answers for it; of "python:FILE:FUNCTION" that function."""
    named, rules = {}, {}
    for site, keys in lamp.items():
        rule = keys.get("rule") if isinstance(keys, dict) else None
        file, _, function = rule[len("python:"):].rpartition(":") if isinstance(rule, str) and rule.startswith("python:") else ("", "", "")
        if file:
            with open(file, "rb") as source:
                rule = _rule.function_of(_rule.module_of(os.path.abspath(file), source.read()), function)
        if callable(rule):
            rules[site] = functools.partial(_rule.answer, rule), getattr(rule, "keys", False) is True
            keys = {**keys, "rule": "python:callable:rule"}
        named[site] = keys
    return named, rules


def config_of(plan, lamp, store, length):
    """A config with named arithmetics, which has what the caller said in its tables."""
    arithmetics = {}

    def name_of(value):
        if isinstance(value, str):
            value = {"format": value}
        described = dict(value.config if isinstance(value, Arithmetic) else value)
        name = next((known for known, same in arithmetics.items() if same == described), f"a{len(arithmetics)}")
        arithmetics[name] = described
        return name

    plan = plan if isinstance(plan, dict) and "default" in plan else {"default": plan}
    config = {"title": "plan", "plan": {site: name_of(value) for site, value in plan.items()}}
    if lamp:
        config["lamp"] = {site: {key: name_of(value) if key == "recompute" else value for key, value in keys.items()}
                          for site, keys in lamp.items()}
    if store:
        config["store"] = store
    return {**config, "arithmetic": arithmetics, "model": {"path": "."}, "tokens": {"path": ".", "sequence_length": max(1, length)}}
