"""Block formats in `lamp calc`: rows on both backends against the definition in exact fractions; what is refused, and how."""
import json
import math
import pathlib
import random
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from block_formats import BLOCKS, largest, named, rounded  # noqa: E402
from results import ROOT, lamp  # noqa: E402

SPECIALS = [0.0, -0.0, math.inf, -math.inf, math.nan]


def calc(requests):
    done = lamp("calc", input="".join(json.dumps(r) + "\n" for r in requests), check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def hexes(x):
    return [v.hex() if math.isfinite(v) else str(v) for v in x]


def bits(x):
    return ["nan" if math.isnan(v) else struct.pack(">d", v).hex() for v in x]


def numbers(texts):
    return [float.fromhex(t) for t in texts]


def row(kind, n, r):
    """n numbers: of one size, of many, ties, at the ends of the scale, short ones; with specials."""
    def number():
        if kind == "one size":
            return r.uniform(-4, 4)
        if kind == "many sizes":
            return r.uniform(-2, 2) * 2.0 ** r.randint(-40, 40)
        if kind == "ties":
            return r.randint(-64, 64) / 16
        if kind == "ends":
            return r.choice([-1, 1]) * r.choice([2.0**-1074, 2.0**-140, 2.0**-127, 2.0**126, 2.0**140, 1.7e308])
        return r.randint(-127, 127) * 2.0 ** r.randint(-8, 0)
    return [r.choice(SPECIALS) if r.random() < 0.05 else number() for _ in range(n)]


KINDS = ["one size", "many sizes", "ties", "ends", "short"]
OBJECTS = [{"element": "e2m1fn", "scale": "e4m3fn", "size": 16, "tensor_scale": "auto"},
           {"element": "e2m1fn", "scale": "e4m3fn", "size": 3, "tensor_scale": 0.1},
           {"element": "e4m3fn", "scale": "e8m0fnu", "size": 1, "tensor_scale": 1},
           {"element": "e5m2", "scale": "e4m3fn", "size": 2**40, "tensor_scale": 1}]


class BlockFormats(unittest.TestCase):
    def test_tables(self):
        """The largest elements of OCP MX 1.0, tables 1 and 2; of what the program lists of each format, all of it."""
        published = {"mxfp8-e4m3": 448, "mxfp8-e5m2": 57344, "mxfp6-e3m2": 28, "mxfp6-e2m3": 7.5, "mxfp4": 6, "nvfp4": 6}
        for name, xmax in published.items():
            told = json.loads(lamp("formats", name, "--json").stdout)["systems"][0]
            element, scale, size = BLOCKS[name]
            self.assertEqual((told["element"], told["scale"], told["size"]), (element, scale, size))
            self.assertEqual(largest(element), xmax)
            self.assertEqual(float.fromhex(told["largest"]), float(largest(element) * largest(scale)))
        catalog = json.loads(lamp("formats", "--json").stdout)["systems"]
        self.assertEqual([system["name"] for system in catalog], list(BLOCKS))

    def test_rows(self):
        """By name and by object, both backends, lengths about the block's: the bits of the fractions."""
        r = random.Random(20)
        rows, requests = [], []
        for block, written in [(named(name), name) for name in BLOCKS] + [(o, o) for o in OBJECTS]:
            for kind in KINDS:
                for n in (0, 1, 2, 15, 16, 17, 31, 32, 33, 70):
                    x = row(kind, n, r)
                    for backend in ("auto", "mpfr"):
                        rows.append((block, x))
                        requests.append({"op": "round", "x": hexes(x), "format": written, "backend": backend})
        for (block, x), answer in zip(rows, calc(requests), strict=True):
            self.assertEqual(bits(numbers(answer["y"])), bits(rounded(x, block)), (block, hexes(x)))

    def test_an_object_is_its_name(self):
        x = hexes(row("many sizes", 50, random.Random(21)))
        for name in BLOCKS:
            by_name, by_object = calc([{"op": "round", "x": x, "format": f} for f in (name, named(name))])
            self.assertEqual(by_name, by_object)
        nested = {"p": 2, "emin": 0, "emax": 2, "infinities": False, "nan": False, "overflow": "max"}
        by_name, by_object = calc([{"op": "round", "x": x, "format": f} for f in ("mxfp4", {**named("mxfp4"), "element": nested})])
        self.assertEqual(by_name, by_object)

    def test_sums(self):
        """Operands of dot and gemm: rows rounded by the fractions, then summed as they are, in every kind of order."""
        r = random.Random(22)
        orders = ["sequential", "reverse", "blocked:8", "pairwise:4", "lanes:8", "split:3", "kahan", "neumaier", "exact", "multiterm:8,24",
                  "panels:8,4", "numpy-sum:8192"]
        requests, plain = [], []
        for block, written in [(named(name), name) for name in BLOCKS] + [(o, o) for o in OBJECTS]:
            for order in orders:
                for n in (0, 1, 17, 40):
                    a, b = row("many sizes", n, r), row("one size", n, r)
                    arith = {"via": "binary32", "format": "ps7", "order": order}
                    for backend in ("auto", "scalar", "mpfr"):
                        requests.append({"op": "dot", "a": hexes(a), "b": hexes(b), "backend": backend, "arith": {**arith, "operands": written}})
                        plain.append({"op": "dot", "a": hexes(rounded(a, block)), "b": hexes(rounded(b, block)), "arith": arith})
        for request, got, want in zip(requests, calc(requests), calc(plain), strict=True):
            self.assertEqual(got, want, request)

    def test_products(self):
        """The tensor of B is all of B; each row of A is its own."""
        r = random.Random(23)
        a, b = [row("short", 20, r) for _ in range(3)], [row("many sizes", 7, r) for _ in range(20)]
        for block in OBJECTS:
            tensor = max(abs(v) for line in b for v in line if math.isfinite(v))
            columns = [rounded([line[j] for line in b], block, tensor) for j in range(7)]
            lines = [{"op": "gemm", "a": [hexes(x) for x in a], "b": [hexes(x) for x in b], "backend": backend,
                      "arith": {"operands": block, "format": "binary32"}} for backend in ("auto", "scalar", "mpfr")]
            lines.append({"op": "gemm", "a": [hexes(rounded(x, block)) for x in a], "b": [hexes(x) for x in zip(*columns, strict=True)],
                          "arith": {"format": "binary32"}})
            *got, want = calc(lines)
            for answer in got:
                self.assertEqual(answer, want)

    def test_refused(self):
        """One line that names what is wrong and what is legal; the other lines go on."""
        def of(**change):
            return {"op": "round", "x": [1], "format": {k: v for k, v in {**named("mxfp4"), **change}.items() if v is not None}}
        cases = [(of(size=0), "size is 0; legal: an integer, 1 to"), (of(size=-32), "size is -32"), (of(size=2.5), "size is no integer"),
                 (of(size=None), "size is missing"), (of(element=None), "element is missing"), (of(scale=None), "scale is missing"),
                 (of(element="e8m0fnu"), "element: e8m0fnu has no sign; legal: a format with sign and zero"),
                 (of(element="ue4m3"), "element: ue4m3 has no sign"), (of(element="mxfp4"), "'mxfp4' is a block format"),
                 (of(scale={"p": 4, "emin": -6, "emax": 2000}), "scale: emax must be an integer in -1022..1023"),
                 (of(scale={"p": 4, "emin": -6}), "scale: a format needs emax"), (of(element="binary64", scale="e4m3fn"), "binary64 number"),
                 (of(tensor_scale="auto"), "tensor_scale: beside the scale e8m0fnu, whose p is 1; legal: 1, or a scale with p > 1"),
                 (of(scale="e4m3fn", tensor_scale=0), "tensor_scale; legal: \"auto\", or a number"), (of(block=32), "unknown key \"block\""),
                 ({"op": "round", "x": [1], "format": "mxfp5"}, "here also mxfp8-e4m3, mxfp8-e5m2"),
                 ({"op": "round", "x": [1], "format": "mxfp4", "rounding": "RTZ"}, "are rounded RNE"),
                 ({"op": "round", "x": [1], "format": "mxfp4", "seed": 1}, "are rounded RNE"),
                 ({"op": "add", "a": [1], "b": [1], "format": "mxfp4"}, "\"mxfp4\" is a block format, which rounds rows"),
                 ({"op": "encode", "x": [1], "format": named("mxfp4")}, "is a block format, which rounds rows"),
                 ({"op": "dot", "a": [1], "b": [1], "arith": {"format": "nvfp4"}}, "arith.format: \"nvfp4\" is a block format"),
                 ({"op": "dot", "a": [1], "b": [1], "arith": {"format": "ps7", "via": "mxfp4"}}, "arith.via: \"mxfp4\" is a block format"),
                 ({"op": "dot", "a": [1], "b": [1], "arith": {"format": "ps7", "product": "mxfp4"}}, "arith.product: \"mxfp4\" is a block")]
        cases += [({"op": "dot", "a": [1], "b": [1], "arith": {"engine": "h100", "operands": "mxfp4"}}, "\"h100\" has no operands mxfp4"),
                  ({"op": "dot", "a": [1], "b": [1], "arith": {"format": "ps7", "operands": "mxfp5"}}, "here also mxfp8-e4m3")]
        for (request, message), answer in zip(cases, calc([c for c, _ in cases]), strict=True):
            self.assertIn(message, answer.get("error", answer), request)
        self.assertEqual(calc([of(size=3)])[0]["y"], ["0x1p+0"])

    def test_plans(self):
        """Where a tensor's scale would be that of keys to come, the plan is refused; elsewhere it stands."""
        automatic = '{element = "e2m1fn", scale = "e4m3fn", size = 16, tensor_scale = "auto"}'
        def plan(*settings):
            return lamp("plan", ROOT / "tests/experiments/nano.toml", *(w for s in settings for w in ("--set", s)), check=False)
        for site in ("scores", "values"):
            for settings in ([f"arithmetic.low.operands={automatic}"], [f"grid.\"arithmetic.low.operands\"=[\"mxfp4\", {automatic}]"]):
                done = plan("plan.scores=high", f"plan.{site}=low", *settings)
                self.assertEqual(done.returncode, 65, done)
                self.assertIn(f"at the site {site} the operands", done.stderr)
                self.assertIn("tensor_scale = 1", done.stderr)
        done = plan(f"arithmetic.high.operands={automatic}", "plan.default=low", "plan.scores=low")
        self.assertIn("lamp.scores.recompute", done.stderr)
        self.assertEqual(plan(f"arithmetic.third={{format = \"binary32\", operands = {automatic}}}", "plan.qkv=third").returncode, 0)
        self.assertEqual(plan("arithmetic.low.operands=mxfp4", "plan.values=low").returncode, 0)


if __name__ == "__main__":
    unittest.main()
