"""Random lines for `lamp calc`: every operation, format, mode, order, engine and backend, on adversarial numbers; malformed ones."""
import json
import math
import random
import re
import struct

from .sides import ROOT, shown

NUMBERS = ["0x0p+0", "-0x0p+0", "inf", "-inf", "nan", "0x1p-149", "-0x1p-149", "0x1.fffffep+127", "-0x1.fffffep+127", "0x1p-126",
           "0x1p-1074",
           "-0x1.fffffffffffffp+1023", "0x1p-133", "0x1p-24", "0x1p-25", "0x1.8p-25", 1, -1, 0, 65504, 65519.99, 65520, 448, 464, 240,
           57344, 6,
           "0x1p+0", -0.0, 1e-3, 3.5, -2.5, "0x1.ffcp+15", "0x1.ffep+15", "0x1.01p+0", "0x1.03p+0", "0x1.fp+8", "0x1.62e42fefa39efp-1",
           709.78, -745.2,
           88.73, -103.98, "0x1.0000000000001p+0", "0x0.0000000000001p-1022"]
OBJECTS = [{"p": 4, "emin": -30, "emax": 30}, {"p": 2, "emin": 0, "emax": 2, "infinities": False, "nan": False, "overflow": "max"},
           {"p": 4, "emin": -6, "emax": 8, "infinities": False, "top_codes_lost": 1, "overflow": "nan"},
           {"p": 4, "emin": -7, "emax": 7, "infinities": False, "signed_zero": False, "overflow": "nan"},
           {"p": 3, "emin": -2, "emax": 3, "subnormals": False},
           {"p": 4, "emin": -6, "emax": 7, "signed_zero": False, "unsigned": True}, {"p": 1, "emin": -4, "emax": 4},
           {"p": 3, "emin": 2, "emax": 2},
           {"p": 2, "emin": -1073, "emax": -1070}, {"p": 3, "emin": 1020, "emax": 1023},
           {"p": 24, "emin": -126, "emax": 127, "subnormals": False},
           {"p": 50, "emin": -1022, "emax": 1023}, {"p": 53, "emin": -20, "emax": 20},
           {"p": 30, "emin": -1045, "emax": -500, "top_codes_lost": 1000},
           {"p": 11, "emin": -14, "emax": 15, "overflow": "max"}, {"p": 2, "emin": -2, "emax": 3, "subnormals": False, "infinities": False,
                                                                  "signed_zero": False, "zero": False, "overflow": "nan"}]
WIDE = [{"p": 113, "emin": -16382, "emax": 16383}, {"p": 101, "emin": -1000000, "emax": 1000000}, {"p": 300, "emin": -100, "emax": 100}]
MADE = ["ps1", "ps2", "ps7", "ps10", "ps22", "ps23", "e5m2", "e4m3", "e5m10", "e3m2", "ue4m3", "ue5m3", "e8m7", "e11m52", "e2m1"]
MODES = ["RNE", "RNA", "RTZ", "RTP", "RTN", "RTO", "SR", "SRE"]
BACKENDS = ["auto", "scalar", "mpfr", "avx2", "avx512", "sse4", "neon"]
UNARY = ["sqrt", "exp", "exp2", "log", "tanh", "erf", "rsqrt", "reciprocal"]
OPERATIONS = ["round", "add", "sub", "mul", "div", "fma", *UNARY, "gelu", "silu", "relu", "encode", "decode", "dot", "gemm", "softmax", "layernorm",
              "select"]
ORDERS = ["sequential", "reverse", "blocked:1", "blocked:4", "blocked:32", "pairwise:1", "pairwise:2", "pairwise:8", "lanes:1", "lanes:4",
          "lanes:16",
          "split:1", "split:4", "split:7", "panels:8,4", "panels:3,2", "panels:64,8", "lane-tree:(0 1 (2 3))", "lane-tree:(1 (0 2))",
          "numpy-sum:8192",
          "numpy-sum:20", "kahan", "neumaier", "exact", "multiterm:4,23", "multiterm:8,24", "multiterm:16,25", "multiterm:1,3",
          "multiterm:32,0",
          "multiterm:5,5000"]


BAD = ["binary33", "ps24", "ps0", {"p": 0, "emin": 1, "emax": 0}, {"p": 4}, {"format": "ps99"}, {"format": "ps7", "order": "blocked"},
       {"format": "ps7", "order": "lanes:3"}, {}, {"format": "ps7", "mu": 7}, {"engine": "h100", "via": "binary32"}, {"engine": "h1000"},
       {"engine": "v100", "operands": "tf32"}, {"format": "ps7", "order": "tree:(0 0)"}, {"format": "ps7", "oder": "exact"},
       {"format": WIDE[0]},
       {"p": 10001, "emin": -1, "emax": 1}]


class Lines:
    def __init__(self, seed, formats, engines):
        self.random, self.formats, self.engines = random.Random(seed), formats + MADE, engines

    def one(self, choices):
        return self.random.choice(choices)

    def chance(self, n):
        return self.random.randrange(n) == 0

    def number(self, kind):
        r = self.random
        if kind == "special" and self.chance(2):
            return self.one(NUMBERS)
        if kind == "bits":
            x = struct.unpack("<d", struct.pack("<Q", r.getrandbits(64)))[0]
        else:
            low, high, bits = {"plain": (-9, 9, 24), "short": (-4, 4, 3), "wide": (-30, 30, 53), "small": (-76, -58, 24),
                               "huge": (58, 65, 24),
                               "special": (-4, 4, 3), "subnormal": (-152, -126, 4), "half": (-26, -10, 12)}[kind]
            x = math.ldexp(r.getrandbits(bits) | (1 << (bits - 1)), r.randint(low, high) - bits) * self.one((1, -1))
        if math.isnan(x) or math.isinf(x):
            return {True: "nan"}.get(math.isnan(x), "inf" if x > 0 else "-inf")
        return x if self.chance(9) else x.hex()

    def numbers(self, n):
        kind = self.one(["plain", "plain", "short", "short", "wide", "special", "special", "bits", "small", "huge", "subnormal", "half"])
        return [self.number(kind) for _ in range(n)]

    @staticmethod
    def negated(x):
        if not isinstance(x, str):
            return -x
        return x if x == "nan" else x[1:] if x.startswith("-") else "-" + x

    def terms(self, n):
        """Two rows; in one of four each term comes back negated."""
        a, b = self.numbers(n), self.numbers(n)
        if self.chance(4):
            for k in range(0, n - 1, 2):
                a[k + 1], b[k + 1] = self.negated(a[k]), b[k]
        return a, b

    def form(self):
        return self.one(self.formats) if self.random.random() < 0.7 else self.one(OBJECTS)

    def rounded(self, line):
        if not self.chance(4):
            line["rounding"] = self.one(MODES)
            if self.chance(2):
                line["random_bits"] = self.random.randint(1, 32)

    def tree(self, n):
        parts = [str(k) for k in range(n)]
        self.random.shuffle(parts)
        while len(parts) > 1:
            at, size = self.random.randrange(len(parts) - 1), self.random.randint(2, 4)
            parts[at:at + size] = ["(" + " ".join(parts[at:at + size]) + ")"]
        return parts[0]

    def mac(self):
        mac = {"preset": "lamp-paper", "mu": self.random.randint(1, 23)} if self.chance(8) else {"format": self.form()}
        for key, none in (("operands", "as-is"), ("product", "exact"), ("via", "none")):
            if self.chance(3):
                mac[key] = self.one([none, "binary32", self.form()])
        self.rounded(mac)
        return mac

    def arith(self, n):
        if self.chance(4):
            engine, operands, form = self.one(self.engines)
            arith = {"engine": engine, "operands": operands, "format": form}
            return arith | ({"order": f"split:{self.random.randint(1, 4)}"} if self.chance(3) else {})
        arith = self.mac()
        if not self.chance(4):
            arith["order"] = self.one([*ORDERS, f"tree:{self.tree(n)}", f"fused-tree:{self.tree(n)}"])
        if self.chance(3) or arith.get("order", "").startswith("blocked") and self.chance(2):
            arith["block"] = self.mac()
        return arith

    def line(self, op):
        n, line = (self.random.randrange(3) if self.chance(10) else self.random.randint(3, 20)), {"op": op}
        if op in ("dot", "gemm", "softmax", "layernorm"):
            self.sums(line, op, max(n, 1))
        elif op == "select":
            return self.select(line, max(n, 1))
        elif op == "decode":
            codes = [self.one([self.random.randrange(256),
                               hex(self.random.getrandbits(self.one([4, 6, 8, 16])))]) for _ in range(self.one([1, 2, n]))]
            line |= {"format": self.form(), "code": codes}
        elif op == "encode":
            line |= {"x": [self.one([*NUMBERS, 1.5, -2, 0.5])] if self.chance(2) else [self.one([1, 2, 1.5, -1, 0, -0.5])] * n,
                     "format": self.form()}
        else:
            line |= {"x" if op in ("round", "gelu", "silu", "relu") else "a": self.numbers(n), "format": self.form()}
            if op in ("add", "sub", "mul", "div", "fma"):
                line["b"] = self.numbers(n)
            if op == "fma":
                line["c"] = self.numbers(n)
            if op == "gelu":
                line["variant"] = self.one(["tanh", "erf"])
            self.rounded(line)
        if op not in ("encode", "decode"):
            if self.chance(2):
                line["seed"] = self.random.getrandbits(32)
            if not self.chance(5):
                line["backend"] = self.one(BACKENDS[:5]) if not self.chance(40) else self.one(BACKENDS)
            if line.get("backend") == "mpfr" and "format" in line and self.chance(5):
                line["format"] = self.one(WIDE)
        return line

    def sums(self, line, op, n):
        line["arith"] = self.arith(n)
        if op == "dot":
            line["a"], line["b"] = self.terms(n)
            if self.chance(3):
                line["c"] = self.numbers(1)[0]
        elif op == "gemm":
            rows, cols = self.one([1, 2, 3, 9]), self.one([1, 2, 3, 33])
            line |= {"a": [self.numbers(n) for _ in range(rows)], "b": [self.numbers(cols) for _ in range(n)]}
        elif op == "softmax":
            line["y"] = self.numbers(n)
        else:
            line |= {"x": self.numbers(n), "gamma": self.numbers(n), "beta": self.numbers(n),
                     "eps": self.one([1e-5, 0.5, 3, "0x1p-20", self.random.random()])}

    def select(self, line, n):
        y = self.numbers(n) if self.chance(2) else [self.one(["-inf", 0, self.random.uniform(-6, 6)]) for _ in range(n)]
        line |= {"function": "softmax", "y": y, "tau": self.random.random() * self.one([1, 1, 2]),
                 "weights": self.one(["absolute", "relative", "dot"]), "norm": self.one(["componentwise", "normwise1"]),
                 "solver": self.one(["greedy", "exact"]), "mask": self.one(["exclude", "exclude", "as-zero"])}
        if self.chance(3):
            line["rate"] = min(1.0, line.pop("tau"))
        if line["mask"] == "as-zero" and not self.chance(20):
            line["weights"] = "absolute"
        if line["weights"] == "dot":
            line["w"] = [self.random.random() * self.one([1, 1, 100]) for _ in range(n)]
        if self.chance(3):
            line["row_length"] = n + self.random.randrange(5)
        for key in ("weights", "norm", "solver", "mask"):
            if self.chance(5) and (key != "weights" or "w" not in line):
                del line[key]
        return line

    def malformed(self):
        """A line with one thing wrong."""
        line, r = self.line(self.one(OPERATIONS)), self.random
        key, what = r.choice(list(line)), r.randrange(12)
        text = json.dumps(line)
        if what == 0:
            return text[:r.randrange(1, len(text))]
        if what == 1:
            return text.replace(f'"{key}"', f'"{key[:-1]}"', 1)
        if what == 2:
            del line[key]
        elif what == 3:
            line[key] = self.one([None, True, [], {}, -1, "", "x", 1e999, [[1]], 0.5, "0x1.00000000000001p+0", [None], ["1.5"], ["0x"],
                                  [True]])
        elif what == 4:
            return text[:-1] + f', "{key}": 1}}'
        elif what == 5:
            line["format" if "format" in line else "arith"] = self.one(BAD)
        elif what == 6:
            line["rounding"] = self.one(["up", "rne", 1, "SRX"])
        elif what == 7:
            line["backend"] = self.one(["cuda", "sse4", "neon", 1, "avx"])
        elif what == 8:
            for name in ("a", "b", "c", "x", "y", "gamma", "beta", "w", "code"):
                if isinstance(line.get(name), list) and len(line[name]) > 0:
                    line[name] = line[name][:-1] if self.chance(2) else line[name] + [self.one([1, "1.5", "zz", "0x1p99999", "0x1.8p-1074",
                                                                                                None, [1]])]
                    break
        elif what == 9:
            line["random_bits"] = self.one([0, 33, -1, 1.5, "8"])
        elif what == 10:
            line["seed"] = self.one([-1, 2**32, 2**70, 1.5, "1"])
        else:
            line["op"] = self.one(["rond", "log2", "", 1, None, "DOT", "matmul"])
        return json.dumps(line)


def lines(seed, n, malformed, formats, engines):
    made = Lines(seed, formats, engines)
    found = [json.dumps(made.line(OPERATIONS[i % len(OPERATIONS)])) for i in range(n)]
    for _ in range(malformed):
        found.insert(made.random.randrange(len(found) + 1), made.malformed().replace("\n", " "))
    return found


def documented():
    """Operations of the table in calc.md, and the examples of the READMEs."""
    page = (ROOT / "experiments/commands/calc.md").read_text()
    rows = page[page.index("| op |"):].split("\n\n")[0].splitlines()[2:]
    operations = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    examples = []
    for file in sorted([*ROOT.glob("core/*/README.md"), *ROOT.glob("experiments/**/*.md")]):
        for block in re.findall(r"```calc\n(.*?)```", file.read_text(), re.S):
            examples += block.splitlines()[::2]
    return operations, examples


def calc(part):
    """One process of `lamp calc` per side, line by line; the first line whose answers differ is told with both."""
    formats = json.loads(part.old.run("formats", "--json").out)
    legal = {field["key"]: field["legal"] for field in json.loads(part.new.run("config", "--json").out)["fields"]}
    names, engines = [f["name"] for f in formats["formats"]], [(e["name"], m["operands"],
                                                                m["format"]) for e in formats["engines"] for m in e["modes"]]
    operations, examples = documented()
    part.same("operations", "coverage: operations of calc.md", sorted(operations), sorted(OPERATIONS))
    part.same("modes", "coverage: modes of lamp config", legal["arithmetic.NAME.rounding"], ", ".join(MODES))
    kinds = {re.match("[a-z-]+", word)[0] for word in legal["arithmetic.NAME.order"].split(", ")}
    part.same("orders", "coverage: orders of lamp config", sorted(kinds),
              sorted({order.split(":")[0] for order in ORDERS} | {"tree", "fused-tree"}))
    asked = [*examples, *lines(20260731, 2500 if part.quick else 10000, 200 if part.quick else 500, names, engines)]
    answers = [side.run("calc", data=("\n".join(asked) + "\n").encode()) for side in (part.old, part.new)]
    part.same("exit codes", "exit code", answers[0].code, answers[1].code)
    part.same_lines("lines of standard error", "standard error", answers[0].err, answers[1].err)
    old, new = (answer.out.split("\n")[:-1] for answer in answers)
    part.count("lines", len(asked))
    part.count("errors among them", sum(line.startswith('{"error"') for line in old))
    for side, found in (("OLD", old), ("NEW", new)):
        if len(found) != len(asked):
            part.differ("standard output", f"{side} gave {len(found)} answers to {len(asked)} lines")
    unequal = [i for i, (a, b) in enumerate(zip(old, new)) if a != b]
    for i in unequal[:3]:
        at = next((k for k, (c, d) in enumerate(zip(old[i], new[i])) if c != d), 0)
        part.differ(f"line {i + 1} {asked[i]}", f"OLD {shown(old[i], at)}, NEW {shown(new[i], at)}")
    if len(unequal) > 3:
        part.differ("lines", f"{len(unequal)} answers differ in all")
    if len(asked) > 500 and len(set(old)) < 0.6 * len(old):
        part.differ("lines", f"only {len(set(old))} different answers: the lines say nothing")
