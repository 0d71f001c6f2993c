"""Own selection rules: what a function is shown of a row, and what it may answer. The module calls it here; the program gives this file to
`python3 -c` and talks with serve() (experiments/own_rules)."""
import os
import struct
import sys
import traceback
import types

try:
    import numpy
except ImportError as missing:  # serve() says so
    numpy, why_no_numpy = None, str(missing)


class Row:
    """One row of a product, of which a rule says what is recomputed. A rule depends on nothing else. Arrays are float64 and read-only.

    site, function    "scores", "softmax": the product, and f that reads it
    layer, head       from 0; None where the site is not in a layer, or all heads are selected together
    position          of the row in its sequence: of the query, at scores
    sequence, seed    the number of the sequence, and seed of the config
    length            of the whole row: at scores the tokens of the sequence, of which the row has the causal ones, position + 1
    y (n,)            the low values, or, where f is a norm, the residual sum that they are in
    z (n,)            where f is a softmax: f of them; else None
    g (n,), eps       where f is a norm: the low values, and the norm's epsilon; else None, 0
    columns (n,)      where f is linear, W y: the sum of abs(W[i, j]) over i; else None
    w (n,)            the error weights that the config asks for: abs(error of y[j]) <= eps w[j]
    tau, rate         of the config: one is a number, the other None
    lamp (n,)         bool: the set that LAMP takes by them
    q (d,), k (n, d)  the query and the keys at scores, where the function's attribute `keys` is true; else None"""
    __slots__ = ("site", "function", "layer", "head", "position", "sequence", "seed", "length", "y", "z", "g", "eps", "columns", "w", "tau",
                 "rate", "lamp", "q", "k")

    def __len__(self):
        return len(self.y)

    @property
    def count(self):
        """How many components LAMP takes."""
        return int(numpy.count_nonzero(self.lamp))

    def random(self):
        """A generator of random numbers of this row's own: the same in every run with this seed."""
        site = (self.site or "").encode()
        return numpy.random.default_rng([self.seed, self.sequence or 0, self.layer or 0, self.head or 0, self.position, *site])

    def __str__(self):
        places = (("layer", self.layer), ("head", self.head), ("row", self.position), ("sequence", self.sequence))
        return ", ".join([self.site] * (self.site is not None) + [f"{name} {value}" for name, value in places if value is not None])


class WrongMarks(ValueError):
    """An answer that is no set of components."""


def marks_of(answer, n):
    """The set that a rule answered: bool (n,), or the indices of its members, each once."""
    legal = f"; legal: a bool array of {n}, or the indices of what is recomputed, 0 to {n - 1}, each once"
    try:
        marks = numpy.asarray(answer)
    except Exception:  # ragged lists, and whatever __array__ does
        raise WrongMarks(f"the answer is a {type(answer).__name__} of which there is no array{legal}") from None
    if marks.shape == (0,) and marks.dtype != bool:  # no index at all, of whatever type
        marks = marks.astype(int)
    if marks.dtype != bool and marks.dtype.kind not in "iu":
        what = "None" if answer is None else marks.dtype
        if marks.dtype.kind == "f" and numpy.isnan(marks).any():
            what = f"{what} with NaN"
        raise WrongMarks(f"the answer is {what}{legal}")
    if marks.ndim != 1 or (marks.dtype == bool and len(marks) != n):
        raise WrongMarks(f"the answer is {marks.dtype} of shape {marks.shape}{legal}")
    if marks.dtype == bool:
        return marks
    wrong = marks[(marks < 0) | (marks >= n)]
    if wrong.size:
        raise WrongMarks(f"the answer has the index {wrong[0]}{legal}")
    chosen = numpy.zeros(n, bool)
    chosen[marks] = True
    if numpy.count_nonzero(chosen) != len(marks):
        twice = sorted(marks.tolist())
        twice = next(a for a, b in zip(twice, twice[1:]) if a == b)
        raise WrongMarks(f"the answer has the index {twice} twice{legal}")
    return chosen


class RuleError(ValueError):
    """What a rule did at a row; __cause__ is what it raised."""


def place_in(error, file):
    """FILE:LINE, the innermost line of the file that an exception went through; of a SyntaxError the one it names."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    return f"{file}:{lines[-1]}: " if lines else f"{file}: " if file else ""


def in_words(error, file):
    if isinstance(error, WrongMarks):
        return str(error)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return place_in(error, file) + type(error).__name__ + (f": {said}" if said else "")


def evaluated(rule, row):
    """The rule's marks of a row; RuleError names the row."""
    try:
        return marks_of(rule(row), len(row))
    except (Exception, SystemExit) as error:
        file = getattr(getattr(rule, "__code__", None), "co_filename", "")
        raise RuleError(f"at {row}: {in_words(error, file)}") from error


def module_of(file, source):
    """The module that a file is, as it was read: what runs is what was hashed."""
    import linecache
    module = types.ModuleType(os.path.splitext(os.path.basename(file))[0])
    module.__file__ = file
    text = source.decode("utf-8-sig")
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    folder = os.path.dirname(file)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # pickle and dataclasses look there
    try:
        exec(compile(text, file, "exec"), module.__dict__)
    finally:
        if before is not None:
            sys.modules[module.__name__] = before
    return module


def function_of(module, function):
    rule = getattr(module, function, None)
    if not callable(rule):
        functions = [name for name, value in vars(module).items()
                     if isinstance(value, types.FunctionType) and value.__module__ == module.__name__ and not name.startswith("_")]
        what = f"{function} is no function" if hasattr(module, function) else f"has no function {function}"
        raise WrongMarks(f"{module.__file__}: {what}; legal: {', '.join(functions) or 'a file with a function of a row'}")
    return rule


# ------------------------------------------------------------------------------------------ rows as bytes (own_rules/messages.cpp)

HEADER = struct.Struct("=8q3d")


def texts_of(message, at, count):
    """`count` texts as bytes, each after its length, and where the next thing begins."""
    found = []
    for _ in range(count):
        size, = struct.unpack_from("=q", message, at)
        found.append(message[at + 8:at + 8 + size])
        at += 8 + size
    return found, at


def rows_of(message, at=0):
    """The rows of a question, one after the other."""
    rows, position, layer, head, sequence, seed, length, d, tau, rate, eps = HEADER.unpack_from(message, at)
    (site, function), at = texts_of(message, at + HEADER.size, 2)

    def take(count, dtype=numpy.float64):
        nonlocal at
        array = numpy.frombuffer(message, dtype, count, at)
        at += array.nbytes
        return array

    sizes = take(rows, numpy.int64).tolist()
    there = take(4, numpy.int64).tolist()  # z, g, columns, keys
    n = sum(sizes)
    all_y, all_w = take(n), take(n)
    all_z, all_g, all_columns = (take(n) if is_there else None for is_there in there[:3])
    all_q, all_k = (take(rows * d).reshape(rows, d), take(n * d).reshape(n, d)) if there[3] else (None, None)
    all_lamp = take(n, numpy.bool_)
    begin = 0
    for i, size in enumerate(sizes):
        end = begin + size
        row = Row()
        row.site, row.function, row.eps = site.decode(), function.decode(), eps
        row.layer, row.head = (None if index < 0 else index for index in (layer, head))
        row.position, row.sequence, row.seed, row.length = position + i, sequence, seed, length
        row.tau, row.rate = (None if value != value else value for value in (tau, rate))
        row.y, row.w, row.lamp = all_y[begin:end], all_w[begin:end], all_lamp[begin:end]
        row.z, row.g, row.columns = (None if all_of is None else all_of[begin:end] for all_of in (all_z, all_g, all_columns))
        row.q, row.k = (None, None) if all_k is None else (all_q[i], all_k[begin:end])
        yield row
        begin = end


def answer(rule, message, at=0, progress=lambda i: None):
    """The marks of all rows of a question, one byte a component."""
    marks = []
    for i, row in enumerate(rows_of(message, at)):
        progress(i)
        marks.append(evaluated(rule, row).tobytes())
    return b"".join(marks)


# ----------------------------------------------------------------------------------------------- the program's child

BAD_DATA, MISSING_INPUT = 65, 66  # lamp's exit codes


def load(message):
    """The rules that the program asks for, or an exit code and why there are none."""
    count, = struct.unpack_from("=q", message, 0)
    texts, _ = texts_of(message, 8, 3 * count)
    modules, rules = {}, []
    for file, function, source in zip(texts[0::3], texts[1::3], texts[2::3]):
        file = os.fsdecode(file)
        try:
            if file not in modules:
                modules[file] = module_of(file, source)
            rules.append(function_of(modules[file], function.decode()))
        except (Exception, SystemExit) as error:
            return None, in_words(error, file)
    return rules, None


def serve():
    """Reads questions from standard input and answers on standard output until there are no more. A message is its length, then its
    bytes; an answer begins with 0, or lamp's exit code before a text. What a rule prints goes to standard error. The descriptor 3 is
    memory shared with the program: the row that is under way."""
    import mmap
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0), os.close(nothing), os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    now = mmap.mmap(3, 8)
    os.close(3)

    def read():
        size = asked.read(8)
        return asked.read(struct.unpack("=q", size)[0]) if len(size) == 8 else None

    def say(code, said):
        answers.write(struct.pack("=2q", len(said), code)), answers.write(said), answers.flush()

    def progress(i):
        now[:] = struct.pack("=q", i + 1)

    first = read()
    if numpy is None:
        return say(MISSING_INPUT, f"{sys.executable} has no numpy ({why_no_numpy}), which rules of Python need; legal: install it there, "
                                  "or LAMP_PYTHON=/path/to/a/python3 that has it".encode())
    rules, problem = load(first)
    if rules is None:
        return say(BAD_DATA, problem.encode("utf-8", "backslashreplace"))
    keys = "".join("1" if getattr(rule, "keys", False) is True else "0" for rule in rules)
    say(0, f"{sys.version.split()[0]} {numpy.__version__} {keys}".encode())
    while True:
        message = read()
        if message is None:
            return
        index, = struct.unpack_from("=q", message, 0)
        now[:] = bytes(8)
        try:
            code, said = 0, answer(rules[index], message, 8, progress)
        except RuleError as error:
            code, said = BAD_DATA, str(error).encode("utf-8", "backslashreplace")
        say(code, said)
