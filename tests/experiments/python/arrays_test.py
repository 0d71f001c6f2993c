"""Arrays in and out: dtypes, strides, shapes, `out`, zero sizes, and what is refused, with which words."""
import fractions
import functools
import pickle
import unittest

import lamp
import numpy

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

FL = lamp.Arithmetic(format="ps7")
RNG = numpy.random.default_rng(7)


def same(x, y):
    """Equal bits, -0 and +0 apart; every NaN is the same."""
    x, y = numpy.asarray(x), numpy.asarray(y)
    if x.shape != y.shape or x.dtype != y.dtype:
        return False
    return bool(numpy.all((numpy.isnan(x) & numpy.isnan(y)) | ((x == y) & (numpy.signbit(x) == numpy.signbit(y)))))


class Checker(unittest.TestCase):
    def test_it_tells(self):
        self.assertFalse(same(0.0, -0.0))
        self.assertFalse(same([1.0], [numpy.nextafter(1.0, 2)]))
        self.assertFalse(same(numpy.float32(1), numpy.float64(1)))
        self.assertTrue(same(numpy.nan, -numpy.nan))


class Dtypes(unittest.TestCase):
    def test_float32_stays_where_the_format_fits(self):
        x = RNG.normal(size=1000).astype(numpy.float32)
        narrow = lamp.round(x, "e4m3fn")
        self.assertEqual(narrow.dtype, numpy.float32)
        self.assertTrue(same(narrow.astype(float), lamp.round(x.astype(float), "e4m3fn")))
        self.assertEqual(lamp.round(x, "binary64").dtype, numpy.float64)
        self.assertEqual(lamp.Arithmetic(format="binary64").dot(x, x).dtype, numpy.float64)
        self.assertEqual(FL.dot(x, x).dtype, numpy.float32)
        self.assertEqual(FL.dot(x, x.astype(float)).dtype, numpy.float64)

    def test_float16_and_integers_are_exact(self):
        every = numpy.arange(1 << 16, dtype=numpy.uint16).view(numpy.float16)
        self.assertTrue(same(lamp.round(every, "binary32"), every.astype(numpy.float32)))
        self.assertTrue(same(lamp.round(numpy.array([2**53, -2**53]), "binary64"), numpy.array([2.0**53, -2.0**53])))
        self.assertTrue(same(lamp.round(numpy.array([255], numpy.uint8), "binary32"), numpy.array([255.0])))
        self.assertTrue(same(lamp.round(numpy.array([True]), "binary32"), numpy.array([1.0], numpy.float32)))

    @unittest.skipUnless(ml_dtypes, "ml_dtypes is not there")
    def test_types_of_ml_dtypes(self):
        x = numpy.array([1.5, -3.0, 0.1]).astype(ml_dtypes.bfloat16)
        self.assertTrue(same(lamp.round(x, "bfloat16"), x.astype(numpy.float32)))
        codes = numpy.arange(256, dtype=numpy.uint8)
        for name, format in (("float8_e4m3fn", "e4m3fn"), ("float8_e5m2", "e5m2"), ("float8_e8m0fnu", "e8m0fnu")):
            theirs = codes.view(getattr(ml_dtypes, name))
            self.assertTrue(same(lamp.round(theirs, "binary64"), lamp.Format(format).decode(codes)), name)

    def test_what_is_refused(self):
        for x, words in ((numpy.array([1 + 2j]), "complex128"), (numpy.array([fractions.Fraction(1, 3)]), "object"), (["a"], "<U1"),
                         (None, "object"), (numpy.array([1], numpy.longdouble), "longdouble"), (numpy.array(["2020"], "M8[Y]"), "datetime"),
                         (numpy.ma.array([1.0], mask=[True]), "masked"), ([10**30], "object")):
            words = str(numpy.dtype(numpy.longdouble)) if words == "longdouble" else words
            with self.assertRaisesRegex(TypeError, "x .*" + words.replace("<", ".") + ".*legal: "):
                lamp.round(x, "binary16")
        for x in ([2**53 + 1], numpy.array([-2**60]), numpy.array([2**64 - 1], numpy.uint64)):
            with self.assertRaisesRegex(ValueError, "x has integers beyond 2.53"):
                lamp.round(x, "binary16")

    def test_scalars_come_back_as_numbers(self):
        self.assertIsInstance(lamp.round(1.1, "binary16"), numpy.float64)
        self.assertIsInstance(FL.dot([1.0], [2.0]), numpy.float64)
        self.assertIsInstance(FL.add(1.0, 2.0), numpy.float64)
        self.assertIsInstance(FL.matmul([1.0], [2.0]), numpy.float64)


def strided(x):
    """The same numbers in every layout."""
    yield "plain", numpy.ascontiguousarray(x)
    yield "fortran", numpy.asfortranarray(x)
    wide = numpy.zeros((x.shape[0] * 2, x.shape[1] * 3), x.dtype)
    wide[::2, ::3] = x
    yield "steps", wide[::2, ::3]
    yield "reversed", numpy.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    record = numpy.zeros(x.shape, [("pad", "u1"), ("x", x.dtype)])
    record["x"] = x
    yield "unaligned", record["x"]
    yield "swapped", x.astype(x.dtype.newbyteorder())
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


class Strides(unittest.TestCase):
    def test_no_layout_changes_a_bit(self):
        for dtype in (numpy.float64, numpy.float32):
            x, z = RNG.normal(size=(37, 53)).astype(dtype), RNG.normal(size=(53, 41)).astype(dtype)
            fl = lamp.Arithmetic(format="ps7", order="pairwise:8")
            gamma = numpy.ones(53, dtype)
            cases = {"round": lambda a: lamp.round(a, "e5m2"), "add": lambda a: fl.add(a, a), "sum": lambda a: fl.sum(a, axis=0),
                     "dot": lambda a: fl.dot(a, a), "matmul": lambda a: fl.matmul(a, z), "softmax": fl.softmax, "exp": fl.exp,
                     "layer_norm": lambda a: fl.layer_norm(a, gamma, gamma, 1e-5), "rms_norm": lambda a: fl.rms_norm(a, gamma, 1e-5),
                     "select": lambda a: lamp.select(a, tau=0.5).astype(float), "mxfp4": lambda a: lamp.round(a, "mxfp4")}
            for name, call in cases.items():
                expected = call(x)
                for layout, a in strided(x):
                    self.assertTrue(same(call(a), expected), f"{name}, {layout}, {dtype}")
            for layout, b in strided(z):
                self.assertTrue(same(fl.matmul(x, b), fl.matmul(x, z)), layout)

    def test_more_elements_than_a_block(self):
        x = RNG.normal(size=(3, 100_003))
        self.assertTrue(same(lamp.round(x[:, ::2], "binary16"), x[:, ::2].astype(numpy.float16).astype(float)))
        self.assertTrue(same(lamp.round(x, "binary16", threads=2), x.astype(numpy.float16).astype(float)))

    def test_out(self):
        x, y = RNG.normal(size=(9, 7)), RNG.normal(size=(9, 7))
        for layout, out in strided(numpy.zeros((9, 7))):
            if layout in ("unaligned", "swapped", "read-only"):
                with self.assertRaisesRegex((TypeError, ValueError), "out (is|has)"):
                    FL.add(x, y, out=out)
                continue
            self.assertIs(FL.add(x, y, out=out), out)
            self.assertTrue(same(out, FL.add(x, y)), layout)
            self.assertIs(FL.softmax(x, out=out), out)
            self.assertTrue(same(out, FL.softmax(x)), layout)
        for layout, out in strided(numpy.zeros((9, 9))):
            if layout not in ("unaligned", "swapped", "read-only"):
                self.assertTrue(same(FL.matmul(x, y.T, out=out), FL.matmul(x, y.T)), layout)
        for layout, out in strided(numpy.zeros((1, 9))):
            if layout not in ("unaligned", "swapped", "read-only"):
                self.assertTrue(same(FL.dot(x, y, out=out[0]), FL.dot(x, y)), layout)
        vector = numpy.zeros(9)
        self.assertTrue(same(FL.matmul(x, y[0], out=vector), FL.matmul(x, y[0])))
        self.assertTrue(same(FL.matmul(x[0], y.T, out=vector), FL.matmul(x[0], y.T)))

    def test_out_may_be_an_operand(self):
        x = RNG.normal(size=200_000)
        expected = lamp.round(x, "e5m2")
        shifted = x.copy()
        self.assertTrue(same(lamp.round(shifted[:-1], "e5m2", out=shifted[1:]), expected[:-1]))
        self.assertTrue(same(lamp.round(x, "e5m2", out=x), expected))
        c = RNG.normal(size=8)
        expected = FL.dot(numpy.ones((8, 3)), numpy.ones(3), c[::-1])
        self.assertTrue(same(FL.dot(numpy.ones((8, 3)), numpy.ones(3), c[::-1], out=c), expected))
        a = RNG.normal(size=(8, 8))
        expected = FL.matmul(a, a)
        self.assertTrue(same(FL.matmul(a, a, out=a), expected))

    def test_out_that_is_refused(self):
        x = RNG.normal(size=(3, 4))
        for out, error, words in ((numpy.zeros((4, 3)), ValueError, r"shape \(4, 3\); legal: \(3, 4\)"),
                                  (numpy.zeros((3, 4), numpy.float32), TypeError, "float32; legal here: float64"),
                                  (numpy.zeros((3, 4), int), TypeError, "int64"), ([0.0], TypeError, "list"),
                                  (numpy.broadcast_to(numpy.zeros(4), (3, 4)), ValueError, "out is|share memory")):
            with self.assertRaisesRegex(error, words):
                lamp.round(x, "e5m2", out=out)


class Shapes(unittest.TestCase):
    def test_broadcasting(self):
        x, y = RNG.normal(size=(5, 1, 4)), RNG.normal(size=(3, 1))
        self.assertTrue(same(FL.mul(x, y), FL.mul(numpy.broadcast_to(x, (5, 3, 4)).copy(), numpy.broadcast_to(y, (5, 3, 4)).copy())))
        self.assertEqual(FL.fma(x, y, 1.0).shape, (5, 3, 4))
        with self.assertRaisesRegex(ValueError, "broadcast|shape mismatch"):
            FL.add(numpy.zeros(3), numpy.zeros(4))

    def test_stacks_of_matrices(self):
        a, b = RNG.normal(size=(2, 1, 3, 5)), RNG.normal(size=(4, 5, 6))
        product = FL.matmul(a, b)
        self.assertEqual(product.shape, (2, 4, 3, 6))
        for i in range(2):
            for j in range(4):
                self.assertTrue(same(product[i, j], FL.matmul(a[i, 0], b[j])))
        self.assertEqual(FL.matmul(a, b[0, :, 0]).shape, (2, 1, 3))
        self.assertEqual(FL.matmul(a[0, 0, 0], b).shape, (4, 6))

    def test_rows_are_selected_one_by_one(self):
        y, w = RNG.normal(size=(2, 30, 12)) * 3, RNG.uniform(size=(2, 30, 12))
        for keys, arrays in (({"tau": 1.2}, {}), ({"rate": 0.3, "solver": "exact"}, {}), ({"tau": 1.2, "weights": "dot"}, {"w": w}),
                             ({"tau": 1.2, "weights": "relative", "function": "rmsnorm", "eps": 1e-5}, {"g": w}),
                             ({"tau": 1.2, "function": "linear", "norm": "normwise1"}, {"W": RNG.normal(size=(4, 12))})):
            marks, costs = lamp.select(y, return_cost=True, **keys, **arrays)
            self.assertTrue(0 < marks.mean() < 1)
            for i, j in numpy.ndindex(2, 30):
                own = {name: x if name == "W" else x[i, j] for name, x in arrays.items()}
                mark, cost = lamp.select(y[i, j], return_cost=True, **keys, **own)
                self.assertTrue(numpy.array_equal(marks[i, j], mark) and same(costs[i, j], cost), keys)
        w[1, 3, 4] = -1.0
        with self.assertRaisesRegex(ValueError, "w: legal are numbers >= 0"):
            lamp.select(y, tau=1.2, weights="dot", w=w)

    def test_zero_sizes(self):
        self.assertEqual(lamp.round(numpy.zeros((0, 3)), "binary16").shape, (0, 3))
        self.assertTrue(same(FL.sum(numpy.zeros((2, 0))), numpy.zeros(2)))
        self.assertTrue(same(FL.dot([], []), 0.0))
        self.assertTrue(same(FL.dot([], [], -0.0), -0.0))
        self.assertTrue(same(FL.matmul(numpy.zeros((2, 0)), numpy.zeros((0, 3))), numpy.zeros((2, 3))))
        self.assertEqual(FL.matmul(numpy.zeros((0, 4)), numpy.zeros((4, 3))).shape, (0, 3))
        self.assertEqual(FL.matmul(numpy.zeros((3, 4)), numpy.zeros((4, 0))).shape, (3, 0))
        self.assertEqual(FL.matmul(numpy.zeros((0, 3, 4)), numpy.zeros((4, 2))).shape, (0, 3, 2))
        self.assertEqual(FL.softmax(numpy.zeros((0, 3))).shape, (0, 3))
        self.assertEqual(lamp.round(numpy.zeros((2, 0)), "mxfp4").shape, (2, 0))
        self.assertEqual(lamp.select(numpy.zeros((0, 3)), tau=1.0).shape, (0, 3))
        for call in (FL.softmax, lambda x: FL.layer_norm(x, [], [], 0.0), lambda x: FL.rms_norm(x, [], 0.0),
                     lambda x: lamp.select(x, tau=1.0)):
            with self.assertRaisesRegex(ValueError, "n at least 1"):
                call(numpy.zeros((2, 0)))

    def test_shapes_that_are_refused(self):
        for call in (lambda: FL.dot(numpy.zeros(3), numpy.zeros(4)), lambda: FL.dot(1.0, 2.0),
                     lambda: FL.matmul(numpy.zeros((2, 3)), numpy.zeros((2, 3))), lambda: FL.matmul(1.0, numpy.zeros((1, 1))),
                     lambda: FL.sum(1.0), lambda: FL.softmax(1.0),
                     lambda: FL.layer_norm(numpy.zeros(3), numpy.zeros(2), numpy.zeros(3), 0.0), lambda: FL.sum(numpy.zeros(3), axis=2),
                     lambda: lamp.select(numpy.zeros(3), W=numpy.zeros(3), function="linear", tau=1.0)):
            with self.assertRaises(ValueError):
                call()


class Words(unittest.TestCase):
    def test_texts_of_the_command_line(self):
        for call, words in (
                (lambda: lamp.Arithmetic(format="ps77"), "arith.format"),
                (lambda: lamp.Arithmetic(order="sideways", format="ps7"), "arith.order"),
                (lambda: lamp.Arithmetic(), "arith: format is missing"),
                (lambda: lamp.Arithmetic(fromat="ps7"), "did you mean \"arith.format\""),
                (lambda: lamp.Arithmetic(format={"p": 100, "emin": -10, "emax": 10}), "p <= 53"),
                (lambda: lamp.Arithmetic(format="ps7", order="tree:((0 1) 2)").sum([1.0, 2.0]), "arith.order"),
                (lambda: lamp.Format("e4m3n"), "format: "),
                (lambda: lamp.Format({"p": 60, "emin": -5, "emax": 5}), "p <= 53"),
                (lambda: lamp.Format("mxfp4"), "format: "),
                (lambda: lamp.Format("binary16").encode([0.1]), "x: "),
                (lambda: lamp.Format("e2m1fn").decode([99]), "code: "),
                (lambda: lamp.Format("e2m1fn").decode([-1]), "code: "),
                (lambda: lamp.Format("binary32").values(), "legal: at most 20"),
                (lambda: lamp.round(1.0, "binary16", "RNDN"), "rounding is the string \"RNDN\"; legal: RNE"),
                (lambda: lamp.round(1.0, "binary16", "SR", random_bits=40), "random_bits is the integer 40; legal: an integer, 1 to 32"),
                (lambda: lamp.round(1.0, "binary16", "SR", seed=-1), "seed is the integer -1"),
                (lambda: lamp.round(1.0, "mxfp4", "RTZ"), "rounded RNE"),
                (lambda: lamp.round([1.0], "e5m2", threads=0), "legal: an integer, 1 to 1024"),
                (lambda: lamp.exp(1.0, "mxfp4"), "legal"),
                (lambda: lamp.Arithmetic(format="\ud800"), "surrogates"),
                (lambda: FL.gelu(1.0, "sigmoid"), "legal: \"tanh\", \"erf\""),
                (lambda: lamp.select([1.0], tau=1.0, rate=0.5), "exactly one of them must be set"),
                (lambda: lamp.select([1.0], tau=1.0, function="sin"), "function is the string \"sin\"")):
            with self.assertRaises(ValueError) as raised:
                call()
            self.assertIn(words, str(raised.exception))
            self.assertNotIn("\n", str(raised.exception))


class Formats(unittest.TestCase):
    def test_numbers_of_a_format(self):
        f = lamp.Format("e4m3fn")
        self.assertEqual((f.p, f.emin, f.emax, f.u, f.xmax, f.xmin, f.xmins, f.bits), (4, -6, 8, 2.0**-4, 448.0, 2.0**-6, 2.0**-9, 8))
        self.assertEqual(lamp.Format(p=4, emin=-6, emax=8, infinities=False, top_codes_lost=1, overflow="nan"), f)
        self.assertEqual(len({lamp.Format("ps7"), lamp.Format("bfloat16"), f}), 2)
        self.assertEqual(pickle.loads(pickle.dumps(f)), f)
        self.assertNotEqual(f, "e4m3fn")

    def test_values_and_codes_are_all_of_them(self):
        for name in ("e4m3fn", "e5m2", "e2m1fn", "binary16", "e8m0fnu"):
            f = lamp.Format(name)
            codes = numpy.arange(1 << f.bits)
            numbers = f.decode(codes)
            finite = numpy.unique(numbers[numpy.isfinite(numbers)])
            self.assertTrue(numpy.array_equal(f.values(), finite), name)
            self.assertTrue(same(lamp.round(numbers, f), numbers), name)
            known = ~numpy.isnan(numbers)
            self.assertTrue(numpy.array_equal(f.encode(numbers[known]), codes[known]), name)
        self.assertTrue(numpy.array_equal(FL.format.encode(FL.format.decode(numpy.arange(5000)[::-3])), numpy.arange(5000)[::-3]))
        self.assertEqual(lamp.Format("binary16").encode([1.0]).dtype, numpy.uint16)
        self.assertEqual(lamp.Format("binary64").encode(1.0), 0x3ff0000000000000)

    def test_an_order_of_ones_own(self):
        def halves(n, first=0):
            return first if n == 1 else (halves(n // 2, first), halves(n - n // 2, first + n // 2))

        asked = []
        own = lamp.Arithmetic(format="ps3", order=lambda n: asked.append(n) or halves(n))
        for n in (1, 2, 3, 8, 8, 13):
            x, y = RNG.normal(size=(2, 4, n))
            written = lamp.Arithmetic(format="ps3", order="tree:" + str(halves(n)).replace(",", ""))
            self.assertTrue(same(own.dot(x, y), written.dot(x, y)))
            self.assertTrue(same(own.sum(x), written.sum(x)))
            self.assertTrue(same(own.matmul(x, y.T), written.matmul(x, y.T)))
            self.assertTrue(same(own.softmax(x), written.softmax(x)))
        self.assertEqual(asked, [1, 2, 3, 8, 13])  # each once
        self.assertTrue(same(own.add(1.0, 2.0**-9), FL.add(1.0, 0.0)))
        as_text = lamp.Arithmetic(format="ps3", order=lambda n: "fused-tree:(0 1)" if n == 2 else "sequential")
        self.assertTrue(same(as_text.dot([1.0, 2.0], [3.0, 4.0]), 11.0))
        comb = lamp.Arithmetic(format="ps3", order=lambda n: functools.reduce(lambda tree, k: (tree, k), range(n)))
        x = RNG.normal(size=3000)
        self.assertTrue(same(comb.sum(x), lamp.Arithmetic(format="ps3").sum(lamp.Arithmetic(format="ps3").round(x))))
        for order, words in ((lambda n: (0, 0), "arith.order"), (lambda n: (0, 1), "arith.order"), (lambda n: 1.5, "legal: "),
                             (lambda n: (), "legal: ")):
            with self.assertRaisesRegex(ValueError, words):
                lamp.Arithmetic(format="ps3", order=order).sum([1.0, 2.0, 3.0])
        with self.assertRaises(ZeroDivisionError):
            lamp.Arithmetic(format="ps3", order=lambda n: 1 // 0).sum([1.0, 2.0, 3.0])

    def test_arithmetics_are_values(self):
        fl = lamp.Arithmetic(format="ps7", order="lanes:16")
        self.assertEqual(fl, lamp.Arithmetic({"mu": 7, "order": "lanes:16"}))
        self.assertNotEqual(fl, FL)
        self.assertEqual(pickle.loads(pickle.dumps(fl)), fl)
        self.assertEqual(fl.format, lamp.Format("bfloat16"))
        self.assertEqual(lamp.Arithmetic(format=lamp.Format("e5m2")), lamp.Arithmetic(format="e5m2"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
