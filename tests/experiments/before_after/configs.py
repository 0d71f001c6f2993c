"""The configs that use everything the language of configs has: arithmetics and places here, what is recomputed in selecting.py."""
from . import selecting
from .writing import ENDS, EVERYTHING, LLAMA, LLAMA_SITES, NANO, SITES, TEXTS, common, config

HEAD = 64  # terms of a score of gpt2-nano


def comb(n, start=0):
    tree = str(start)
    for k in range(start + 1, start + n):
        tree = f"({tree} {k})"
    return tree


def halves(first, n):
    return str(first) if n == 1 else f"({halves(first, n // 2)} {halves(first + n // 2, n - n // 2)})"


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
SYSTEMS = ["mxfp8-e4m3", "mxfp8-e5m2", "mxfp6-e3m2", "mxfp6-e2m3", "mxfp4", "nvfp4"]


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


def blocks(quick):
    """Every rounding inside a block, of its sums and of its operands."""
    block = {"mu": 6, "operands": "tf32", "random_bits": 5}
    sections = common(1) | ENDS | {"arithmetic.low": {"format": "bfloat16", "order": "blocked:9", "block": block},
                                   "plan": {"default": "high", "qkv": "low"}}
    grid = {"arithmetic.low.block.rounding": ROUNDINGS, "arithmetic.low.block.operand_rounding": ROUNDINGS[:1 if quick else 3]}
    return config("every rounding of a block", sections | {"grid": grid, "record": {"errors": ["qkv"], "activations": ["qkv"]}})


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
    sections = common(1 if quick else 2) | ENDS | {"arithmetic.parts": parts, "arithmetic.blocks": blocks}
    sections |= {"plan": {"default": "high", "qkv": "parts", "mlp_fc": "blocks"}, "reference": {"model": str(NANO)},
                 "store": {"default": "bfloat16", "weights": "mxfp4", "cache.keys": "e4m3fn", "cache.values": "nvfp4",
                           "gelu": "as-computed"},
                 "grid": {"store.default": ["as-computed", "bfloat16", *SYSTEMS][:: 3 if quick else 1],
                          "arithmetic.parts.operand_rounding": ["RTZ", "RNA", "RNE"][quick:]}}
    return config("stored", sections | {"record": {"errors": SITES, "activations": SITES}})


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
    sections = common(8, sequences=2, source="ids", shuffle=False) | ENDS
    sections["tokens"]["path"] = str(folder / "lists.ids")
    sections["model"]["activation"] = "checkpoint"
    return config("lists of ids", sections | {"record": EVERYTHING | {"selected": False, "concentration": False}})


def lengths(quick, folder):
    """Prompts of their own lengths, continued."""
    (folder / "prompts.ids").write_text("[1, 2, 3, 4, 5]\n[31]\n[4095, 0, 17, 17, 17, 9, 2000, 31, 5]\n")
    sections = common(8, sequences=3, source="ids", shuffle=False) | ENDS
    sections["tokens"] |= {"path": str(folder / "prompts.ids"), "min_length": 1}
    return config("prompts", sections | {"record": EVERYTHING | {"selected": False, "concentration": False},
                                         "continuation": {"prefix": 8, "tokens": 3 if quick else 9}})


def llama(quick, folder):
    """The Llama family by a tiny model: its own sites each low in a layer, LAMP before its activation as well, what its cache keeps."""
    (folder / "llama.ids").write_text("[7, 3, 40, 12, 12, 31, 5, 47, 0]\n[1, 1, 2, 29, 46, 18, 9, 33, 4]\n")
    sections = {"model": {"path": str(LLAMA), "activation": "silu"},
                "tokens": {"path": str(folder / "llama.ids"), "source": "ids", "sequence_length": 9, "sequences": 1 if quick else 2}} | ENDS
    selected = {"scores": {"rule": "key-mean"}, "gate": {"weights": "relative"}, "mlp_proj": {"norm": "normwise1"}}
    sections |= {"arithmetic.low": {"format": "bfloat16"}, "plan": {"default": "high", **{site: "low" for site in selected}},
                 "store": {"cache.keys": "e4m3fn", "cache.values": "e5m2", "layer.1.up": "mxfp4"},
                 "continuation": {"prefix": 4, "tokens": 5}}
    sections |= {f"lamp.{site}": {"recompute": "high", "rate": 0.25, **keys} for site, keys in selected.items()}
    own = [site for site in LLAMA_SITES if site not in SITES and site not in selected]
    sections["arithmetic.some"] = {"format": "e5m10", "order": "reverse"}
    sections["plan"] |= {f"layer.{number % 2}.{site}": "some" for number, site in enumerate(own)}
    grid = {"plan.default": ["high", "some"], "lamp.gate.rule": ["lamp", "value-aware"]}
    return config("a Llama", sections | {"grid": grid, "record": {"errors": own, "activations": LLAMA_SITES, "selected": True}})


def all_configs(quick, modes, folder):
    """Name to text."""
    found = {f.__name__: f(quick) for f in (orders, logits_orders, trees, roundings, decisions, blocks, stored, places, continued,
                                            selecting.everywhere, selecting.known)}
    found |= {"engines": engines(quick, modes), "listed": listed(quick, folder), "lengths": lengths(quick, folder), "llama": llama(quick, folder)}
    for group in (selecting.selections, selecting.truths, selecting.stopped):
        found |= {f"{group.__name__}-{name}": text for name, text in group(quick)}
    return found | {f"site-{name}": text for name, text in each_site(quick)}
