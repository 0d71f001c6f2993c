"""Each input and each output of a run, as a user who is not root: unreadable, unwritable, missing, a folder, a FIFO, a link to nothing, to
itself, to a device, to another's file. What is not the run's is neither written nor made."""
import os
import random
import shutil

from law import CONFIG, NOBODY, ORDINARY, ROOT, SMALL, WORLD, Tally, Undisturbed, call

INPUTS = ["study.toml", "model", "model/config.json", "model/model.safetensors", "model/vocab.json", "model/merges.txt", "texts/prose.txt"]
OUTPUTS = ["out", "out/shards", "out/shards/SHARD", "out/study.toml", "out/.lock", "out/result.h5"]
STATES = ["unreadable", "unwritable", "missing", "folder", "fifo", "link to nothing", "link to itself", "link to /dev/full",
          "link to /dev/zero", "link to another's file"]
# The exit codes of what experiments/README.md names: missing input 66, permission 77.
EXPECTED = {("study.toml", "missing"): {66}, ("study.toml", "link to nothing"): {66}, ("study.toml", "unreadable"): {77},
            ("model", "missing"): {66}, ("model", "unreadable"): {77}, ("model/model.safetensors", "missing"): {66},
            ("model/model.safetensors", "unreadable"): {77}, ("model/config.json", "missing"): {66},
            ("model/config.json", "unreadable"): {77}, ("model/vocab.json", "unreadable"): {77}, ("model/merges.txt", "unreadable"): {77},
            ("texts/prose.txt", "missing"): {66}, ("texts/prose.txt", "unreadable"): {77}, ("texts/prose.txt", "link to nothing"): {66}}
VICTIM = b"another's\n"


def make_home(undisturbed):
    """A folder `home` with all inputs and a half run, and `pristine` with the same, to put back what was broken."""
    home = undisturbed.scratch / "pristine"
    shutil.copytree(ROOT / "data/models/gpt2-nano", home / "model")
    (home / "texts").mkdir()
    for name in ("prose.txt", "code.txt"):
        shutil.copy(ROOT / "data/texts" / name, home / "texts")
    text = CONFIG.read_text().replace("../../data/models/gpt2-nano", "model").replace("../../data/texts", "texts")
    (home / "study.toml").write_text(text)
    half = undisturbed.half()
    half.rename(home / "out")
    (home / "out/result.h5").write_bytes((undisturbed.whole / "result.h5").read_bytes())
    # As the run of this config writes it: with its paths.
    ended = call("run", home / "study.toml", "--out", home / "out2", "--threads", 1, "--quiet", *SMALL)
    assert ended.code == 0, ended.line()
    (home / "out2/study.toml").replace(home / "out/study.toml")
    shutil.rmtree(home / "out2")
    return home


def give_away(*paths):
    """Gives files and all below to the user nobody, where it is root that made them."""
    for path in paths if os.geteuid() == 0 else ():
        for each in [path, *path.rglob("*")]:
            os.chown(each, ORDINARY, ORDINARY, follow_symlinks=False)


def spoil(path, state, scratch):
    """Puts `path` into a state."""
    if state == "unreadable":
        path.chmod(0)
    elif state == "unwritable":
        path.chmod(0o555 if path.is_dir() else 0o444)
    else:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if state == "folder":
            path.mkdir()
        elif state == "fifo":
            os.mkfifo(path)
        elif state.startswith("link"):
            target = {"nothing": scratch / "nothing", "itself": path, "another's file": scratch / "victim"}.get(state[8:], state[8:])
            path.symlink_to(target)
    if path.is_symlink() or path.exists():
        give_away(path)


def put_back(path, pristine):
    """Undoes `spoil`."""
    if path.is_symlink() or path.exists() and not path.is_dir():
        path.unlink()
    elif path.is_dir():
        path.chmod(0o755)
        shutil.rmtree(path)
    if pristine.is_dir():
        shutil.copytree(pristine, path)
    elif pristine.exists():
        shutil.copy(pristine, path)


def one(undisturbed, pristine, name, state, command, wrapper):
    """One command on one spoiled object; then it is put back, and `run` goes on."""
    tally, scratch = undisturbed.tally, undisturbed.scratch
    home, victim, nothing = scratch / "home", scratch / "victim", scratch / "nothing"
    name = name.replace("SHARD", next(iter(undisturbed.cells)))
    kind, where = state, f"{name}, {state}"
    shutil.copytree(pristine, home)
    victim.write_bytes(VICTIM)
    victim.chmod(0o666)
    give_away(home, victim)
    spoil(home / name, state, scratch)
    arguments = {"run": ["run", home / "study.toml", "--out", home / "out", "--threads", 1, "--quiet", *SMALL],
                 "merge": ["merge", home / "out"], "verify": ["verify", home / "out"], "status": ["status", home / "out"],
                 "inspect": ["inspect", home / "out/result.h5"]}
    reads = name == "study.toml" and command in ("merge", "verify", "status", "inspect")  # they read out/study.toml alone
    ended = call(*arguments[command], wrapper=wrapper)
    if not reads:
        allowed = EXPECTED.get((name, state), WORLD) if command == "run" else WORLD
        tally.judge(kind, ended, allowed, where)
    tally.breach(kind, command, "" if victim.read_bytes() == VICTIM else f"{where}: another's file was written, through the link")
    tally.breach(kind, command, "" if not nothing.exists() else f"{where}: a file was made where the link points to")
    nothing.unlink(missing_ok=True)
    put_back(home / name, pristine / name)
    give_away(home)
    ended = call(*arguments["run"], wrapper=wrapper)
    what = "" if ended.code == 0 else f"ends with {ended.code}: {ended.line()}"
    what = what or undisturbed.wrong_on_disk(home / "out", undisturbed.cells)
    tally.breach(kind, command, what and f"{where}: put back, run: {what}")
    shutil.rmtree(home)


def on_full_output(undisturbed, wrapper):
    """Standard output that is full: 74, and a line."""
    folder = undisturbed.all()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777)
    for arguments in (["status", folder], ["status", folder, "--json"], ["inspect", folder / "result.h5"], ["version"], ["config"],
                      ["formats"]):
        with open("/dev/full", "wb") as full:
            ended = call(*arguments, wrapper=wrapper, output=full)
        undisturbed.tally.judge("standard output is full", ended, {74}, str(arguments[0]))


def main():
    tally = Tally(" ".join(__doc__.split()))
    options = tally.options()
    wrapper = NOBODY if os.geteuid() == 0 else []
    with Undisturbed(tally) as undisturbed:
        for path in (undisturbed.scratch, undisturbed.temporary):
            path.chmod(0o777)
        pristine = make_home(undisturbed)
        cases = [(name, state, "run") for name in INPUTS + OUTPUTS for state in STATES]
        cases += [(name, state, command) for command in ("merge", "verify", "status") for name in OUTPUTS + INPUTS[1:] for state in STATES]
        cases += [("out/result.h5", state, "inspect") for state in STATES]
        if not options.long:
            always = [("out/.lock", "link to another's file", "run"), ("out/.lock", "link to nothing", "run"),
                      ("out/study.toml", "fifo", "run"), ("out/result.h5", "fifo", "status")]
            cases = always + random.Random(20261130).sample(cases, 20)
        for case in cases:
            one(undisturbed, pristine, *case, wrapper)
        on_full_output(undisturbed, wrapper)
    tally.end()


if __name__ == "__main__":
    main()
