"""One experiment, the same bits of result.h5 (but /provenance): g++ and clang, optimised or not, threads, parts, instruction sets.

usage: same_bits_test.py [--full]      default: a small grid, and the binary that clang makes of the tree with every toy
       extension in it (tests/structure/extend.py), which tests/run has built: an extension changes no bit of anything else
       --full: the grid of nano.toml, and g++ -O1, clang -O1 and clang -O3 too, built in build/same-bits
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, differences  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/structure"))
import extend  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"
RECORD = ["--set", 'record.errors=["scores", "softmax", "gelu", "resid_2", "logits"]']
SMALL = ["--set", "tokens.sequence_length=20", "--set", 'grid."arithmetic.low.mu"=[3, 10]', "--set", 'grid."lamp.scores.tau"=[1.4]',
         "--set", 'grid."lamp.scores.rule"=["lamp", "random"]']
# Beside the scores, the activation's inputs: the rule that looks through the map after it.
ACTIVATION = ["--set", "plan.mlp_fc=low", "--set", "lamp.mlp_fc.recompute=high", "--set", "lamp.mlp_fc.rule=value-aware",
              "--set", "lamp.mlp_fc.rate=0.1", "--set", "record.selected=true"]
# The ground truth of one row of one head, with derivatives and selected sets.
TRUTH = ["--set", "tokens.sequence_length=6", "--set", "tokens.sequences=1", "--set", f'tokens.path="{ROOT}/data/texts/prose.txt"',
         "--set", 'grid."arithmetic.low.mu"=[3]', "--set", 'grid."lamp.scores.rule"=["value-aware"]', "--set", "record.selected=true",
         "--set", "truth.layers=[2]", "--set", "truth.heads=[1]", "--set", "truth.queries=[5]", "--set", "truth.row_sets=2",
         "--set", "truth.forward=2", "--set", "truth.coarse=false", "--set", "truth.budgets=[0.2]",
         "--set", 'truth.rules=["first-order", "page-bound"]']
COMPILERS = {"g++": "gcc", "clang++": "clang"}


def build(compiler, level):
    """The binary of this compiler and level, built by its own folder's ninja."""
    folder = ROOT / f"build/same-bits/{compiler}{level}"
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLAMP_BUILD_TESTS=OFF",
                    f"-DCMAKE_C_COMPILER={COMPILERS[compiler]}", f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS_RELEASE={level} -DNDEBUG",
                    *launcher], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder), "--target", "lamp"], check=True, stdout=subprocess.DEVNULL)
    return folder / "lamp"


def instruction_sets():
    flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    return ["scalar"] + ["avx2"] * ("avx2" in flags and "fma" in flags) + ["avx512"] * ("avx512dq" in flags and "avx512bw" in flags)


def main(arguments):
    grid = RECORD + ([] if "--full" in arguments else SMALL)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)

        def run(name, binary=LAMP, options=(), parts=1, target=None, expected=(0,), what=ACTIVATION):
            environment = dict(os.environ) | ({"LAMP_TARGET": target} if target else {})
            for part in range(parts):
                shard = ["--shard", f"{part + 1}/{parts}"] if parts > 1 else []
                command = [str(binary), "run", str(CONFIG), "--out", str(scratch / name), "--quiet", *grid, *what, *options, *shard]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                assert done.returncode in expected, f"{name}: exit {done.returncode}: {done.stderr}"
            if parts > 1:
                subprocess.run([str(binary), "merge", str(scratch / name)], check=True, capture_output=True)
            return scratch / name / "result.h5"

        reference = run("reference", options=["--threads", "1"])
        compared = []

        def compare(name, result, to=reference):
            assert_same_bits(result, to, ("/provenance", "/toy"))  # what a toy instrument adds
            compared.append(name)
            print("same bits:", name, flush=True)

        compare("2 threads", run("threads", options=["--threads", "2"]))
        compare("3 parts", run("parts", parts=3, expected=(75,)))
        truth = run("truth", what=TRUTH)
        for target in instruction_sets():
            compare(target, run(target, target=target))
            compare("truth, " + target, run("truth-" + target, what=TRUTH, target=target), truth)
        compare("clang++ -O0", run("clang", binary=extend.build("lamp")))
        compare("truth, clang++ -O0", run("truth-clang", binary=extend.build("lamp"), what=TRUTH), truth)
        for compiler, level in (("g++", "-O1"), ("clang++", "-O3"), ("clang++", "-O1")) if "--full" in arguments else ():
            compare(f"{compiler} {level}", run(compiler + level, binary=build(compiler, level)))
        control = run("control", options=["--set", "arithmetic.high.via=tf32", "--set", "seed=7"])
        assert differences(control, reference), "the comparison sees nothing"
        print(f"{len(compared)} ways to compute it, one result")


if __name__ == "__main__":
    main(sys.argv[1:])
