"""before_after.py in short: a build beside itself has no difference, and a build that changes one thing is caught."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
import before_after.self_test as self_test  # noqa: E402
from results import LAMP  # noqa: E402
from before_after import parts  # noqa: E402

CHANGES = ["one bit of a dataset", "a byte of a shard", "a digit of an answer of calc", "an exit code"]


def main():
    with tempfile.TemporaryDirectory(prefix="lamp-before-after-") as scratch:
        scratch = pathlib.Path(scratch)
        for found in parts.compare(LAMP, LAMP, ["tiny", "refused", "calc"], True, scratch / "same"):
            assert found["compared"] and not found["differences"], found
        missed = self_test.self_test(LAMP, parts.quick_part, scratch / "changed", CHANGES)
        assert not missed, missed


if __name__ == "__main__":
    main()
