"""Negative controls: NEW is a wrapper around OLD that changes one thing, and the part that looks there must say so."""
import pathlib
import shutil
import stat
import sys

# Sources of the line that changes something; `answer` is what the program did: code, out, err; `words` its command line.
ALTERATIONS = {
    "one bit of a dataset": ("tiny", "/metrics/kl: 1 of", """
if words[0] == "run" and answer.code == 0:
    import h5py
    with h5py.File(words[words.index("--out") + 1] + "/result.h5", "r+") as f:
        x = f["metrics/kl"][()]
        x.reshape(-1).view("u1")[0] ^= 1
        f["metrics/kl"][...] = x
"""),
    "a sign": ("tiny", "/metrics/flip_rate: 1 of", """
if words[0] == "run" and answer.code == 0:
    import h5py
    with h5py.File(words[words.index("--out") + 1] + "/result.h5", "r+") as f:
        x = f["metrics/flip_rate"][()]
        x.reshape(-1).view("u1")[7] ^= 128
        f["metrics/flip_rate"][...] = x
"""),
    "an attribute": ("tiny", "/metrics/kl@units", """
if words[0] == "run" and answer.code == 0:
    import h5py
    with h5py.File(words[words.index("--out") + 1] + "/result.h5", "r+") as f:
        f["metrics/kl"].attrs["units"] = "bit"
"""),
    "the seed in /provenance": ("tiny", "/provenance/seed", """
if words[0] == "run" and answer.code == 0:
    import h5py
    with h5py.File(words[words.index("--out") + 1] + "/result.h5", "r+") as f:
        f["provenance/seed"][()] = "8"
"""),
    "a byte of a shard": ("tiny", "the first that differs is byte", """
if words[0] == "run" and answer.code == 0:
    shard = next(pathlib.Path(words[words.index("--out") + 1], "shards").iterdir())
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
"""),
    "the name of a shard": ("tiny", "tiny: files", """
if words[0] == "run" and answer.code == 0:
    shard = next(pathlib.Path(words[words.index("--out") + 1], "shards").iterdir())
    shard.rename(shard.with_name(shard.name.replace("-0000-", "-0001-")))
"""),
    "a key of study.toml": ("tiny", "study.toml: line", """
if words[0] == "run" and answer.code == 0:
    study = pathlib.Path(words[words.index("--out") + 1], "study.toml")
    study.write_text(study.read_text().replace("offset = 0", "offset = 00"))
"""),
    "a digit of an answer of calc": ("calc", "OLD {", """
if words[0] == "calc":
    lines = answer.out.split("\\n")
    lines[100] = lines[100].replace("0x1", "0x2", 1) + " " * ("0x1" not in lines[100])
    answer.out = "\\n".join(lines)
"""),
    "a character of a line": ("texts", "standard output: line", """
if words[0] == "config":
    answer.out = answer.out.replace("counted from 0", "counted from 1")
"""),
    "a key of JSON": ("tiny", "status of tiny", """
if words[0] == "status":
    answer.out = answer.out.replace('"complete"', '"completed"')
"""),
    "an estimate that is no number": ("tiny", "plan of tiny", """
if words[0] == "plan":
    answer.out = re.sub('"cell":[^,]*,"ref', '"cell":null,"ref', answer.out)
"""),
    "an exit code": ("refused", "exit code: OLD 2, NEW 64", """
if answer.code == 2:
    answer.code = 64
"""),
    "a word of an error": ("refused", "standard error: line", """
answer.err = answer.err.replace("legal: ", "allowed: ")
"""),
}

WRAPPER = """#!{python}
import pathlib
import re
import subprocess
import sys
words = sys.argv[1:] or [""]
answer = subprocess.run(["lamp", *sys.argv[1:]], executable={binary!r}, capture_output=True)
class Answer:
    code, out, err = answer.returncode, answer.stdout.decode("utf-8", "surrogateescape"), answer.stderr.decode("utf-8", "surrogateescape")
answer = Answer
{change}
sys.stdout.buffer.write(answer.out.encode("utf-8", "surrogateescape"))
sys.stderr.buffer.write(answer.err.encode("utf-8", "surrogateescape"))
sys.stdout.flush()
sys.exit(answer.code)
"""


def wrapper(folder, binary, change):
    """A program that does as `binary` but for one thing."""
    file = folder / "lamp"
    file.write_text(WRAPPER.format(python=sys.executable, binary=str(pathlib.Path(binary).resolve()), change=change))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def self_test(binary, run_part, scratch, names=None):
    """What was not reported, as lines; `run_part`: (name of a part, old, new, folder) to a Part."""
    missed = []
    for number, (what, (part, words, change)) in enumerate(ALTERATIONS.items()):
        if names is not None and what not in names:
            continue
        folder = scratch / f"wrapper-{number}"
        folder.mkdir(parents=True)
        found = run_part(part, binary, wrapper(folder, binary, change), folder).differences
        seen = [line for line in found if words in line]
        print(f"self-test: {what}: " + (f"reported: {seen[0][:200]}" if seen else f"NOT REPORTED; {part} says {found[:3]}"), flush=True)
        if not seen or any("could not run" in line for line in found):
            missed.append(what)
        shutil.rmtree(folder)
    folder = scratch / "wrapper-none"
    folder.mkdir()
    for part in ("tiny", "calc"):  # and a wrapper that changes nothing is no difference
        found = run_part(part, binary, wrapper(folder, binary, ""), folder / part).differences if names is None else []
        missed += [f"{part} differs where nothing was changed: {line}" for line in found]
    return missed
