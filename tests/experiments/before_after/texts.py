"""What the program says of itself: helps, lists, versions, completion; tokens of texts; trees of black boxes."""
import json
import re

from .writing import NANO, TEXTS
from .calc_lines import MADE
from .sides import ROOT, shown

BLACK_BOXES = [  # n, format of the operands, arithmetic of `lamp calc`
    (9, "binary32", '{"format":"binary32"}'), (9, "ps7", '{"preset":"lamp-paper","mu":7,"order":"lanes:2"}'),
    (9, "binary32", '{"format":"binary32","order":"fused-tree:(0 1 (2 3) (4) (5 6 7 8))"}'), (7, "ps7", '{"format":"ps7","order":"kahan"}'),
    (9, "ps7", '{"format":"ps7","order":"exact"}'), (20, "binary16", '{"engine":"a100","operands":"binary16","format":"binary32"}'),
    (33, "binary32", '{"format":"binary32","product":"binary32","order":"numpy-sum:8192"}'),
    (40, "binary32", '{"format":"binary32","order":"panels:8,4"}'),
    (17, "bfloat16", '{"format":"bfloat16","order":"pairwise:2","rounding":"RTZ"}')]


def texts(part):
    help_text, _ = part.command("--help", expected=(0,))
    commands = re.findall(r"(?m)^  (\w+)", help_text.out)
    if len(commands) < 10:
        part.differ("lamp --help", f"names {len(commands)} commands only: {commands}")
    part.command("-h", expected=(0,))
    part.command("--version", expected=(0,))
    for command in commands:
        for word in ("-h", "--help"):
            part.command(command, word)
    for more in ([], ["--json"]):
        part.command("config", *more, expected=(0,))
        part.command("version", *more, expected=(0,))
        formats, _ = part.command("formats", *more, expected=(0,))
    catalog = json.loads(formats.out)
    names = [item["name"] for item in catalog["formats"] + catalog["engines"]] + MADE
    for name in names[:: 3 if part.quick else 1]:
        for more in ([], ["--json"]):
            part.command("formats", name, *more, expected=(0,))
    part.command("formats", *names[:5], "--json", expected=(0,))
    part.command("formats", *reversed(names[:5]), expected=(0,))
    for shell in ("bash", "zsh", "fish"):
        part.command("completion", shell)


def tokens(part):
    for name in ("prose", "code", "science"):
        text = (TEXTS / f"{name}.txt").read_bytes()[:20000 if part.quick else 2000000]
        ids, _ = part.command("tokenize", NANO, data=text.decode(errors="ignore").encode(), where=f"tokenize {name}", expected=(0,))
        part.command("tokenize", NANO, "--decode", data=ids.out.encode(), where=f"tokenize --decode {name}", expected=(0,))
        part.count("tokens", len(ids.out.split()))
    golden = ROOT / "tests/golden/gpt2-tokenizer"
    strange = "Hello, wörld\n\n  two  spaces <|endoftext|>\n\t日本語 👩‍👩‍👧"
    strange += " 'll 've\u00a0\u2028 12345 ½ \r\n\x00 \U0010ffff<|endoftext|><|endoftext|>\n"
    for model in (NANO, golden):
        for more in ([], ["--special"]):
            part.command("tokenize", model, *more, data=strange.encode(), where=f"tokenize {model.name} {more}", expected=(0,))
            part.command("tokenize", model, *more, data=b"")
    lines = (golden / "golden.jsonl").read_bytes()
    part.command("tokenize", golden, data=lines, where="tokenize golden.jsonl", expected=(0,))


def reveal(part):
    for n, form, arith in BLACK_BOXES[:: 3 if part.quick else 1]:
        command = f"""sed 's/^{{/{{"op":"dot","arith":{arith},/' | '{part.old.binary}' calc"""
        for more in ([], ["--json"]):
            answer, _ = part.command("reveal", "--n", n, "--format", form, "--command", command, *more,
                                     where=f"reveal {form} {arith} {more}")
            if not answer.out:
                part.note(f"reveal of {arith} prints nothing: {shown(answer.err)}")
