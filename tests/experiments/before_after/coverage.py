"""The check that no key and no value of the language of configs is forgotten."""
import re
import tomllib

from .writing import LLAMA_SITES, SITES

LISTED = ["arithmetic.NAME.rounding", "arithmetic.NAME.engine", "lamp.SITE.rule", "lamp.SITE.shift", "model.activation", "record.selected",
          "stop.metric"]  # some keys whose legal values are words: that the check sees them


def _flat(table, path=()):
    for key, value in table.items():
        here = (*path, *key.split("."))
        if isinstance(value, dict) and not (here[-1] in ("format", "operands", "product", "via") and "p" in value):
            yield here, value
            yield from _flat(value, here)
        elif path and path[0] == "grid":
            yield ("grid", "KEY"), value
            for item in value:
                yield (*path[1:], *key.split(".")), item
        else:
            yield here, value


def key_of(path):
    """The key as `lamp config` names it: names, places and sites replaced by what stands for them."""
    table, *rest = path
    if table in ("arithmetic", "cost") and rest:
        return ".".join([table, "NAME", *rest[1:]])
    if table in ("plan", "lamp", "store") and rest[:1] != ["cache"]:
        for at, word in enumerate(rest):
            if word in SITES + LLAMA_SITES:
                place = ["layer", "N"] if table == "lamp" and at > 0 else []  # a budget of its own
                return ".".join([table, *place, "SITE", *rest[at + 1:]])
    return ".".join(path)


def uses(texts):
    """(key as `lamp config` names it, value) of every config."""
    found = set()
    for text in texts:
        for path, value in _flat(tomllib.loads(text)):
            for item in value if isinstance(value, list) else [value]:
                found.add((key_of(path), str(item).lower() if isinstance(item, bool) else str(item)))
    return found


def words_of(legal):
    """The legal values of a key that has a list of words, else none; orders have parameters and are looked at by kind. Own rules are none
    of lamp's: tests/experiments/own_rules_test.py."""
    words = legal.split(", ") if re.fullmatch(r"[\w:-]+(, [\w:-]+)*", legal) else []
    return [word for word in words if word != "python:FILE:FUNCTION"]


def uncovered(texts, fields, engines_of, names_of_formats=(), names_of_systems=()):
    """What `lamp config --json` and `lamp formats --json` name and no config uses."""
    used = uses(texts)
    keys, missing = {key for key, _ in used}, []
    kinds = {value.split(":")[0] for key, value in used if key.endswith(".order")}
    for field in fields:
        key, legal = field["key"], field["legal"]
        if not field["available"]:
            continue
        if key not in keys:
            missing.append(f"key {key}")
        if key == "arithmetic.NAME.order":
            missing += [f"order {kind}" for kind in (re.match("[a-z-]+", word)[0] for word in legal.split(", ")) if kind not in kinds]
        missing += [f"{key} = {word}" for word in words_of(legal) if (key, word) not in used]
    if without := [key for key in LISTED if not any(field["key"] == key and words_of(field["legal"]) for field in fields)]:
        missing.append(f"a value of {without}, whose legal values are no list of words any more")
    asked = {tuple(str(e.get(k, d)) for k, d in (("engine", ""), ("operands", "binary16"), ("format", "binary32")))
             for text in texts for e in tomllib.loads(text).get("arithmetic", {}).values()}
    missing += [f"engine {mode}" for mode in engines_of if mode not in asked]
    formats = {value for key, value in used if key.endswith(".format")}
    systems = {value for key, value in used if key.startswith("store.") or key.endswith(".operands")}
    missing += [f"format {name}" for name in names_of_formats if name not in formats]
    return missing + [f"number system {name}" for name in names_of_systems if name not in systems]
