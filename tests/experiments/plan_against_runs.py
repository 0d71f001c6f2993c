"""`lamp plan` against runs on an idle machine: time within 1.25 and memory within 1.1, each way, on four shapes, as a table.

    LAMP_BINARY=build/release/lamp /usr/bin/python3 tests/experiments/plan_against_runs.py [CASE ..]

Others at work make its times wrong: run it alone. A plan is made before and after its run, and the nearer one counts."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from random_checkpoint import write_checkpoint  # noqa: E402
from plan_test import CONFIG, SITES, measured, measured_run  # noqa: E402
from results import ROOT, sets  # noqa: E402

TIME, MEMORY = 1.25, 1.1
STUDY = ROOT / "experiments/studies/01-softmax-lamp/study.toml"
PROSE = f'tokens.path="{ROOT}/data/texts/prose.txt"'
GRID = ['grid."arithmetic.low.mu"=[3, 7, 12]', 'grid."lamp.scores.tau"=[2.0, 1.5, 1.1]', 'grid."lamp.scores.rule"=["lamp", "random"]']
FEW = ['grid."arithmetic.low.mu"=[7]', 'grid."lamp.scores.tau"=[2.0, 1.1]', 'grid."lamp.scores.rule"=["lamp"]']
ERRORS = [f"record.errors={SITES}"]
SELECTING = {"values": ['norm="normwise1"'], "attn_proj": ['norm="normwise1"'], "mlp_fc": ['weights="relative"'],
             "mlp_proj": ['weights="relative"', 'norm="normwise1"'], "logits": []}  # besides scores
EVERYWHERE = [f'plan.{site}="low"' for site in SELECTING] + [
    f"lamp.{site}.{key}" for site, keys in SELECTING.items() for key in [*keys, 'recompute="high"', "rate=0.03"]]


def cases(folder):
    """By name: config, changes, threads."""
    write_checkpoint(folder / "model", width=768, layers=2, heads=12, vocabulary=50257, positions=1024)
    (folder / "ids.json").write_text("".join(f"[{', '.join(str((a * i * i + i) % 50257) for i in range(1024))}]\n" for a in (3, 7)))
    wide = [f"model.path={folder}/model", "tokens.source=ids", f'tokens.path="{folder}/ids.json"']
    nano = ["tokens.sequence_length=64", "tokens.sequences=8"]
    tiny = ["tokens.sequences=2", PROSE, *GRID]
    truth = ROOT / "experiments/studies/02-ground-truth/study.toml"
    return {
        "nano": (CONFIG, nano, 1), "nano errors": (CONFIG, [*nano, *ERRORS], 1), "nano 2 threads": (CONFIG, nano, 2),
        "tiny 64": (STUDY, [*tiny, "tokens.sequence_length=64", "tokens.sequences=8"], 1),
        "tiny 256": (STUDY, tiny, 1), "tiny 256 errors": (STUDY, [*tiny, *ERRORS], 1), "tiny 256 2 threads": (STUDY, tiny, 2),
        "tiny 256 everywhere": (STUDY, ["tokens.sequences=2", PROSE, *FEW, *EVERYWHERE], 1),
        "wide 128": (STUDY, [*wide, *GRID, "tokens.sequence_length=128", "tokens.sequences=2"], 1),
        "wide 512": (STUDY, [*wide, *FEW, "tokens.sequence_length=512", "tokens.sequences=1"], 1),
        "wide 512 errors": (STUDY, [*wide, *FEW, *ERRORS, "tokens.sequence_length=512", "tokens.sequences=1"], 1),
        "wide 512 2 threads": (STUDY, [*wide, *FEW, "tokens.sequence_length=512", "tokens.sequences=1"], 2),
        "wide 1024": (STUDY, [*wide, *FEW, "tokens.sequence_length=1024", "tokens.sequences=1"], 1),
        "truth 16": (truth, [PROSE, "tokens.sequence_length=16", "tokens.sequences=1", 'grid."arithmetic.low.mu"=[4]'], 1),
        "truth 24 2 threads": (truth, [PROSE, "tokens.sequence_length=24", "tokens.sequences=1", "truth.sample=0.5",
                                       'grid."arithmetic.low.mu"=[4]'], 2),
    }


def main():
    wrong = []
    print(f"{'case':20} {'T':>4} {'cells':>5} {'threads':>7} {'plan s':>7} {'run s':>7} {'ratio':>5} {'plan MB':>7} {'run MB':>7}"
          f" {'ratio':>5} {'planning s':>10}")
    with tempfile.TemporaryDirectory() as name:
        for case, (config, changes, threads) in cases(pathlib.Path(name)).items():
            if len(sys.argv) > 1 and case not in sys.argv[1:]:
                continue
            asked = [config, "--threads", threads, *sets(*changes)]
            before, planning, _, _ = measured("plan", *asked, "--json")
            _, took, _, peak = measured_run(*asked)
            after, _, _, _ = measured("plan", *asked, "--json")
            plan = min(before, after, key=lambda p: max(p["seconds"]["all"] / took, took / p["seconds"]["all"]))
            time, memory = plan["seconds"]["all"] / took, plan["memory"]["peak"] / peak
            estimate, cells = plan["memory"]["peak"], plan["computed"] * plan["sequences"]
            print(f"{case:20} {plan['sequence_length']:4} {cells:5} {threads:7} {plan['seconds']['all']:7.2f} {took:7.2f} {time:5.2f}"
                  f" {estimate / 2**20:7.1f} {peak / 2**20:7.1f} {memory:5.2f} {planning:10.2f}", flush=True)
            if not (1 / TIME <= time <= TIME and 1 / MEMORY <= memory <= MEMORY):
                wrong.append(case)
    if wrong:
        sys.exit(f"plan is not within {TIME} of the time and {MEMORY} of the memory: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
