#!/usr/bin/python3
"""Two builds of the program side by side: every number, id and line that they give, compared.

usage: before_after.py OLD_LAMP NEW_LAMP [--only PART ..] [--quick] [--json FILE] [--self-test]

Both run the configs of this checkout in a folder of the same name. Exit 0: no difference; 1: a difference, or a part that could not run.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from before_after import calc_lines, errors, results, sides, texts  # noqa: E402

PARTS = {f.__name__: f for f in (texts.texts, texts.tokens, texts.reveal, calc_lines.calc, errors.errors, results.nano, results.everything,
                                 results.targets,
                                  results.studies)}
MOST_SHOWN = 20


def run_part(name, old, new, quick, scratch):
    """One part in fresh folders; what it raises is a difference."""
    part = sides.Part(name, *(sides.Side(side, binary, scratch / name) for side, binary in (("old", old), ("new", new))),
                      scratch / name / "inputs", quick)
    try:
        PARTS[name](part)
        if not part.counts:
            part.differ(name, "compared nothing")
    except Exception as error:  # noqa: BLE001: whatever stopped it, it did not compare everything
        at = traceback.extract_tb(error.__traceback__)[-1]
        part.differ(name, f"could not run to its end: {type(error).__name__}: {error} ({pathlib.Path(at.filename).name}:{at.lineno})")
    return part


def told(part, seconds):
    counts = ", ".join(f"{n} {kind}" for kind, n in part.counts.items())
    found = f"{len(part.differences)} DIFFERENCES" if part.differences else "no difference"
    return f"{part.name}: {found} in {counts or 'nothing'} ({seconds:.0f} s)"


def compare(old, new, names, quick, scratch, out=sys.stdout):
    """Runs parts; returns them as plain data."""
    found = []
    for name in names:
        start = time.monotonic()
        part = run_part(name, old, new, quick, scratch)
        seconds = time.monotonic() - start
        print(told(part, seconds), file=out, flush=True)
        for line in [*(f"  note: {note}" for note in part.notes), *(f"  {difference}" for difference in part.differences[:MOST_SHOWN])]:
            print(line, file=out, flush=True)
        if len(part.differences) > MOST_SHOWN:
            print(f"  and {len(part.differences) - MOST_SHOWN} more", file=out, flush=True)
        found.append({"part": name, "compared": part.counts, "differences": part.differences, "notes": part.notes,
                      "seconds": round(seconds, 1)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path, metavar="OLD_LAMP")
    parser.add_argument("new", type=pathlib.Path, metavar="NEW_LAMP")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help="of " + " ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="less of each, in about two minutes")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="everything found, all differences")
    arguments = parser.parse_args()
    for binary in (arguments.old, arguments.new):
        if not binary.is_file():
            parser.error(f"{binary}: no such binary")
    with tempfile.TemporaryDirectory(prefix="lamp-before-after-") as scratch:
        found = compare(arguments.old, arguments.new, arguments.only or list(PARTS), arguments.quick, pathlib.Path(scratch))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    different = sum(len(part["differences"]) for part in found)
    print(f"{different} differences" if different else "no difference")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
