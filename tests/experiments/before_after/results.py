"""Parts that run experiments: all configs of configs.py and selecting.py, the studies thinned, every instruction set."""
import json
import shutil
import tomllib

from . import configs, coverage
from .hdf5 import same_folder
from .sides import ROOT

STUDIES = ROOT / "experiments/studies"
REPORTED_IN_SHORT = ["places", "continued", "stopped-kl", "truths-whole", "known"]  # whose plans, status .. are looked at if quick


def modes_of(formats):
    return [(engine["name"], mode["operands"], mode["format"]) for engine in formats["engines"] for mode in engine["modes"]]


def told(part, *arguments):
    """What OLD says in JSON."""
    return json.loads(part.old.run(*arguments, "--json").out)


def everywhere(part, name, config, *sets, environment=None, reports=True):
    """One experiment by both: what run says, the folder it leaves, and what the other commands say of it."""
    words = [word for change in sets for word in ("--set", change)]
    answers = part.command("run", config, "--out", name, "--threads", 2, "--json", "--quiet", *words, environment=environment,
                           where=f"run of {name}",
                           expected=(0,))
    if any(answer.code != 0 for answer in answers):
        return
    same_folder(part, name)
    if reports:
        part.command("plan", config, "--json", "--threads", 2, *words, where=f"plan of {name}", expected=(0,))
        part.command("status", name, "--json", where=f"status of {name}", expected=(0,))
        for file in ("result.h5", min(p.name for p in (part.old.folder / name / "shards").iterdir())):
            part.command("inspect", f"{name}/{'' if file == 'result.h5' else 'shards/'}{file}", "--json", where=f"inspect of {name}",
                         expected=(0,))


def forget(part, name):
    for side in (part.old, part.new):
        shutil.rmtree(side.folder / name, ignore_errors=True)


def everything(part):
    """Every order, rounding, engine, rule, site, by configs written here; and that none is forgotten."""
    for side in (part.old, part.new):
        formats = json.loads(side.run("formats", "--json").out)
        texts = configs.all_configs(part.quick, modes_of(formats), part.inputs)
        if side is part.old:
            written = texts
        whole = written if not part.quick else configs.all_configs(False, modes_of(formats), part.inputs)
        names = ([f["name"] for f in formats[kind]] for kind in ("formats", "systems"))
        fields = json.loads(side.run("config", "--json").out)["fields"]
        for lack in coverage.uncovered(whole.values(), fields, modes_of(formats), *names):
            part.differ(f"coverage of {side.name}", f"no config of before_after/configs.py or selecting.py has the {lack}; add it there")
    for name, text in written.items():
        file = part.inputs / f"{name}.toml"
        file.write_text(text)
        everywhere(part, name, file, reports=not name.startswith("site-") and (not part.quick or name in REPORTED_IN_SHORT))
        forget(part, name)
    part.count("configs", len(written))


def nano(part):
    """The small experiment of the tests: texts for people as well."""
    config = ROOT / "tests/experiments/nano.toml"
    part.command("run", config, "--out", "nano", "--threads", 1, *(["--set", 'grid."arithmetic.low.mu"=[4]'] if part.quick else []),
                 expected=(0,))
    same_folder(part, "nano")
    part.command("run", config, "--out", "nano", "--threads", 2, "--json", expected=(0,))  # grown where it was cut, else complete
    same_folder(part, "nano")
    for command in (["status", "nano"], ["inspect", "nano/result.h5"], ["plan", config, "--threads", 2], ["verify", "nano"],
                    ["verify", "nano", "--fraction", "0.1", "--json"], ["merge", "nano", "--out", "again.h5"], ["merge", "nano", "--json"],
                    ["inspect", "again.h5", "--json"], ["inspect", str(configs.NANO), "--json"], ["inspect", str(configs.NANO)],
                    ["inspect", str(ROOT / "data/models/gpt2-tiny"), "--json"], ["run", config, "--set", "tokens.sequences=1"]):
        part.command(*command, expected=(0,))
    same_folder(part, "nano")
    same_folder(part, "runs/nano")
    for shard in sorted((part.old.folder / "nano/shards").iterdir()):
        for more in ([], ["--json"]):
            part.command("inspect", f"nano/shards/{shard.name}", *more, expected=(0,))


def tiny(part):
    """One cell: for the self-test."""
    everywhere(part, "tiny", ROOT / "tests/experiments/nano.toml", "tokens.sequence_length=8", "tokens.sequences=1",
               'grid."arithmetic.low.mu"=[2]',
               'grid."lamp.scores.tau"=[1.1]', f'tokens.path="{ROOT}/data/texts/code.txt"')


THINNED = ["tokens.sequences=1"]
STUDY_SETS = {  # those of studies that are not here any more, or new, are an error below
    "01-softmax-lamp/study.toml": ["tokens.sequence_length=32"],
    "01-softmax-lamp/errors.toml": ["tokens.sequence_length=20"],
    "01-softmax-lamp/weights.toml": ["tokens.sequence_length=32"],
    "01-softmax-lamp/solvers.toml": ["tokens.sequence_length=32"],
    "01-softmax-lamp/shuffled.toml": ["tokens.sequence_length=32"],
    **{f"02-ground-truth/{name}.toml": ["tokens.sequence_length=8"]
       for name in ("study", "first-order", "long", "blocks", "controls", "shuffled", "layers", "forward")},
    "03-backends/study.toml": ["tokens.sequence_length=12", "continuation.prefix=6", "continuation.tokens=6"],
    "03-backends/batch.toml": ["tokens.sequence_length=24", "continuation.prefix=12", "continuation.tokens=8"],
    "04-real-model/backends.toml": ["tokens.sequence_length=4", "continuation.prefix=2", "continuation.tokens=2"],
    **{f"04-real-model/{name}.toml": ["tokens.sequence_length=4"] for name in ("study", "same-share", "masks")},
    **{f"06-everywhere/{name}.toml": ["tokens.sequence_length=8"] for name in ("alone", "everywhere")}}


def studies(part):
    """Every study in experiments/studies, thinned in tokens alone."""
    present = {str(p.relative_to(STUDIES)) for p in STUDIES.glob("*/*.toml")}
    for study in sorted(present ^ STUDY_SETS.keys()):
        part.differ("coverage",
                    f"the study {study} " + ("is not in STUDY_SETS of before_after/results.py" if study in present else "is gone"))
    for study in sorted(present & STUDY_SETS.keys()):
        model = (STUDIES / study).parent / tomllib.loads((STUDIES / study).read_text())["model"]["path"]
        if not model.exists():
            part.note(f"{study} was not compared: its model {model.name} is not here")
            continue
        path = f'tokens.path=["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]'
        sets = [*THINNED, *STUDY_SETS[study], *([path] if part.quick else [])]
        if part.quick:
            own_length = study[:2] in ("03", "04")
            sets = [s if not s.startswith("tokens.sequence_length") or own_length else "tokens.sequence_length=6" for s in sets]
            if study == "01-softmax-lamp/errors.toml":
                sets.append('grid."arithmetic.low.mu"=[4, 10]')
        name = study.replace("/", "-").removesuffix(".toml")
        everywhere(part, name, STUDIES / study, *sets)
        forget(part, name)
        part.count("studies")


def targets(part):
    """LAMP_TARGET scalar, avx2, avx512: each by both, and all with the shards of OLD's own choice."""
    formats = told(part, "formats")
    short = {name: configs.all_configs(True, modes_of(formats), part.inputs)[name] for name in ("orders", "engines", "decisions",
                                                                                                "selections-tau")[part.quick:]}
    light = ["record.errors=[]", 'record.activations=["scores", "logits"]']
    for name, text in short.items():
        file = part.inputs / f"{name}.toml"
        file.write_text(text)
        sets = ["tokens.sequence_length=1", *light] if name != "selections-tau" else ["tokens.sequence_length=8"]
        everywhere(part, f"{name}-auto", file, *sets, reports=False)
        for target in ("scalar", "avx2", "avx512"):
            environment, here = {"LAMP_TARGET": target}, f"{name}-{target}"
            if part.old.run("version", environment=environment).code != 0:
                part.command("version", environment=environment, where=f"version with LAMP_TARGET={target}")
                part.note(f"{target} is not on this machine: only the refusal was compared")
                continue
            everywhere(part, here, file, *sets, environment=environment, reports=False)
            if not (part.old.folder / here / "result.h5").exists():
                continue
            for side in (part.old, part.new):
                own, auto = (sorted((p.name, p.read_bytes()) for p in (folder / "shards").iterdir())
                             for folder in (side.folder / here, part.old.folder / f"{name}-auto"))
                part.count("shards with those of another instruction set", len(own))
                if own != auto:
                    part.differ(f"{here}/shards", f"{side.name} with LAMP_TARGET={target} has other shards than OLD without")
            forget(part, here)
        forget(part, f"{name}-auto")
    part.command("version", "--json", environment={"LAMP_TARGET": "neon"}, where="LAMP_TARGET=neon")
    part.command("version", environment={"LAMP_TARGET": "sse2"}, where="LAMP_TARGET=sse2")
