"""The parts of the comparison by name, and running them one after the other."""
import pathlib
import time
import traceback

from . import calc_lines, errors, results, resume, sides, speed, texts

PARTS = {f.__name__: f for f in (texts.texts, texts.tokens, texts.reveal, calc_lines.calc, errors.errors, results.nano, results.everything,
                                 results.targets, results.studies, resume.resume, speed.speed)}
SMALL = {f.__name__: f for f in (results.tiny, errors.refused)}  # for the self-test; what they look at the others do as well
MOST_SHOWN = 20


def run_part(name, old, new, quick, scratch):
    """One part in fresh folders; what it raises is a difference."""
    binaries = (("old", old), ("new", new))
    part = sides.Part(name, *(sides.Side(side, binary, scratch / name) for side, binary in binaries), scratch / name / "inputs", quick)
    try:
        (PARTS | SMALL)[name](part)
        if not part.counts:
            part.differ(name, "compared nothing")
    except Exception as error:  # noqa: BLE001: whatever stopped it, it did not compare everything
        at = traceback.extract_tb(error.__traceback__)[-1]
        part.differ(name, f"could not run to its end: {type(error).__name__}: {error} ({pathlib.Path(at.filename).name}:{at.lineno})")
    return part


def quick_part(name, old, new, scratch):
    return run_part(name, old, new, True, scratch)


def told(part, seconds):
    counts = ", ".join(f"{n} {kind}" for kind, n in part.counts.items())
    found = f"{len(part.differences)} DIFFERENCES" if part.differences else "no difference"
    lines = [f"{part.name}: {found} in {counts or 'nothing'} ({seconds:.0f} s)"]
    lines += [f"  note: {note}" for note in part.notes] + [f"  {difference}" for difference in part.differences[:MOST_SHOWN]]
    return lines + ([f"  and {len(part.differences) - MOST_SHOWN} more"] if len(part.differences) > MOST_SHOWN else [])


def compare(old, new, names, quick, scratch):
    """Runs parts and prints what they found; returns it as plain data."""
    found = []
    for name in names:
        start = time.monotonic()
        part = run_part(name, old, new, quick, scratch)
        seconds = time.monotonic() - start
        print("\n".join(told(part, seconds)), flush=True)
        found.append({"part": name, "compared": part.counts, "differences": part.differences, "notes": part.notes,
                      "seconds": round(seconds, 1)})
    return found
