"""The order outside-in, added by one file and its rows, wherever orders are read: both backends of calc, gemm on every instruction set,
configs, refusals, reveal. Oracle: exact rationals, rounded here to p bits."""
import json
import os
import random
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

LAMP = os.environ["LAMP_BINARY"]


def rounded(x, p):
    """x to p bits, nearest, ties to even; the exponent unbounded."""
    if x == 0:
        return x
    e = 0
    while abs(x) >= Fraction(2) ** (e + 1):
        e += 1
    while abs(x) < Fraction(2) ** e:
        e -= 1
    ulp = Fraction(2) ** (e - p + 1)
    return round(x / ulp) * ulp  # Fraction rounds ties to even


def outside_in(a, b, p, c=0):
    order = [k // 2 if k % 2 == 0 else len(a) - 1 - k // 2 for k in range(len(a))]
    s = Fraction(0)
    for k in order:
        s = rounded(s + Fraction(a[k]) * Fraction(b[k]), p)
    return float(rounded(s + Fraction(c), p) if c else s)


def calc(requests):
    lines = "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run([LAMP, "calc"], input=lines, text=True, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def dots():
    draw, requests, expected = random.Random(1), [], []
    formats = [({"p": 4, "emin": -60, "emax": 60}, 4), ("binary32", 24), ({"p": 9, "emin": -60, "emax": 60}, 9)]
    for n in [0, 1, 2, 3, 4, 5, 8, 33, 64]:
        for form, p in formats:
            a, b = ([draw.randint(-99, 99) / 8 for _ in range(n)] for _ in "ab")
            c = draw.choice([0, 3])
            for backend in ["auto", "scalar", "mpfr"]:
                requests.append({"op": "dot", "a": a, "b": b, "c": c, "backend": backend, "arith": {"format": form, "order": "outside-in"}})
                expected.append(outside_in(a, b, p, c))
    answers = [float.fromhex(answer["y"]) for answer in calc(requests)]
    assert answers == expected, [pair for pair in zip(requests, answers, expected) if pair[1] != pair[2]][0]
    sequential = calc([{**r, "arith": {**r["arith"], "order": "sequential"}} for r in requests])
    assert [float.fromhex(answer["y"]) for answer in sequential] != expected, "the data cannot tell the order from another"
    return len(requests)


def products():
    """Of matrices, in binary32: by the order's program where the machine has the instructions."""
    draw = random.Random(2)
    a = [[draw.randint(-99, 99) / 7 for _ in range(21)] for _ in range(5)]
    b = [[draw.randint(-99, 99) / 7 for _ in range(40)] for _ in range(21)]
    single = {"product": "binary32", "operands": "binary32", "format": "binary32", "order": "outside-in"}
    fused = {"format": "binary32", "order": "outside-in"}
    count = 0
    for arith in [single, fused]:
        auto, scalar, mpfr = calc([{"op": "gemm", "a": a, "b": b, "backend": back, "arith": arith} for back in ["auto", "scalar", "mpfr"]])
        assert auto == scalar == mpfr, arith
        count += 3
    return count


def configs():
    """The order in a config: taken, listed among the legal ones, and its range where it is written wrongly."""
    nano = Path(__file__).resolve().parents[4] / "tests/experiments/nano.toml"

    def plan(order):
        done = subprocess.run([LAMP, "plan", nano, "--set", f"arithmetic.low.order={order}"], text=True, capture_output=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert plan("outside-in")[0] == 0, plan("outside-in")
    code, said = plan("outside-in:3")
    assert code != 0 and "legal: outside-in alone" in said, said
    code, said = plan("outside_in")
    assert code != 0 and "exact, " in said and "outside-in; did you mean \"outside-in\"?" in said, said
    listed = subprocess.run([LAMP, "config", "--json"], text=True, capture_output=True, check=True).stdout
    assert "outside-in" in listed, "lamp config --json lists the orders"


def revealed():
    with tempfile.TemporaryDirectory() as folder:
        box = os.path.join(folder, "box.py")
        with open(box, "w", encoding="utf-8") as f:
            f.write("import json, subprocess, sys\n"
                    "arith = {'format': 'binary32', 'order': 'outside-in'}\n"
                    "lines = [json.dumps({'op': 'dot', 'arith': arith, **json.loads(line)}) for line in sys.stdin]\n"
                    f"sys.exit(subprocess.run([{LAMP!r}, 'calc'], input='\\n'.join(lines) + '\\n', text=True).returncode)\n")
        question = [LAMP, "reveal", "--n", "9", "--format", "binary32", "--command", f"{sys.executable} {box}", "--json"]
        done = subprocess.run(question, text=True, capture_output=True, check=False)
    found = json.loads(done.stdout)
    assert found["tree"] == "(0 8 1 7 2 6 3 5 4)", found
    assert "outside-in" in found["names"], found
    assert found["arith"]["order"] == "outside-in", found


def main():
    checked = dots() + products()
    configs()
    revealed()
    print(f"outside-in: {checked} sums by three backends, in configs, and its tree and name by reveal")


main()
