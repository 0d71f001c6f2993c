#!/usr/bin/python3
"""Two builds of the program side by side: every number, id and line that they give, compared.

usage: before_after.py OLD_LAMP NEW_LAMP [--only PART ..] [--quick] [--json FILE] [--self-test]

Both run the configs of this checkout, in folders that have the same name while they run. Benches are looked for below the folders of the
binaries. Exit 0: no difference; 1: a difference, or a part that could not run. About 12 minutes on two cores, --quick 2 to 3.
"""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from before_after import parts, self_test  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, metavar="OLD_LAMP")
    parser.add_argument("new", type=pathlib.Path, metavar="NEW_LAMP")
    names = [*parts.PARTS, *parts.SMALL]
    parser.add_argument("--only", nargs="+", choices=names, metavar="PART", help="of " + " ".join(names))
    parser.add_argument("--quick", action="store_true", help="less of each; times are told and not judged")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="everything found, all differences")
    parser.add_argument("--self-test", action="store_true", help="instead: that each of some small changes of OLD_LAMP is reported")
    arguments = parser.parse_args()
    for binary in (arguments.old, arguments.new):
        if not binary.is_file():
            parser.error(f"{binary}: no such binary")
    with tempfile.TemporaryDirectory(prefix="lamp-before-after-") as scratch:
        if arguments.self_test:
            missed = self_test.self_test(arguments.old, parts.quick_part, pathlib.Path(scratch))
            print("not reported: " + "; ".join(missed) if missed else f"all {len(self_test.ALTERATIONS)} changes are reported")
            return 1 if missed else 0
        found = parts.compare(arguments.old, arguments.new, arguments.only or list(parts.PARTS), arguments.quick, pathlib.Path(scratch))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    different = sum(len(part["differences"]) for part in found)
    print(f"{different} differences" if different else "no difference")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
