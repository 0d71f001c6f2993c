"""The table of what must be refused: configs, command lines, models, tokens. Taken from the tests of each."""
from .configs import comb
from .writing import NANO, TEXTS

BASE = f"""schema_version = 1
title = "a title"
[model]
path = "{NANO}"
[tokens]
path = "{TEXTS}/prose.txt"
sequence_length = 24
sequences = 1
[arithmetic.low]
preset = "lamp-paper"
mu = 7
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
recompute = "high"
"""


def with_(old, new):
    assert old in BASE, old
    return BASE.replace(old, new, 1)


def low(keys):
    return with_("mu = 7", "mu = 7\n" + keys)


def engine(keys):
    return with_('preset = "lamp-paper"\nmu = 7', keys)


def rule(keys):
    return with_("recompute", keys + "\nrecompute")


def grid(axes):
    return BASE + "[grid]\n" + axes + "\n"


LENGTH, FORMAT, TITLE, HIGH, PLAN = "sequence_length = 24", '"binary32"', '"a title"', "[arithmetic.high]", 'scores = "low"'
TAU = '"lamp.scores.tau" = '
TOO_MANY = with_("[lamp.scores]", '[arithmetic.more]\nformat = "ps2"\n[lamp.scores]') + "\n".join([
    "[grid]", TAU + "[" + ", ".join(f"{i}e-3" for i in range(2000)) + "]", f'"arithmetic.low.mu" = {list(range(1, 24))}',
    *(f'"plan.{site}" = ["low", "high", "more"]' for site in ("scores", "softmax", "values")), ""])

# (what, text): each is refused by `lamp plan`, or is legal on purpose.
CONFIGS = [
    ("base", BASE), ("empty", ""), ("comment only", "# nothing\n"), ("not TOML", "title a\n"), ("unterminated string", 'title = "a\n'),
    ("unknown key", with_("sequence_length", "sequence_lenght")), ("unknown section", with_("[tokens]", "[token]")),
    ("unknown key of an arithmetic", with_("preset", "prest")), ("unknown site", with_(PLAN, 'score = "low"')),
    ("unknown site of a selection", with_("[lamp.scores]", "[lamp.score]")),
    ("selection elsewhere", with_("[lamp.scores]", "[lamp.logits]")),
    ("selection of a layer", BASE + "[lamp.layer.3.scores]\ntau = 1\n"), ("layer without number", with_("scores =", "layer.x.scores =")),
    ("layer of a site without", with_("scores =", "layer.0.embed =")),
    ("head of a site without", with_("scores =", "layer.0.head.0.ln_1 =")),
    ("layer with leading zero", with_("scores =", "layer.00.scores =")), ("site goes on", with_("scores =", "scores.x =")),
    ("layer of no model", with_("scores =", "layer.4.scores =")), ("head of no model", with_("scores =", "layer.0.head.2.scores =")),
    ("whole layer", with_("scores =", "layer.0 =")), ("unknown arithmetic", with_(PLAN, 'scores = "lwo"')),
    ("unknown reference", BASE + '[reference]\narithmetic = "binary32"\n'),
    ("mpfr reference", BASE + '[reference]\narithmetic = "mpfr:256"\n'),
    ("wrong type: title", with_(TITLE, "7")), ("wrong type: table", with_(TITLE, "{a = 1}")), ("title with slash", with_("a title", "a/b")),
    ("title empty", with_("a title", "")), ("title of 201 bytes", with_("a title", "a" * 201)),
    ("title with control", with_("a title", "a\\u0007")),
    ("length text", with_(LENGTH, 'sequence_length = "64"')), ("length 0", with_(LENGTH, "sequence_length = 0")),
    ("length 1.0", with_(LENGTH, "sequence_length = 1.0")), ("length beyond the model", with_(LENGTH, "sequence_length = 513")),
    ("date", with_(LENGTH, "sequence_length = 2026-01-01")), ("sequences 0", with_("sequences = 1", "sequences = 0")),
    ("sequences beyond the text", with_("sequences = 1", "sequences = 100000")),
    ("offset beyond", with_("sequences = 1", "offset = 100000000")),
    ("offset negative", with_("sequences = 1", "offset = -1")), ("shuffle 1", with_("sequences = 1", "shuffle = 1")),
    ("source", with_("sequences = 1", 'source = "texts"')), ("activation", with_("[tokens]", 'activation = "relu"\n[tokens]')),
    *[(f"mu {mu}", with_("mu = 7", f"mu = {mu}")) for mu in ("0", "24", "-1", "4.0", '"4"', "true", "[4]", "9223372036854775808")],
    ("mu and format", low('format = "ps7"')), ("no format", with_("mu = 7", "")), ("empty arithmetic", BASE + "[arithmetic.more]\n"),
    ("unused arithmetic", BASE + '[arithmetic.more]\nformat = "ps3"\n'), ("unknown format", with_(FORMAT, '"binary33"')),
    *[(f"format {name}", with_(FORMAT, f'"{name}"')) for name in ("ps0", "ps24", "e1m2", "e12m3", "e5m60", "PS7", " ps7", "e2m0", "")],
    ("format without p", with_(FORMAT, "{emin = -3, emax = 3}")),
    ("format, unknown key", with_(FORMAT, "{p = 3, emin = -3, emax = 3, subnormal = true}")),
    ("format upside down", with_(FORMAT, "{p = 3, emin = 3, emax = -3}")),
    ("format too wide", with_(FORMAT, "{p = 113, emin = -16382, emax = 16383}")),
    ("format beyond MPFR", with_(FORMAT, "{p = 10001, emin = -3, emax = 3}")),
    ("format p 0", with_(FORMAT, "{p = 0, emin = -3, emax = 3}")),
    ("format without overflow", with_(FORMAT, "{p = 4, emin = -6, emax = 8, infinities = false}")),
    ("format, codes lost", with_(FORMAT, "{p = 4, emin = -6, emax = 8, top_codes_lost = 100}")),
    ("format, overflow", with_(FORMAT, "{p=4, emin=-6, emax=8, overflow='x'}")),
    ("format in a string", with_(FORMAT, '"{p = 4, emin = -6}"')),
    ("two keys in a string", with_(FORMAT, '"{p = 4, emin = -6, emax = 8}\\nx = {}"')),
    ("name of an arithmetic", with_(HIGH, '[arithmetic."h h"]')), ("reserved name", with_(HIGH, "[arithmetic.binary64]")),
    *[(f"order {o}", low(f'order = "{o}"')) for o in ("blocked", "blocked:0", "blocked:x", "lanes:3", "kahan:2", "tree:(0 0)", "tree:(0 1",
                                                      "tree:()",
                                                     "sequental", "split:0", "panels:8", "panels:8,0", "panels:8,4,2", "lane-tree:(0)",
                                                      "lane-tree:(0 2)",
                                                     "numpy-sum:", "numpy-sum:4", "multiterm:4", "multiterm:0,3", "multiterm:4,-1",
                                                      "pairwise:-1",
                                                     "lanes:128", "exact:1", "", "tree:" + "(" * 2000, "fused-tree:((0) (0))")],
    ("order of wrong type", low("order = 3")), ("tree too short", low(f'order = "tree:{comb(63)}"')),
    ("tree that fits", low(f'order = "tree:{comb(64)}"')),
    ("tree at rows", with_(PLAN, 'values = "low"').replace("mu = 7", 'mu = 7\norder = "tree:(0 1)"')),
    ("tree on an axis", grid(f'"arithmetic.low.order" = ["kahan", "tree:{comb(5)}"]')),
    ("tree of the reference", low('order = "tree:(0 1)"') + '[reference]\narithmetic = "low"\n'),
    ("unknown rounding", low('rounding = "RNZ"')), ("rounding of wrong type", low("rounding = 1")),
    *[(f"random_bits {n}", low(f"random_bits = {n}")) for n in ("0", "33", "8.0", '"8"')],
    ("block is no table", low('block = "binary32"')), ("block without format", low("block = {}")),
    ("block with both", low('block = {mu = 2, format = "ps2"}')),
    ("block, unknown key", low('block = {format = "ps2", viaa = "ps3"}')),
    ("block, wrong value", low('block = {format = "ps2", rounding = "up"}')),
    ("block, wide", low("block.format = {p = 113, emin = -1, emax = 1}")), ("block, order", low('block = {mu = 3, order = "kahan"}')),
    ("operands", low('operands = "exact"')), ("product", low('product = "none"')), ("via", low("via = false")),
    ("engine beside preset", low('engine = "h100"')), ("engine with mu", engine('mu = 7\nengine = "h100"')),
    ("engine with order", engine('engine = "h100"\norder = "sequential"')),
    ("engine with block", engine('engine = "h100"\nblock = {mu = 3}')),
    ("engine, operands", engine('engine = "v100"\noperands = "bfloat16"')),
    ("engine, as-is", engine('engine = "h100"\noperands = "as-is"')),
    ("engine unknown", low('engine = "h10"')), ("engine with rounding", engine('engine = "h100"\nrounding = "RTZ"')),
    ("engine with SR", engine('engine = "a100"\nrandom_bits = 3')),
    ("unknown preset", with_("lamp-paper", "paper")),
    *[(f"tau {t}", rule(f"tau = {t}")) for t in ("nan", "inf", "-0.5", "1e400", '"1"', "4194305")],
    ("tau and rate", rule("tau = 1\nrate = 0.1")), ("rate above 1", rule("rate = 1.5")), ("rule truth", rule('rule = "truth"')),
    ("rule window", rule('rule = "window"')),
    ("fallback without tolerance", rule('fallback.what = "row"')), ("fallback of an unknown thing", rule('fallback = {tolerance = 1, what = "head"}')),
    ("layer of logits", BASE + '[lamp.logits]\nrecompute = "high"\nfallback = {tolerance = 1, what = "layer"}\n'),
    ("values, componentwise", BASE + '[lamp.values]\nrecompute = "high"\n'),
    ("norm of an activation", BASE + '[lamp.mlp_fc]\nrecompute = "high"\nnorm = "normwise1"\n'),
    ("budget of no selection", BASE + "[lamp.layer.0.logits]\ntau = 1\n"), ("cost of nothing", BASE + "[cost]\nlow = 0.0\nhigh = 1.0\n"),
    ("page-bound at a norm", BASE + '[lamp.attn_proj]\nrecompute = "high"\nrule = "page-bound"\n'),
    ("unknown rule", rule('rule = "lamb"')), ("recompute absent", with_('recompute = "high"', "")),
    ("recompute unknown", with_('recompute = "high"', 'recompute = "hi"')),
    ("title absent", with_('title = "a title"', "")), ("plan.default absent", with_('default = "high"', "")),
    ("model absent", with_("[model]", "").replace(f'path = "{NANO}"', "")),
    ("truth", BASE + "[truth]\n"), ("truth key", BASE + "[truth]\nlocal = true\n"), ("cost", BASE + "[cost]\nlow = 1.0\n"),
    ("store", BASE + '[store]\ndefault = "bfloat16"\n'),
    ("stop", BASE + '[stop]\nmetric = "kl"\n'), ("as-zero, relative", rule('mask = "as-zero"\nweights = "relative"')),
    ("as-zero on axes", rule('mask = "as-zero"') + '[grid]\n"lamp.scores.weights" = ["absolute", "dot"]\n'),
    ("unknown weights", rule('weights = "relativ"')),
    ("unknown solver", rule('solver = "best"')), ("unknown norm", rule('norm = "normwise"')), ("unknown mask", rule('mask = "zero"')),
    ("reference on an axis", BASE + '[reference]\narithmetic = "high"\n[grid]\n"arithmetic.high.format" = ["ps3"]\n'),
    ("errors, unknown site", BASE + '[record]\nerrors = ["softmax", "sores"]\n'),
    ("errors, twice", BASE + '[record]\nerrors = ["scores", "scores"]\n'),
    ("errors, no list", BASE + '[record]\nerrors = "scores"\n'), ("activations, unknown", BASE + '[record]\nactivations = ["logit"]\n'),
    ("detail", BASE + '[record]\ndetail = "all"\n'),
    ("selected", BASE + "[record]\nselected = true\n"), ("where, no grid", BASE + '[record]\nwhere = {"lamp.scores.tau" = [1.5]}\n'),
    ("where, no axis", grid(TAU + '[1.5]\n[record]\nwhere = {"lamp.scores.tua" = [1.5]}')),
    ("where, no value", grid(TAU + '[1.5, 2]\n[record]\nwhere = {"lamp.scores.tau" = [1.5, 1]}')),
    ("where, empty", grid(TAU + '[1.5]\n[record]\nwhere = {"lamp.scores.tau" = []}')),
    ("where, no list", grid(TAU + '[1.5]\n[record]\nwhere = {"lamp.scores.tau" = 1.5}')),
    ("where, no table", BASE + "[record]\nwhere = [1]\n"), ("list in an axis", grid(TAU + "[[1.5]]")),
    ("table in an axis", grid('"arithmetic.low.mu" = [{p = 4, emin = -6, emax = 8}]')),
    ("bad format on an axis", grid('"arithmetic.low.format" = [{p = 4, emin = -6}]')),
    ("random_bits on an axis", grid('"arithmetic.low.random_bits" = [8, 64]')),
    ("axis over no block", grid('"arithmetic.low.block.via" = ["none"]')),
    ("preset of a block", grid('"arithmetic.low.block.preset" = ["lamp-paper"]')),
    ("schema_version", with_("schema_version = 1", "schema_version = 2")), ("seed", "seed = 4294967296\n" + BASE),
    ("seed -1", "seed = -1\n" + BASE),
    ("texts of one name", with_(f'"{TEXTS}/prose.txt"', '["a/p.txt", "b/p.txt"]')), ("no texts", with_(f'"{TEXTS}/prose.txt"', "[]")),
    ("path 7", with_(f'"{TEXTS}/prose.txt"', "7")),
    ("text absent", with_("prose.txt", "absent.txt")), ("text is a folder", with_("/prose.txt", "")),
    ("model absent", with_(str(NANO), "/nowhere")), ("model is a text", with_(str(NANO), str(TEXTS / "code.txt"))),
    ("empty grid", BASE + "[grid]\n"), ("empty axis", grid(TAU + "[]")), ("axis is no list", grid(TAU + "1")),
    ("duplicate value", grid(TAU + "[1.0, 2.0, 1]")),
    ("duplicate axis", grid(TAU + "[1]\n[grid.lamp.scores]\ntau = [2]")), ("duplicate axis, same", grid(TAU + "[1]\n" + TAU + "[2]")),
    ("bad value", grid('"arithmetic.low.mu" = [2, 24]')),
    ("nan on an axis", grid(TAU + "[nan]")), ("unknown name on an axis", grid('"plan.scores" = ["low", "hihg"]')),
    ("axis elsewhere", grid("tokens.offset = [1, 2]")),
    ("seed on an axis", grid("seed = [1, 4294967296]")), ("shuffle in words", grid('tokens.shuffle = ["false"]')),
    ("models of one name", grid('model.path = ["a/m", "b/m"]')),
    ("axis of no key", grid('"arithmetic.low.nu" = [1]')), ("axis of no arithmetic", grid('"arithmetic.lo.mu" = [1]')),
    ("axis of no selection", grid('"lamp.softmax.tau" = [1]')),
    ("alternatives", grid('"arithmetic.low.mu" = [1]\n"arithmetic.low.format" = ["ps2"]')),
    ("preset axis", grid('"arithmetic.low.preset" = ["lamp-paper"]')),
    ("tau and rate axes", grid(TAU + '[1.0]\n"lamp.scores.rate" = [0.1]')), ("duplicate key", 'title = "b"\n' + BASE),
    ("duplicate key, dotted", '"model.path" = "x"\n' + BASE),
    ("byte order mark", "\ufeff" + BASE), ("UTF-16", b"\xff\xfet\0i\0"),
    ("invalid UTF-8", BASE.encode().replace(b"a title", b"a \xc3\x28")),
    ("overlong UTF-8", BASE.encode().replace(b"a title", b"\xc0\x80")), ("surrogate", BASE.encode().replace(b"a title", b"\xed\xa0\x80")),
    ("truncated UTF-8", b'title = "\xe2\x82'),
    ("zero byte", b'title = "a\0b"'), ("nested brackets", "x = " + "[" * 100000), ("nested tables", "x = " + "{a=" * 20000),
    ("dotted key", "a" + ".a" * 100000 + " = 1"),
    ("quoted dotted key", '"a' + ".a" * 100000 + '" = 1'), ("dotted header", "[a" + '."a"' * 100000 + "]"),
    ("more than 1 MiB", BASE + "\n" * (1 << 20)),
    ("long unknown key", "k" * 100000 + " = 1\n" + BASE), ("continuation too long", BASE + "[continuation]\nprefix = 25\n"),
    ("continuation default", BASE + "[continuation]\n"),
    ("continuation tokens 0", BASE + "[continuation]\ntokens = 0\n"), ("continuation key", BASE + "[continuation]\ntoken = 3\n"),
    ("continuation beyond", BASE + "[continuation]\nprefix = 20\ntokens = 493\n"),
    ("too many cells", TOO_MANY),
]

SETS = ["tokens.sequences", "=2", "tokens sequences=2", "a=1\nb=2", "tokens.sequencs=2", "tokens.sequences=two", "arithmetic.low.mu=24",
        "title.x=1", "a" * 100000 + "=1",
        'grid."arithmetic.low.mu"=[]', "plan.layer.9.scores=low", "model.path=/nowhere", "tokens.path=/nowhere", "lamp.scores.tau=nan",
        "lamp.scores.tau=[", "plan.scores=lwo",
        "arithmetic.low.format=ps99", "tokens.shuffle=yes", "record.errors=scores", "grid.title=[1]", "seed=1e3",
        "arithmetic.low.order=tree:(0 1)", ""]

NOT_A_COUNT = ["4x", "1e1", "0x4", " 4", "+4", "", "99999999999999999999999", "1,5", "0", "-1", "1.0", "４"]

# Command lines; CONFIG stands for nano.toml, MODEL for gpt2-nano.
LINES = [
    [], [""], ["rum"], ["--versoin"], ["-x"], ["a\nb\x1b[31m"], ["run"], ["plan"], ["status"], ["verify"], ["merge"], ["inspect"],
    ["tokenize"], ["reveal"], ["completion"],
    ["config", "x"], ["version", "x"], ["calc", "x"], ["calc", "--json"], ["run", "CONFIG", "--thread", "4"],
    ["run", "CONFIG", "--threads"], ["run", "CONFIG", "--out", ""],
    ["run", "CONFIG", "CONFIG"], ["run", "CONFIG", "--shard"], ["run", "CONFIG", "--set"], ["run", "CONFIG", "--frobnicate"],
    ["plan", "CONFIG", "--out", "x"],
    ["run", "/nowhere.toml"], ["plan", "/nowhere.toml"], ["run", "/dev/zero"], ["run", "/"], ["run", "CONFIG/x"],
    ["run", "CONFIG", "--out", "/proc/nothing/x"],
    ["run", "CONFIG", "--out", "/dev/null"], ["status", "/nowhere"], ["verify", "/nowhere"], ["merge", "/nowhere"], ["inspect", "/nowhere"],
    ["tokenize", "/nowhere"],
    ["status", "/proc"], ["verify", "/proc"], ["merge", "/proc"], ["inspect", "/proc"], ["inspect", "CONFIG"], ["inspect", "/dev/null"],
    ["tokenize", "CONFIG"],
    ["status", "x", "--jason"], ["verify", "x", "--jason"], ["tokenize", "MODEL", "--decode", "--special"], ["formats", "binary33"],
    ["formats", "h1000", "--json"], ["formats", "ps24"],
    ["formats", "e1m1"], ["formats", ""], ["completion", "tcsh"], ["fetch"], ["fetch", "gpt3"], ["fetch", "gpt2", "--from", "ftp://x"],
    ["bench", "nothing"], ["bench", "gemm", "--filter", "nothing"], ["bench", "--shape", "gpt3"], ["slurm"],
    ["merge", "x", "--out", ""],
    *[["run", "CONFIG", "--threads", n] for n in NOT_A_COUNT], *[["plan", "CONFIG", "--threads", n] for n in NOT_A_COUNT[:4]],
    *[["run", "CONFIG", f"--shard=1/{n}"] for n in NOT_A_COUNT],
    *[["run", "CONFIG", f"--shard={n}/3"] for n in NOT_A_COUNT],
    *[["run", "CONFIG", "--shard", s] for s in ("4/3", "1", "1/2/3", "/", "1000001/1000001")],
    *[["verify", "x", f"--fraction={f}"] for f in ("0", "-1", "1.5", "nan", "0x1p-1", "1/2", " 1", "1e999", "")],
    *[["reveal", "--n", n, "--format", "binary32", "--command", "true"] for n in ("0", "4097", "x")],
    *[["reveal", "--n", "9", "--format", f, "--command", "true"] for f in ("binary33", "ue4m3", "{p=113, emin=-9, emax=9}")],
    *[["reveal", "--n", "9", "--format", "binary32", "--command", c] for c in ("", "exit 3", "true", "cat > /dev/null", "sed s/.*/abc/",
                                                                               "sed s/.*/0.5/", "sed s/.*/7/", "kill -9 $$",
                                                                               "sed s/.*/nan/", "sed s/.*/1/;echo 2",
                                                                               "no-such-command-xyz")],
]

DECODE = ["4096", "-1", "4x", "+4", "1e1", "1,2", "99999999999999999999"]
NOT_UTF8 = [b"\xff", b"abc \xc3\x28", b"a\xed\xa0\x80", b"a\xe2\x82", b"\xf4\x90\x80\x80"]

IDS = ["1, 2", "[1, 2", "[1 2]", "[1, ]", "[,1]", "[1,,2]", "[1]]", "[1] x", "[-1]", "[+1]", "[1.5]", "[1e1]", "[0x1]",
       "[99999999999999999999]", "[4294967296]", '["1"]', "[[1]]", "[null]",
       '{"ids": [1]}', b"[1\xff]", b"[1\0]", "\ufeff[1]", "[]", "", "[1]", "[4096, 1, 2]", "[1, 2, 4096]", "[1, 2, 3]",
       "[1, 2, 3, 4, 5, 4096]", "[1, 2, 3]\n[1, 2]"]

CONFIG_JSON = [  # (old, new) in config.json of gpt2-nano
    ('"gpt2"', '"llama"'), ('"model_type": "gpt2",', ""), ('"n_layer": 4,', ""), ('"n_layer": 4', '"n_layer": 0'),
    ('"n_layer": 4', '"n_layer": -1'), ('"n_layer": 4', '"n_layer": 4.0'),
    ('"n_layer": 4', '"n_layer": "4"'), ('"n_layer": 4', '"n_layer": 18446744073709551616'), ('"n_layer": 4', '"n_layer": 5'),
    ('"n_layer": 4', '"n_layer": 3'), ('"n_layer": 4', '"n_layer": 65536'),
    ('"n_head": 2', '"n_head": 5'), ('"n_embd": 128', '"n_embd": 126'), ('"n_embd": 128', '"n_embd": 64'),
    ('"n_head": 2', '"n_inner": 0, "n_head": 2'), ('"n_head": 2', '"n_inner": 100, "n_head": 2'),
    ("1e-05", "0"), ("1e-05", '"1e-5"'), ("1e-05", "1e400"), ('"gelu_new"', '"mish"'),
    ('"n_head": 2', '"tie_word_embeddings": 1, "n_head": 2'),
    ('"n_head": 2', '"tie_word_embeddings": false, "n_head": 2'), ('"eos_token_id": 4095', '"eos_token_id": 4096'),
    ('"vocab_size": 4096', '"vocab_size": 4095'),
    ('"vocab_size": 4096', '"vocab_size": 5000'), ('"n_positions": 512', '"n_positions": 256'),
    ('"n_head": 2', '"scale_attn_by_inverse_layer_idx": 1, "n_head": 2'),
    ('"n_head": 2', '"add_cross_attention": true, "n_head": 2'), ('"n_head": 2', '"scale_attn_weights": false, "n_head": 2'),
    ('"n_head": 2', '"n_head": 2, "n_head": 2'),
    ('"n_head": 2', '"deep": {"k":1,"k":1}, "n_head": 2'), ("{", "\ufeff{"), ("{", "["), ("}", ""), ("}", "}{}"),
    ("{", '{"a": "\\ud800", '), ('"n_head": 2', '"x": ' + "[" * 5000)]

SAFETENSORS = [  # (name of the change, argument): see `spoiled` in errors.py
    *[("cut", n) for n in (0, 1, 7, 8, 9, 100, 4000, 6000, 5537519)], ("append", b"\0\0\0\0"), ("length", 0), ("length", 3),
    ("length", 2**64 - 1), ("length", 100000001),
    ("header", (b'{"', b' "')), ("header", (b"wte.weight", b"wte.weighs")), ("header", (b"wte.weight", b"wte.we\xffght")),
    ("header", (b'"F32"', b'"F31"')), ("header", (b'"F32"', b'"I32"')),
    ("header", (b'"F32"', b'"F16"')), ("header", (b"[4096,128]", b"[128,4096]")), ("header", (b"[512,128]", b"[128,512]")),
    ("header", (b"[128]", b"[127]")), ("header", (b"[128]", b"[-12]")),
    ("header", (b"[128]", b"[1.8]")), ("header", (b"h.0.ln_1.bias", b"h.9.ln_1.bias")), ("header", (b"h.0.ln_1.bias", b"h.0.ln_1.bios")),
    ("header", (b'"shape"', b'"shapf"')),
    ("header", (b"data_offsets", b"data_offsetz")), ("header", (b"ln_f.bias", b"ln_1.bias")), ("header", (b":[0,", b":[1,")),
    ("remove", "h.1.mlp.c_fc.bias"), ("remove", "wte.weight"),
    ("remove", "wpe.weight"), ("add", ("h.4.ln_1.weight", [128])), ("add", ("h.4.attn.bias", [1])), ("add", ("h.01.attn.bias", [1])),
    ("add", ("h.1.attn.bias", [1])),
    ("add", ("h.1.attn.masked_bias", [1])), ("add", ("score.weight", [1])), ("add", ("lm_head.bias", [5])),
    ("add", ("transformer.wpe.weight", [512, 128])),
    ("add", ("lm_head.weight", [128, 4096])), ("add", ("lm_head.weight", [4096, 128])), ("add", ("lm_head.weight", [5])),
    ("value", ("h.1.attn.c_attn.weight", 17, b"\0\0\xc0\x7f")),
    ("value", ("ln_f.bias", 3, b"\0\0\x80\x7f")), ("value", ("wte.weight", 0, b"\0\0\x80\xff")),
    ("bytes", b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 548105171\n"),
    ("bytes", b"\x02\0\0\0\0\0\0\0{}"), ("bytes", b"\x07\0\0\0\0\0\0\0{\"a\":1}"), ("bytes", b"\x05\0\0\0\0\0\0\0{\"a\":")]

VOCAB = [  # a change of the dictionary of vocab.json
    ("twice", lambda v: v | {"abc": 5}), ("hole", lambda v: v | {"abc": 9000}), ("negative", lambda v: v | {"abc": -1}),
    ("text", lambda v: v | {"abc": "7"}),
    ("byte", lambda v: {("ZZ" if k == "Z" else k): i for k, i in v.items()}), ("alphabet", lambda v: v | {"\u4e00": 4096}),
    ("blank", lambda v: v | {"a b": 4096}),
    ("empty token", lambda v: v | {"": 4096}), ("no merge", lambda v: v | {"xyzxyz": 4096}), ("list", lambda v: []),
    ("nothing", lambda v: {})]
MERGES = [("cr", lambda t: t.replace("\n", "\r\n")), ("no token", lambda t: t + "x \u0120q\n"), ("half", lambda t: t + "xyq z\n"),
          ("one word", lambda t: t + "a\n"), ("empty line", lambda t: t + "\n"),
          ("three", lambda t: t + "a b c\n"), ("two blanks", lambda t: t + "a  b\n"), ("blank first", lambda t: t + " b\n"),
          ("twice", lambda t: t + t.splitlines()[1] + "\n"),
          ("version", lambda t: t + "#version: 0.2\n"), ("cut", lambda t: "\n".join(t.splitlines()[:100]) + "\n"),
          ("nothing", lambda t: "")]
