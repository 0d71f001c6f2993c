"""The keys that experiments/README.md names in the JSON of each command, and those of an answer."""
import re

from results import ROOT


class Keys(set):
    complete = True  # no ".." among them


def keys_in_readme():
    """(command, kind of an inspected file or ""): the keys that experiments/README.md names in the object of its --json."""
    listed = (ROOT / "experiments/README.md").read_text().split("JSON, one object each:")[1].split("\n## ")[0]
    nan, found = re.search(r"NAN is `([^`]*)`", listed)[1], {}
    for command, object_text in re.findall(r"^    (\w+) --json +(.*(?:\n {21}.*)*)", listed, re.MULTILINE):
        for text in re.split(r'(?=\{"kind")', object_text.replace("NAN", nan)) if command == "inspect" else [object_text.replace("NAN", nan)]:
            kind = re.match(r'\{"kind":"(\w+)"', text)
            if text:
                keys = Keys(re.findall(r'"(\w+)"', re.sub(r'"kind":"\w+"', '"kind"', text)))
                keys.complete = not re.search(r',\.\.,', text)
                found[command, kind[1] if kind else ""] = keys
    return found


def keys_of(answer, inside=None):
    """Those of an object and of all within it, but of the objects that list names of something."""
    if isinstance(answer, list):
        return set().union(*(keys_of(item) for item in answer))
    if not isinstance(answer, dict) or inside in ("codes", "libraries", "provenance", "scaling"):
        return set()
    return set(answer).union(*(keys_of(item, key) for key, item in answer.items()))
