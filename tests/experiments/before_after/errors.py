"""Everything that must be refused, by both: exit code and words; and what is left in the folder afterwards."""
import json
import os
import shutil
import struct

import numpy as np

from . import error_cases as cases
from .writing import NANO, TEXTS
from .sides import ROOT

CONFIG = ROOT / "tests/experiments/nano.toml"
SMALL = ["--set", 'grid."arithmetic.low.mu"=[4]', "--set", "tokens.sequences=1", "--set", "tokens.sequence_length=12"]


def _write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def _thin(part, items):
    return items[::6] if part.quick else items


def bad_configs(part):
    for what, text in _thin(part, cases.CONFIGS):
        part.command("plan", _write(part.inputs / "c.toml", text), "--json", where=f"config: {what}")
        part.count("cases")
    for change in _thin(part, cases.SETS):
        part.command("run", CONFIG, "--out", "never", "--set", change, where=f"--set {change[:60]}")
        part.count("cases")


def command_lines(part):
    for line in _thin(part, cases.LINES):
        line = [{"CONFIG": str(CONFIG), "MODEL": str(NANO), "CONFIG/x": str(CONFIG / "x")}.get(word, word) for word in line]
        part.command(*line, where=f"lamp {' '.join(line)!r}")
        part.count("cases")
    with open("/dev/full", "wb") as full:
        for command in (["config"], ["formats", "--json"], ["calc"]):
            answers = [side.run(*command, output=full, data=b'{"op":"round","x":[1],"format":"ps7"}\n') for side in (part.old, part.new)]
            part.same("cases", f"{command} > /dev/full", (answers[0].code, answers[0].err), (answers[1].code, answers[1].err))
    for target in ("sse9", "", "AVX2"):
        part.command("version", environment={"LAMP_TARGET": target}, where=f"LAMP_TARGET={target!r}")


def refused(part):
    """A few command lines: for the self-test."""
    for line in (["rum"], ["--versoin"], ["run"], ["run", str(CONFIG), "--threads", "4x"], ["formats", "binary33"],
                 ["inspect", "/nowhere"]):
        part.command(*line)


def bad_tokens(part):
    for word in _thin(part, cases.DECODE):
        part.command("tokenize", NANO, "--decode", data=b"1 " + word.encode(), where=f"tokenize --decode {word}")
        part.count("cases")
    for data in _thin(part, cases.NOT_UTF8):
        part.command("tokenize", NANO, data=data, where=f"tokenize {data!r}")
        text = _write(part.inputs / "text.txt", data)
        part.command("plan", _write(part.inputs / "t.toml", cases.with_(f"{TEXTS}/prose.txt", str(text))), where=f"a text of {data!r}")
        part.count("cases", 2)
    for line in _thin(part, cases.IDS):
        ids = _write(part.inputs / "ids", line if isinstance(line, bytes) else line + "\n")
        text = cases.with_(f'path = "{TEXTS}/prose.txt"', f'path = "{ids}"\nsource = "ids"').replace(cases.LENGTH, "sequence_length = 3")
        part.command("plan", _write(part.inputs / "t.toml", text), "--json", where=f"ids {line!r}")
        part.count("cases")
    for content in (b"", b"One two three."):
        text = _write(part.inputs / "short.txt", content)
        part.command("run", _write(part.inputs / "t.toml", cases.with_(f"{TEXTS}/prose.txt", str(text))), "--out", "never",
                     where=f"a text of {content!r}")
        part.count("cases")


def header_of(data):
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + size]), data[8 + size:]


def file_of(header, values):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + values


def spoiled(data, change, what):
    """A broken model.safetensors."""
    if change == "cut":
        return data[:what]
    if change == "append":
        return data + what
    if change == "length":
        return struct.pack("<Q", what) + data[8:]
    if change == "bytes":
        return what
    if change == "header":
        data = file_of(*header_of(data))  # without blanks
        size = 8 + int.from_bytes(data[:8], "little")
        header, values = data[8:size].replace(*what, 1), data[size:]
        assert header != data[8:size], f"no {what[0]} in the header"
        return struct.pack("<Q", len(header)) + header + values
    header, values = header_of(data)
    if change == "value":
        name, index, bits = what
        begin = header[name]["data_offsets"][0] + 4 * index
        return file_of(header, values[:begin] + bits + values[begin + 4:])
    if change == "add":
        name, shape = what
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(values), len(values) + size]}
        return file_of(header, values + bytes(size))
    kept, at = {}, 0
    gone = header.pop(what)["data_offsets"]
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        kept[name] = tensor | {"data_offsets": [x - (gone[1] - gone[0]) * (begin >= gone[1]) for x in (begin, end)]}
        at = max(at, end)
    return file_of(kept, values[:gone[0]] + values[gone[1]:])


def bad_models(part):
    model = part.inputs / "model"
    shutil.copytree(NANO, model)
    config = _write(part.inputs / "m.toml", cases.with_(str(NANO), str(model)))

    def compare(file, content, where, commands=("inspect",)):
        before = file.read_bytes()
        _write(file, content)
        for command in commands:
            part.command(*({"inspect": ["inspect", model, "--json"], "plan": ["plan", config, "--json"],
                            "tokenize": ["tokenize", model]}[command]),
                         data=b"some text", where=f"{where}: {command}")
            part.count("cases")
        file.write_bytes(before)

    text, weights = (model / "config.json").read_text(), (model / "model.safetensors").read_bytes()
    for old, new in _thin(part, cases.CONFIG_JSON):
        assert old in text, old
        compare(model / "config.json", text.replace(old, new, 1), f"config.json {old} -> {new[:40]}", ("inspect", "plan"))
    for content in (b"", b"[1]", b"\xff\xfe", b" " * ((1 << 20) + 1), b'{"a": "\xff"}'):
        compare(model / "config.json", content, f"config.json {content[:20]!r}")
    for number, (change, what) in enumerate(_thin(part, cases.SAFETENSORS)):
        compare(model / "model.safetensors", spoiled(weights, change, what), f"model.safetensors {change} {str(what)[:60]}",
                ("inspect", "plan") if number % 4 == 0 else ("inspect",))
    vocabulary, merges = (model / "vocab.json").read_text(), (model / "merges.txt").read_text()
    for what, change in _thin(part, cases.VOCAB):
        compare(model / "vocab.json", json.dumps(change(json.loads(vocabulary))), f"vocab.json {what}", ("tokenize", "inspect"))
    for what, change in _thin(part, cases.MERGES):
        compare(model / "merges.txt", change(merges), f"merges.txt {what}", ("tokenize",))
    for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
        (model / name).rename(model / "away")
        for kind in ("absent", "folder", "pipe"):
            if kind == "folder":
                (model / name).mkdir()
            elif kind == "pipe":
                os.mkfifo(model / name)
            part.command("inspect", model, "--json", where=f"{name} is {kind}: inspect")
            part.command("run", config, "--out", "never", where=f"{name} is {kind}: run")
            part.count("cases", 2)
            if kind == "folder":
                (model / name).rmdir()
            elif kind == "pipe":
                (model / name).unlink()
        (model / "away").rename(model / name)


def bad_folders(part):
    """Folders of other runs, of nobody, damaged shards and results: each side its own copy of the same."""
    part.command("run", CONFIG, "--out", "whole", "--quiet", *SMALL, expected=(0,))

    def compare(where, prepare, *commands):
        for side in (part.old, part.new):
            shutil.rmtree(side.folder / "x", ignore_errors=True)
            shutil.copytree(side.folder / "whole", side.folder / "x")
            prepare(side.folder / "x")
        for command in commands or (["status", "x", "--json"], ["status", "x"], ["verify", "x"], ["merge", "x"],
                                    ["run", CONFIG, "--out", "x", "--quiet", *SMALL]):
            part.command(*command, where=f"{where}: {' '.join(map(str, command[:2]))}")
            part.count("cases")
        part.same("folders", f"{where}: files afterwards",
                  *(sorted(p.name for p in (side.folder / "x").rglob("*")) for side in (part.old, part.new)))

    def shard(folder, number=0):
        return sorted((folder / "shards").iterdir())[number]

    def changed(offset):
        def change(folder):
            data = bytearray(shard(folder).read_bytes())
            data[int(offset * (len(data) - 1))] ^= 1
            shard(folder).write_bytes(data)
        return change

    def emptied(folder):
        shutil.rmtree(folder)
        folder.mkdir()

    def foreign(folder):
        emptied(folder)
        (folder / "thesis.tex").write_text("x")

    def study(old, new):
        return lambda folder: (folder / "study.toml").write_text((folder / "study.toml").read_text().replace(old, new))

    everything = [
        ("nothing changed", lambda folder: None), ("nothing there", emptied), ("a file of somebody", foreign),
        *[(f"one bit of a shard at {at}", changed(at)) for at in (0, 0.1, 0.5, 0.9, 1)],
        ("a shard cut short", lambda f: shard(f).write_bytes(shard(f).read_bytes()[:-100])),
        ("an empty shard", lambda f: shard(f, 1).write_bytes(b"")), ("a shard gone", lambda f: shard(f).unlink()),
        ("a shard renamed", lambda f: shard(f).rename(shard(f).with_name("sequence-0007-0123456789abcdef.h5"))),
        ("one shard in place of another", lambda f: shard(f).write_bytes(shard(f, 1).read_bytes())),
        ("no study", lambda f: (f / "study.toml").unlink()),
        ("a study of somebody", lambda f: (f / "study.toml").write_text('title = "mine"\n')),
        ("another seed", study("seed = 7", "seed = 8")), ("another grid", study('"arithmetic.low.mu" = [4]', '"arithmetic.low.mu" = [6]')),
        ("a study that is no TOML", study("[model]", "[model")), ("no inputs", study("# inputs", "# ")),
        ("an empty study", lambda f: (f / "study.toml").write_text("")), ("a result cut", lambda f: (f / "result.h5").write_bytes(b"x")),
        ("an old result", lambda f: os.utime(f / "result.h5", (1, 1))), ("leftovers", lambda f: (f / "shards/.x.tmp").write_text("x"))]
    for where, prepare in _thin(part, everything):
        compare(where, prepare)
    for change in ("seed=8", "tokens.shuffle=true", "tokens.sequence_length=11", "plan.softmax=low", 'record.errors=["scores"]',
                   "reference.arithmetic=high"):
        compare(f"another experiment, {change}", lambda folder: None, ["run", CONFIG, "--out", "x", "--quiet", *SMALL, "--set", change])
    def same(folder):
        del folder

    compare("a file in place of the folder", same, ["run", CONFIG, "--out", "x/study.toml", *SMALL], ["inspect", "x"],
            ["inspect", "x/study.toml"])
    shards = [f"x/shards/{p.name}" for p in sorted((part.old.folder / "whole/shards").iterdir())]
    compare("a shard to look at", changed(0.4), *(["inspect", name, *more] for name in shards for more in ([], ["--json"])))
    compare("a result cut", lambda f: (f / "result.h5").write_bytes((f / "result.h5").read_bytes()[:5000]), ["inspect", "x/result.h5"],
            ["status", "x"])
    compare("merge to nowhere", same, *(["merge", "x", "--out", out] for out in ("/proc/nothing/r.h5", "x", "y/z.h5")))


def errors(part):
    for group in (bad_configs, command_lines, bad_tokens, bad_models, bad_folders):
        group(part)
    if not part.quick and part.counts.get("refusals", 0) < 400:
        part.differ("coverage", f"OLD refuses {part.counts.get('refusals', 0)} of the cases, not 400")
