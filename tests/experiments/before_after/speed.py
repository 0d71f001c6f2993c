"""How long both take: benches over all their rows, studies by processor time; in alternation, and at most 1.03 times as long."""
import collections
import json
import statistics
import subprocess

from .results import STUDIES
from .sides import ROOT

LIMIT = 1.03  # of a study, of the geometric mean of a bench's rows
ROW_LIMIT = 1.2  # of one row: the same binary beside itself showed up to 1.13 in single rows of gemm on two shared cores
ROUNDS = 4  # of pairs, as long as something is too slow: others work on this machine
Bench = collections.namedtuple("Bench", "rows unit pairs")  # of `lamp bench GROUP`: keys of its JSON, how often both take their turn
BENCHES = {"gemm": Bench("kernels", "ns_per_mac", 1), "elementwise": Bench("elementwise", "ns_per_entry", 3),
           "selection": Bench("selection", "ns_per_entry", 3), "functions": Bench("functions", "ns_per_entry", 3)}
STUDY_RUNS = {
    "study 01": ["01-softmax-lamp/study.toml", "tokens.sequences=1", "tokens.sequence_length=160",
                 f'tokens.path=["{ROOT}/data/texts/prose.txt"]',
                 'grid."arithmetic.low.mu"=[2, 6, 10, 22]', 'grid."lamp.scores.tau"=[3.0, 1.8, 1.5, 1.3, 1.1, 1.02]'],
    "study 03": ["03-backends/study.toml", "tokens.sequences=1", "tokens.sequence_length=48", "continuation.prefix=24",
                 "continuation.tokens=12",
                 f'tokens.path=["{ROOT}/data/texts/code.txt"]']}


def timed_study(side, words):
    study, *sets = words
    with side.at_work():
        subprocess.run(["rm", "-rf", "timed"], cwd=side.here, check=True)
    answer = side.run("run", STUDIES / study, "--out", "timed", "--quiet", "--threads", 1,
                      *[w for change in sets for w in ("--set", change)])
    if answer.code != 0:
        raise RuntimeError(f"{study} by {side.name} ended with {answer.code}: {answer.err}")
    return {"processor time": (answer.user, 0.001)}


def timed_bench(side, group):
    """Medians of `lamp bench GROUP`, by the name of the row and its instruction set. A difference of times may come out below 0."""
    done = subprocess.run([str(side.binary), "bench", group, "--json"], capture_output=True, text=True, timeout=1800, env=side.environment)
    if done.returncode != 0:
        raise RuntimeError(f"bench {group} by {side.name} ended with {done.returncode}: {done.stderr}")
    unit = 1e-4
    return {f"{row['name']} {row['target']}": (max(row[BENCHES[group].unit], unit), unit)
            for row in json.loads(done.stdout)[BENCHES[group].rows]}


def ratio(old, new, unit):
    """A unit of the last digit is no difference."""
    return max(min(new / old, 1.0), (new - unit) / old)


def ratios(old, new, unit):
    """Ratio of the least times, and median of the ratios of pairs."""
    return ratio(min(old), min(new), unit), statistics.median(ratio(a, b, unit) for a, b in zip(old, new))


def together(old, new):
    """The same for all rows, of which the geometric mean is taken."""
    def mean(pairs):
        return statistics.geometric_mean(b / a for a, b in pairs)
    least = mean([(min(old[row]), min(new[row])) for row in old])
    return least, statistics.median(mean([(old[row][i], new[row][i]) for row in old]) for i in range(len(next(iter(old.values())))))


def compare(part, name, measure, pairs):
    """`measure`: side to {row: (time, unit of its last digit)}."""
    old, new, units = {}, {}, {}
    for _ in range(1 if part.quick else ROUNDS):
        for _ in range(1 if part.quick else pairs):
            for times, side in ((old, part.old), (new, part.new)):
                for row, (time, unit) in measure(side).items():
                    times.setdefault(row, []).append(time)
                    units[row] = unit
        if old.keys() != new.keys() or not old:
            return part.differ(name, f"rows of one side only: {sorted(old.keys() ^ new.keys())[:5] or 'there are none'}")
        found, whole = {row: min(ratios(old[row], new[row], units[row])) for row in old}, together(old, new)
        if min(whole) <= LIMIT and max(found.values()) <= ROW_LIMIT:
            break
    part.count("times", len(found))
    slowest = sorted(found, key=found.get, reverse=True)
    part.note(f"{name}: NEW / OLD {whole[0]:.3f} of least times, {whole[1]:.3f} median of {len(old[slowest[0]])} pairs")
    if len(found) > 1:
        beyond = sum(value > LIMIT for value in found.values())
        worst = "; ".join(f"{found[row]:.3f} {row}" for row in slowest[:3])
        part.note(f"{name}: of {len(found)} rows {beyond} above {LIMIT}, the slowest {worst}")
    if part.quick:
        return None
    if min(whole) > LIMIT:
        part.differ(name, f"takes {whole[0]:.3f} times as long, {whole[1]:.3f} in the median of pairs; at most {LIMIT}")
    for row in slowest:
        if found[row] > ROW_LIMIT:
            part.differ(f"{name}: {row}",
                        f"OLD {min(old[row]):.4g}, NEW {min(new[row]):.4g}: {found[row]:.3f} times as long; a row at most {ROW_LIMIT}")
    return None


def speed(part):
    """Few times in --quick, told and not judged."""
    for name, words in STUDY_RUNS.items():
        compare(part, name, lambda side, words=words: timed_study(side, words), 3)
    for group, bench in BENCHES.items():
        lacking = [f"no lamp-bench beside {side.binary}" for side in (part.old, part.new)
                   if not (side.binary.parent / "lamp-bench").exists()]
        if lacking:
            part.differ(f"bench {group}", "; ".join(lacking) + ": not measured")
        elif not part.quick or group == "selection":
            compare(part, group, lambda side, group=group: timed_bench(side, group), bench.pairs)
