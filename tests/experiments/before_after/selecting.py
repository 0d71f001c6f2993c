"""Configs of what is recomputed: selections, budgets, rules that know the pass, the ground truth, sampling until means are known."""
from .writing import ENDS, common, config


def _selection(title, length, keys, grid, low=None, **record):
    sections = common(length) | ENDS | {"arithmetic.low": low or {"preset": "lamp-paper", "mu": 3}}
    sections |= {"plan": {"default": "high", "scores": "low"}, "lamp.scores": keys | {"recompute": "high"}, "grid": grid}
    record = {"errors": ["scores", "softmax"], "detail": "full", "activations": ["scores"]} | record
    return config(title, sections | {"record": record})


RULES = ["lamp", "random", "random-full-row", "largest-logit", "none", "all"]
WEIGHTS, NORMS, SOLVERS, MASKS = ["absolute", "relative", "dot"], ["componentwise", "normwise1"], ["greedy", "exact"], ["exclude",
                                                                                                                        "as-zero"]


def selections(quick):
    length = 10 if quick else 24
    axes = {"lamp.scores.rule": RULES, "lamp.scores.norm": NORMS, "lamp.scores.solver": SOLVERS}
    if quick:  # the others ask for no weights
        axes["lamp.scores.rule"] = ["lamp", "random"]
    yield "tau", _selection("selection by tau", length, {"tau": 1.5}, axes | {"lamp.scores.weights": WEIGHTS,
                                                                              "lamp.scores.tau": [1.6, 1.1]})
    yield "rate", _selection("selection by rate", length, {"rate": 0.1},
                             axes | {"lamp.scores.weights": WEIGHTS, "lamp.scores.rate": [0.0, 0.07, 0.4]})
    yield "mask", _selection("selection and masks", length, {"weights": "absolute"},
                             axes | {"lamp.scores.mask": MASKS, "lamp.scores.tau": [1.9, 1.2]})
    yield "stochastic", _selection("selection of stochastic scores", length, {"rule": "lamp"},
                                   {"arithmetic.low.rounding": ["SR", "SRE"], "lamp.scores.tau": [1.3],
                                    "lamp.scores.recompute": ["high", "low"],
                                    "arithmetic.low.mu": [2, 9]}, {"mu": 3, "via": "binary32"})
    yield "shift", _selection("selection and shifts", length, {"rate": 0.2},
                              {"lamp.scores.shift": ["none", "mean", "adaptive"], "lamp.scores.rule": ["lamp", "first-terms"],
                               "lamp.scores.terms": [1, 16]}, concentration=True)


def everywhere(quick):
    """LAMP at every product at once: budgets of layers and heads, fallbacks, costs, and the rules that look further than a row."""
    sections = common(10 if quick else 24) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 4}}
    products = ["scores", "values", "attn_proj", "mlp_fc", "mlp_proj", "logits"]
    sections |= {"plan": {"default": "high", **{site: "low" for site in products}, "layer.1": "high", "layer.2.mlp_fc": "high"}}
    for site in products:
        norm = {"norm": "normwise1"} if site in ("values", "attn_proj", "mlp_proj") else {}
        sections[f"lamp.{site}"] = {"recompute": "high", "weights": "relative", "rate": 0.1, **norm}
    for site, what in (("attn_proj", "row"), ("mlp_proj", "layer")):
        sections[f"lamp.{site}"]["fallback"] = {"tolerance": 0.02, "what": what}
    sections |= {"lamp.layer.0.scores": {"tau": 1.2}, "lamp.layer.3.head.1.scores": {"rate": 0.5}, "cost": {"low": 1.5, "high": 4.6}}
    rules = ["window", "block-mean", "page-bound", "value-aware", "previous-layer", "previous-token", "first-terms", "key-mean"]
    grid = {"lamp.scores.rule": rules, "lamp.mlp_fc.rule": ["lamp", "value-aware"]}
    return config("everywhere", sections | {"grid": grid, "record": {"selected": True, "activations": ["resid_2"]}})


def known(quick):
    """Rules that know the whole pass."""
    sections = common(4 if quick else 6) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 3}}
    sections["model"]["activation"] = "relu"
    grid = {"lamp.scores.rule": ["fisher", "truth:local", "truth:one-low", "truth:one-high"], "lamp.scores.rate": [0.1, 0.4]}
    sections |= {"plan": {"default": "high", "scores": "low"}, "lamp.scores": {"recompute": "high"}, "grid": grid}
    return config("rules that know the pass", sections | {"record": {"selected": True}})


PREDICTORS = ["lamp", "lamp-relative", "lamp-dot", "lamp-exact", "lamp-normwise1", "value-aware", "largest-logit", "random", "window",
              "block-mean", "page-bound", "error", "z-error", "k-error", "first-order", "first-order-bound", "first-order-high",
              "fisher", "fisher-error", "one-low", "one-high", "local"]


def truths(quick):
    """The ground truth: of some rows in every way, ranked by every rule (a few if quick); of all rows and of heads, sites and layers."""
    some = {"end_to_end": ["one-high", "one-low"], "local": True, "subset_limit": 5, "tolerance": [0.05, 0.3], "row_sets": 3, "forward": 2,
            "layers": [1, 3], "heads": [1], "queries": [2, 4], "sample": 0.8, "rules": PREDICTORS[:: 5 if quick else 1],
            "budgets": [0.1, 0.3], "coarse": False}
    whole = {"local": False, "end_to_end": ["one-low"], "layers": "all", "rules": ["lamp", "one-low"], "coarse": True}
    for name, truth, length in (("some", some, 5), ("whole", whole, 2 if quick else 4)):
        sections = common(length, text="code") | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 3}, "truth": truth}
        yield name, config(f"the truth of {name}", sections | {"plan": {"default": "high", "scores": "low"},
                                                               "lamp.scores": {"recompute": "high", "tau": 1.2}})


def stopped(quick):
    """Sequences in rounds, by each metric; the first with ratios to a baseline."""
    for number, metric in enumerate(["kl", "flip_rate", "cross_entropy"][:1 if quick else 3]):
        sections = common(3 if quick else 5, sequences=5 if quick else 10) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 3}}
        stop = {"metric": metric, "relative_error": 0.3, "confidence": 0.9, "min_sequences": 4}
        if number == 0:
            stop["baseline"] = {"lamp.scores.rule": "none"}
        sections["model"]["activation"] = "silu"
        sections |= {"plan": {"default": "high", "scores": "low"}, "lamp.scores": {"recompute": "high", "tau": 1.1}, "stop": stop}
        yield metric, config(f"until {metric} is known", sections | {"grid": {"lamp.scores.rule": ["none", "lamp"]}})
