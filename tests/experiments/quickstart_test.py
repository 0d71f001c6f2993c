"""experiments/quickstart on a tiny grid: what it names at its end is there, and it can be run again."""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT  # noqa: E402

TINY = ["--set", "model.path=" + str(ROOT / "data/models/gpt2-nano"), "--set", "tokens.sequence_length=24", "--set", "tokens.sequences=1",
        "--set", 'grid."arithmetic.low.mu"=[4, 10]', "--set", 'grid."lamp.scores.tau"=[2.0, 1.1]']


def main():
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "quick start"
        for attempt in ("first", "second"):
            done = subprocess.run(["bash", str(ROOT / "experiments/quickstart"), str(out), *TINY], capture_output=True, text=True)
            assert done.returncode == 0, f"{attempt} quickstart ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            named = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith(("result:", "figures:"))]
            assert named and all(pathlib.Path(name).stat().st_size > 1000 for name in named if not name.endswith(".csv")), named
            endings = {pathlib.Path(name).suffix for name in named}
            assert {".h5", ".png", ".html", ".csv"} <= endings, endings
        assert "24 of 24 cells are there already" in done.stderr, done.stderr  # 3 texts, 2 mu, 2 tau, 2 rules
        print(f"quickstart made {len(named)} files, twice")


if __name__ == "__main__":
    main()
