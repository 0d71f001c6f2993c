"""A config as TOML, from the dicts that Python writes it in. lamp reads it and says what is wrong with it."""
import json
import math
import numbers

from ._arithmetic import Arithmetic
from ._formats import Format


def text(value):
    """One value."""
    if isinstance(value, Format):
        return text(value.name)
    if isinstance(value, Arithmetic):
        return text(value.config)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(key)} = {text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        number = float(value)
        if math.isnan(number):
            return "nan"
        return ("inf" if number > 0 else "-inf") if math.isinf(number) else repr(number)
    if hasattr(value, "tolist"):  # an array of numpy
        return text(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if hasattr(value, "__fspath__"):
        return text(value.__fspath__())
    if callable(value):
        raise TypeError("a function is no value of a config, which the program reads; legal: rule = \"python:FILE:FUNCTION\"")
    raise TypeError(f"{type(value).__name__} is no value of a config; legal: bool, int, float, str, list, dict, lamp.Format, "
                    "lamp.Arithmetic")


def key_text(key):
    if not isinstance(key, str):
        raise TypeError(f"a key of a config is {type(key).__name__}; legal: str")
    return text(key)


def dumps(config):
    """A config, one key a line; tables at the top become tables."""
    lines, tables = [], []
    for key, value in config.items():
        if isinstance(value, dict):
            tables.append(f"\n[{key_text(key)}]")
            tables.extend(f"{key_text(name)} = {text(item)}" for name, item in value.items())
        else:
            lines.append(f"{key_text(key)} = {text(value)}")
    return "\n".join(lines + tables) + "\n"
