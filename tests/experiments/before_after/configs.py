"""The configs that use everything the language of configs has, and the check that they do."""
import json
import re
import tomllib

from .sides import ROOT

SITES = ["embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj", "resid_2",
         "ln_f", "logits"]
NANO, TEXTS = ROOT / "data/models/gpt2-nano", ROOT / "data/texts"
HEAD = 64  # terms of a score of gpt2-nano


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def config(title, sections, seed=7):
    """A config as text; `sections`: name of a table to its keys."""
    lines = ["schema_version = 1", f"title = {toml(title)}", f"seed = {seed}"]
    for name, keys in sections.items():
        lines += ["", f"[{name}]", *(f"{key if re.fullmatch('[a-z0-9_.]+', key) and name != 'grid' else toml(key)} = {toml(value)}"
                                     for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def common(length, sequences=1, text="prose", **more):
    return {"model": {"path": str(NANO)},
            "tokens": {"path": str(TEXTS / f"{text}.txt"), "sequence_length": length, "sequences": sequences, **more}}


def comb(n, start=0):
    tree = str(start)
    for k in range(start + 1, start + n):
        tree = f"({tree} {k})"
    return tree


def halves(first, n):
    return str(first) if n == 1 else f"({halves(first, n // 2)} {halves(first + n // 2, n - n // 2)})"


EVERYTHING = {"errors": SITES, "detail": "full", "activations": SITES}
LANES = "lane-tree:(0 1 (2 3) (4 5 (6 7)) (8 9 (10 11) (12 13 (14 15))))"
ORDERS = ["sequential", "reverse", "blocked:1", "blocked:7", "blocked:32", "pairwise:1", "pairwise:8", "lanes:1", "lanes:4", "lanes:16",
          "split:3",
          "split:4", "panels:48,4", "panels:448,16", "lane-tree:(1 (0 2))", LANES, "numpy-sum:8192", "numpy-sum:100", "kahan", "neumaier",
          "exact",
          "multiterm:8,24", "multiterm:4,9"]
TREES = [f"tree:{comb(HEAD)}", f"tree:{halves(0, HEAD)}", f"fused-tree:{comb(HEAD)}", f"fused-tree:({halves(0, 32)} {comb(32, 32)})"]
BASES = {"single": {"format": "binary32"}, "double": {"format": "binary64"}, "paper": {"preset": "lamp-paper", "mu": 7},
         "half": {"format": "binary16", "product": "binary16", "operands": "bfloat16", "rounding": "RTZ"},
         "stochastic": {"format": "ps7", "rounding": "SR", "random_bits": 16}}
ROUNDINGS = ["RNE", "RNA", "RTZ", "RTP", "RTN", "RTO", "SR", "SRE"]
OBJECTS = {"no-subnormals": {"p": 9, "emin": -60, "emax": 60, "subnormals": False},
           "saturating": {"p": 8, "emin": -126, "emax": 127, "infinities": False, "top_codes_lost": 1, "overflow": "max"},
           "wide": {"p": 30, "emin": -200, "emax": 200, "signed_zero": False, "nan": True},
           "positive": {"p": 12, "emin": -30, "emax": 31, "unsigned": True}}
ENDS = {"plan": {"default": "high"}, "arithmetic.high": {"format": "binary32"}}


def orders(quick):
    named = {}
    for base, keys in BASES.items():
        for number, order in enumerate(ORDERS):
            if not quick or base == "paper" or (base == "half" and number % 3 == 0):
                named[f"{base}-{number}"] = keys | {"order": order}
                if order == "blocked:32":
                    named[f"{base}-block-{number}"] = keys | {"order": order,
                                                              "block": {"format": "tf32", "via": "binary32", "product": "binary32"}}
    sections = common(1 if quick else 4) | {f"arithmetic.{name}": keys for name, keys in named.items()}
    sections |= {"arithmetic.high": {"format": "binary32"}, "plan": {"default": "high", "logits": "high"},
                 "grid": {"plan.default": list(named)}}
    return config("every order", sections | {"record": EVERYTHING})


def logits_orders(quick):
    """The orders at the logits too, whose sums are many; few tokens."""
    sections = common(1, text="code", offset=5) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 9}, "plan": {"default": "low"}}
    return config("orders at the logits", sections | {"grid": {"arithmetic.low.order": ORDERS[:6] if quick else ORDERS,
                                                               "arithmetic.low.rounding": ["RNE", "SRE"]},
                                                      "record": {"activations": ["logits"]}})


def trees(quick):
    named = {f"{base}-{i}": keys | {"order": order} for base, keys in BASES.items() for i, order in enumerate(TREES)}
    sections = common(6) | {f"arithmetic.{name}": keys for name, keys in named.items()} | ENDS
    sections |= {"plan": {"default": "high", "scores": "high"}, "grid": {"plan.scores": list(named)[:: 2 if quick else 1]}}
    return config("explicit trees", sections | {"record": EVERYTHING})


def roundings(quick):
    forms = ["ps7", "binary16", "bfloat16", "e5m2", "e4m3fn"] if quick else [
        "ps1", "ps7", "ps22", "binary32", "binary64", "binary16", "bfloat16", "tf32", "e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e3m2fn",
        "e2m3fn",
        "e2m1fn", "e8m0fnu", "ue4m3", *OBJECTS.values()]
    sections = common(1 if quick else 2) | {"arithmetic.low": {"format": "ps7", "random_bits": 9},
                                            "plan": {"default": "low", "logits": "low"}}
    return config("every rounding", sections | {"grid": {"arithmetic.low.format": forms, "arithmetic.low.rounding": ROUNDINGS},
                                                "record": EVERYTHING})


def decisions(quick):
    """What a multiply-accumulate decides: operands, product, via, random bits, and the same of a block."""
    low = {"format": "ps7", "rounding": "SR", "order": "blocked:5", "block": {"mu": 5, "rounding": "SRE", "random_bits": 3,
                                                                              "operands": "tf32",
                                                                              "product": "binary16", "via": "binary32",
                                                                              "order": "sequential"}}
    more = {"preset": "lamp-paper", "mu": 4, "order": "blocked:3", "block": {"preset": "lamp-paper", "format": "e5m2"}}
    sections = common(1 if quick else 3) | {"arithmetic.low": low, "arithmetic.more": more, "plan": {"default": "low", "qkv": "more"}}
    grid = {"arithmetic.low.operands": ["as-is", "e4m3fn"], "arithmetic.low.product": ["exact", "bfloat16"],
            "arithmetic.low.via": ["none", "binary32"],
            "arithmetic.low.random_bits": [1, 32][quick:], "arithmetic.more.block.rounding": ["RNE", "RTP"]}
    return config("every decision", sections | {"grid": grid, "record": EVERYTHING})


def engines(quick, modes):
    named = {}
    for number, (engine, operands, form) in enumerate(modes):
        if not quick or number % 2 == 0 or engine == "h100":
            named[f"{engine}-{operands}-{form}"] = {"engine": engine, "operands": operands, "format": form}
            if number % 3 == 0 and not quick:
                named[f"{engine}-{operands}-{form}-split"] = {"engine": engine, "operands": operands, "format": form,
                                                              "order": f"split:{1 + number % 5}"}
    sections = common(1 if quick else 3) | {f"arithmetic.{name}": keys for name, keys in named.items()}
    return config("every engine", sections | {"plan": {"default": next(iter(named))}, "grid": {"plan.default": list(named)},
                                              "record": EVERYTHING})


def stored(quick):
    """What values are kept in, how operands are rounded, and what partial sums are; another reference model by name alone."""
    parts = {"format": "binary32", "operands": "tf32", "operand_rounding": "RTZ", "order": "split:3", "part": "bfloat16"}
    blocks = {"format": "binary32", "order": "blocked:16", "block": {"format": "ps9", "operands": "bfloat16", "operand_rounding": "RNA"}}
    sections = common(1 if quick else 3) | ENDS | {"arithmetic.parts": parts, "arithmetic.blocks": blocks}
    sections |= {"plan": {"default": "high", "qkv": "parts", "mlp_fc": "blocks"}, "reference": {"model": str(NANO)},
                 "store": {"default": "bfloat16", "weights": "mxfp4", "cache.keys": "e4m3fn", "cache.values": "nvfp4", "gelu": "as-computed"},
                 "grid": {"store.default": ["as-computed", "bfloat16", "mxfp8-e4m3"]}}
    return config("stored", sections | {"record": EVERYTHING})


def _selection(title, length, keys, grid, low=None):
    sections = common(length) | ENDS | {"arithmetic.low": low or {"preset": "lamp-paper", "mu": 3}}
    sections |= {"plan": {"default": "high", "scores": "low"}, "lamp.scores": keys | {"recompute": "high"}, "grid": grid}
    return config(title, sections | {"record": {"errors": ["scores", "softmax"], "detail": "full", "activations": ["scores"]}})


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


def everywhere(quick):
    """LAMP at every product at once: budgets of layers and heads, fallbacks, costs, and the rules that look further than a row."""
    sections = common(10 if quick else 24) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 4}}
    products = ["scores", "values", "attn_proj", "mlp_fc", "mlp_proj", "logits"]
    sections |= {"plan": {"default": "high", **{site: "low" for site in products}, "layer.1": "high", "layer.2.mlp_fc": "high"}}
    for site in products:
        norm = {"norm": "normwise1"} if site in ("values", "attn_proj", "mlp_proj") else {}
        sections[f"lamp.{site}"] = {"recompute": "high", "weights": "relative", "rate": 0.1, **norm}
    sections["lamp.attn_proj"]["fallback"] = {"tolerance": 0.02, "what": "row"}
    sections |= {"lamp.layer.0.scores": {"tau": 1.2}, "lamp.layer.3.head.1.scores": {"rate": 0.5}, "cost": {"low": 1.5, "high": 4.6}}
    rules = ["window", "block-mean", "page-bound", "value-aware", "previous-layer", "previous-token", "first-terms", "key-mean"]
    grid = {"lamp.scores.rule": rules, "lamp.mlp_fc.rule": ["lamp", "value-aware"]}
    return config("everywhere", sections | {"grid": grid, "record": {"selected": True, "activations": ["resid_2"]}})


def places(quick):
    """A plan by layer and head, two texts, shuffled; each site in turn is another arithmetic; errors of some cells only."""
    plan = {"default": "high", "layer.0.head.1.scores": "low", "layer.1.head.0.values": "half", "layer.2.mlp_fc": "half",
            "layer.3.gelu": "low",
            "softmax": "half", "resid_2": "high", **{site: "high" for site in SITES if site not in ("softmax", "resid_2")}}
    sections = common(9, sequences=2, offset=3, shuffle=True) | ENDS
    sections["tokens"]["path"] = [str(TEXTS / f"{name}.txt") for name in ("science", "code")]
    sections["model"]["activation"], sections["tokens"]["source"] = "gelu", "text"
    sections |= {"reference": {"arithmetic": "fine"}, "arithmetic.fine": {"format": {"p": 40, "emin": -300, "emax": 300},
                                                                          "order": "pairwise:4"},
                 "arithmetic.low": {"mu": 4}, "arithmetic.half": {"format": "binary16"}, "plan": plan}
    grid = {f"plan.{site}": ["high", "low"] for site in (["embed", "gelu", "ln_f"] if quick else ["embed", "qkv", "gelu", "ln_2", "resid_1",
                                                                                                  "ln_f"])}
    return config("places", sections | {"grid": grid, "record": {"errors": SITES, "detail": "summary", "where": {"plan.gelu": ["low"]}}},
                  seed=4294967295)


def each_site(quick):
    """One site at a time in a format of few bits, by the axis of plan.default and a plan that names all other sites."""
    for site in SITES[4::8] if quick else SITES:
        sections = common(5, text="code") | ENDS | {"arithmetic.low": {"format": "e5m10", "order": "lanes:2"}}
        sections |= {"plan": {"default": "high", site: "low"}, "record": EVERYTHING}
        yield site, config(f"only {site}", sections)


def continued(quick):
    sections = common(12, sequences=1) | ENDS | {"arithmetic.low": {"preset": "lamp-paper", "mu": 4}, "arithmetic.gpu": {"engine": "h100"}}
    sections["model"]["activation"] = "gelu_new"
    sections |= {"plan": {"default": "high", "scores": "low", "mlp_fc": "gpu"},
                 "lamp.scores": {"rule": "lamp", "tau": 1.3, "recompute": "high"},
                 "continuation": {"prefix": 7, "tokens": 6 if quick else 12}, "reference": {"arithmetic": "high"},
                 "grid": {"arithmetic.low.rounding": ["RNE", "SR", "SRE"], "arithmetic.low.order": ["sequential", "pairwise:4", "split:3"],
                          "lamp.scores.rule": ["lamp", "random", "random-full-row"], "plan.values": ["low", "gpu"]},
                 "record": {"activations": ["logits"]}}
    return config("continued", sections)


def listed(quick, folder):
    (folder / "lists.ids").write_text("[1, 2, 3, 4, 5, 6, 7, 8]\n\n[4095,0,17, 17 ,17,9,2000,31,5]\n")
    sections = common(8, sequences=2, source="ids") | ENDS
    sections["tokens"]["path"] = str(folder / "lists.ids")
    sections["model"]["activation"] = "checkpoint"
    return config("lists of ids", sections | {"record": EVERYTHING})


def all_configs(quick, modes, folder):
    """Name to text."""
    found = {f.__name__: f(quick) for f in (orders, logits_orders, trees, roundings, decisions, stored, everywhere, places, continued)}
    found["engines"], found["listed"] = engines(quick, modes), listed(quick, folder)
    found |= {f"selection-{name}": text for name, text in selections(quick)}
    return found | {f"site-{name}": text for name, text in each_site(quick)}


def _flat(table, path=()):
    for key, value in table.items():
        here = (*path, *key.split("."))
        if isinstance(value, dict) and not (here[-1] in ("format", "operands", "product", "via") and "p" in value):
            yield here, value
            yield from _flat(value, here)
        elif path and path[0] == "grid":
            yield ("grid", "KEY"), value
            for item in value:
                yield (*path[1:], *key.split(".")), item
        else:
            yield here, value


def uses(texts):
    """(key as `lamp config` names it, value) of every config."""
    found = set()
    for text in texts:
        for path, value in _flat(tomllib.loads(text)):
            path = list(path)
            if path[0] == "arithmetic" and len(path) > 1:
                path[1] = "NAME"
            if path[0] in ("plan", "lamp", "store") and len(path) > 1 and path[1:] != ["default"]:
                path = [path[0], "SITE", *path[path.index(next(p for p in path if p in SITES)) + 1:]] if set(path) & set(SITES) else path
            for item in value if isinstance(value, list) else [value]:
                found.add((".".join(path), str(item)))
    return found


CHOICES = ["arithmetic.NAME.preset", "arithmetic.NAME.rounding", "arithmetic.NAME.engine", "lamp.SITE.rule", "lamp.SITE.weights",
           "lamp.SITE.norm",
           "lamp.SITE.solver", "lamp.SITE.mask", "record.detail", "tokens.source", "model.activation"]


def uncovered(texts, fields, engines_of, names_of_formats=()):
    """What `lamp config --json` and `lamp formats --json` name and no config uses."""
    used = uses(texts)
    keys, missing = {key for key, _ in used}, []
    kinds = {value.split(":")[0] for key, value in used if key.endswith(".order")}
    for field in fields:
        key, legal = field["key"], field["legal"]
        if not field["available"]:
            continue
        if key not in keys:
            missing.append(f"key {key}")
        if key == "arithmetic.NAME.order":
            missing += [f"order {kind}" for kind in (re.match("[a-z-]+", word)[0] for word in legal.split(", ")) if kind not in kinds]
        if key in CHOICES:
            missing += [f"{key} = {word}" for word in legal.split(", ") if (key, word) not in used]
    if unknown := set(CHOICES) - {field["key"] for field in fields}:
        missing.append(f"a list of values for {sorted(unknown)}, which are no keys any more")
    asked = {tuple(str(e.get(k, d)) for k, d in (("engine", ""), ("operands", "binary16"), ("format", "binary32")))
             for text in texts for e in tomllib.loads(text).get("arithmetic", {}).values()}
    missing += [f"engine {mode}" for mode in engines_of if mode not in asked]
    formats = {value for key, value in used if key.endswith(".format")}
    return missing + [f"format {name}" for name in names_of_formats if name not in formats]
