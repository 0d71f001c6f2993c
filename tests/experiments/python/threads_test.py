"""Threads change no bit, other Python threads go on meanwhile, and Ctrl-C ends what takes long."""
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import lamp
import numpy

RNG = numpy.random.default_rng(3)
SLOW = lamp.Arithmetic(format="ps7", order="exact")

INTERRUPTED = """
import signal, sys, time
import lamp, numpy
signal.signal(signal.SIGINT, signal.default_int_handler)
big = numpy.ones((1500, 1500))
fl = lamp.Arithmetic(format="ps7", order="kahan", rounding="SR")
calls = {
    "matmul": lambda: fl.matmul(big, big, threads=%(threads)d),
    "round": lambda: [lamp.round(big, "e4m3fn", "SR", threads=%(threads)d) for _ in range(1000)],
    "forward": lambda: lamp.Model("data/models/gpt2-tiny").forward([1] * 256, fl, threads=%(threads)d),
    "run": lambda: lamp.run("tests/experiments/nano.toml", out=sys.argv[2], progress=False,
                            set={"arithmetic.low.rounding": "SR", "tokens.sequences": 100}),
}
print("started", flush=True)
try:
    calls[sys.argv[1]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def interrupt(call, threads):
    """Seconds from the signal to the end, and what was printed last."""
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([sys.executable, "-c", INTERRUPTED % {"threads": threads}, call, folder + "/run"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(1.5)
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
        return time.monotonic() - asked, out.strip(), err


class Threads(unittest.TestCase):
    def test_no_bit_depends_on_them(self):
        x, y = RNG.normal(size=(130, 70)), RNG.normal(size=(70, 90))
        big = RNG.normal(size=300_000)
        for keys in ({"format": "ps7"}, {"format": "ps7", "order": "pairwise:8"}, {"format": "binary16", "rounding": "SR", "seed": 5},
                     {"engine": "h100"}, {"format": "binary32", "order": "kahan", "operands": "e4m3fn"}):
            fl = lamp.Arithmetic(keys)
            for call in (lambda n: fl.matmul(x, y, threads=n), lambda n: fl.dot(x, x, threads=n), lambda n: fl.sum(x, threads=n),
                         lambda n: fl.softmax(x, threads=n), lambda n: fl.add(big, 1.0, threads=n),
                         lambda n: fl.exp(big[:5000], threads=n)):
                one = call(1)
                for count in (2, 5):
                    self.assertEqual(one.tobytes(), call(count).tobytes(), keys)

    def test_rows_draw_as_they_do_alone(self):
        fl = lamp.Arithmetic(format="e4m3fn", rounding="SR", seed=11)
        a, b = RNG.normal(size=(2, 40, 30)), RNG.normal(size=(30, 20))
        both = fl.matmul(a, b)
        self.assertTrue(numpy.array_equal(both[0], fl.matmul(a[0], b)))
        self.assertTrue(numpy.array_equal(fl.matmul(a.reshape(80, 30), b), both.reshape(80, 20)))
        self.assertFalse(numpy.array_equal(both[0], lamp.Arithmetic(format="e4m3fn", rounding="SR", seed=12).matmul(a[0], b)))

    def test_the_interpreter_goes_on(self):
        a = RNG.normal(size=(400, 400))
        for call in (lambda: SLOW.matmul(a, a, threads=1), lambda: lamp.round(numpy.ones(10_000_000), "e4m3fn", "SR", threads=1)):
            worker = threading.Thread(target=call)
            worker.start()
            turns = 0
            while worker.is_alive():
                turns += 1
                time.sleep(0.0005)
            self.assertGreater(turns, 20)

    def test_ctrl_c(self):
        for call, threads in (("matmul", 1), ("matmul", 2), ("round", 1), ("forward", 2), ("run", 1)):
            seconds, said, errors = interrupt(call, threads)
            self.assertEqual(said, "interrupted", f"{call}: {errors}")
            self.assertLess(seconds, 30, call)  # a second on a machine that does nothing else

    def test_threads_that_are_refused(self):
        """No room for another stack: the calling thread does it alone."""
        code = ("import lamp, numpy, re, resource, threading\n"
                "x = numpy.ones(2_000_000); y = numpy.empty_like(x)\n"
                "used = int(re.search(r'VmSize:\\s*(\\d+) kB', open('/proc/self/status').read())[1]) << 10\n"
                "resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)\n"
                "try:\n    threading.Thread(target=print).start()\nexcept RuntimeError:\n    print('refused')\n"
                "lamp.round(x, 'e5m2', out=y, threads=2); print(numpy.array_equal(x, y))")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual(done.stdout.split(), ["refused", "True"], done.stderr)

    def test_after_a_fork(self):
        lamp.round(RNG.normal(size=100_000), "e5m2", threads=2)
        child = os.fork()
        if child == 0:
            x = numpy.ones(100_000)
            os._exit(0 if numpy.array_equal(lamp.round(x, "e5m2", threads=2), x) else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
