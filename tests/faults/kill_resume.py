"""kill -9 at random moments, then resume: the result has the bits of an undisturbed run. usage: kill_resume.py [KILLS]"""
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT, assert_same_bits, lamp  # noqa: E402

CONFIG = ROOT / "tests/experiments/nano.toml"


def main(kills):
    random.seed(20261120)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        start = time.monotonic()
        lamp("run", CONFIG, "--out", scratch / "whole", "--threads", 1, "--quiet")
        whole = time.monotonic() - start
        killed = finished = 0
        folder = scratch / "killed0"
        while killed < kills:
            run = subprocess.Popen([str(LAMP), "run", str(CONFIG), "--out", str(folder), "--threads", "2", "--quiet"],
                                   stderr=subprocess.PIPE, text=True)
            try:
                run.wait(timeout=random.uniform(0.0, 0.4 * whole))
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                killed += 1
            _, error = run.communicate()
            assert run.returncode in (0, -signal.SIGKILL), f"a resumed run ended with {run.returncode}: {error}"
            if run.returncode == 0:
                finished += 1
                assert_same_bits(folder / "result.h5", scratch / "whole/result.h5")
                folder = scratch / f"killed{finished}"
        lamp("run", CONFIG, "--out", folder, "--threads", 2, "--quiet")
        assert_same_bits(folder / "result.h5", scratch / "whole/result.h5")
        print(f"{killed} kills, {finished + 1} resumed runs finished, every result has the bits of the undisturbed run ({whole:.1f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
