"""experiments/schema.md, the page of result.h5, says what a result holds, and nothing else: its tables are made from the files of runs that
record everything there is. `LAMP_BINARY=.. python3 schema_test.py --write` makes them again. And experiments/glossary.md leads to pages
that have every name the program knows."""
import json
import pathlib
import re
import sys
import tempfile
import unittest

import h5py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import ROOT, lamp  # noqa: E402

PAGE = ROOT / "experiments/schema.md"
BEGIN, END = "<!-- tables: made by tests/experiments/schema_test.py --write -->\n", "<!-- end of tables -->\n"

COMMON = f"""
seed = 7
[model]
path = "{ROOT}/data/models/gpt2-nano"
[arithmetic.low]
preset = "lamp-paper"
mu = 4
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
tau = 1.1
recompute = "high"
"""
EVERYTHING = f"""
title = "everything that a cell records"
{COMMON}
fallback = {{tolerance = 0.1}}
[lamp.mlp_fc]
rule = "python:{ROOT}/experiments/own_rules/examples.py:largest_logit"
rate = 0.1
recompute = "high"
[lamp.values]
norm = "normwise1"
rate = 0.1
recompute = "high"
[tokens]
path = ["{ROOT}/data/texts/prose.txt", "{ROOT}/data/texts/code.txt"]
sequence_length = 8
sequences = 2
[grid]
"tokens.shuffle" = [false, true]
"arithmetic.low.mu" = [3, 5]
"lamp.scores.rule" = ["lamp", "none"]
[record]
errors = ["scores", "mlp_fc"]
activations = ["softmax", "resid_2"]
detail = "full"
selected = true
concentration = true
[continuation]
prefix = 4
tokens = 4
[stop]
min_sequences = 2
baseline = {{"lamp.scores.rule" = "none"}}
"""
TRUTH = f"""
title = "the ground truth"
{COMMON}
[tokens]
path = ["{ROOT}/data/texts/prose.txt"]
sequence_length = 5
sequences = 1
[grid]
"arithmetic.low.mu" = [3, 5]
"lamp.scores.rule" = ["lamp", "none"]
[truth]
row_sets = 3
forward = 2
rules = ["lamp", "lamp-exact", "largest-logit", "random"]
"""
LENGTHS = f"""
title = "sequences of other lengths"
{COMMON}
[tokens]
path = "{ROOT}/data/texts/prose.txt"
sequence_length = 8
min_length = 4
sequences = 1
[grid]
"arithmetic.low.mu" = [3, 5]
"""
# When a group is there.
WHEN = {"metrics": "Always; `recompute_rate` where there is a `[lamp.scores]`, `recompute_rate_SITE` of each other selection, "
                   "`fallback_SITE` by `lamp.SITE.fallback`, `softmax_square` by `record.concentration`, `divergence_position` by `[continuation]`, "
                   "`recomputed_macs`, `cost` and its terms where anything is selected ([Costs](README.md#costs)).",
        "reference": "Always: the reference's own numbers; `length` by `tokens.min_length`.",
        "errors/SITE": "The sites of `record.errors`, in cells that `record.where` matches; `forward` and `local` themselves by "
                       "`record.detail = \"full\"`. A forward error is that of the whole pass up to the site; a local one that of the site "
                       "alone, on the inputs that the run has.",
        "activations/SITE": "The sites of `record.activations`, in cells that `record.where` matches.",
        "selected": "By `record.selected`, of each site with a selection.",
        "continuations": "By `[continuation]`; the texts where the vocabulary is known.", "stop": "By `[stop]`; the ratios by `stop.baseline`.",
        "truth": "By `[truth]`.", "truth/local": "By `truth.local`.", "truth/coarse": "By `truth.coarse`; `risk` of GPT-2 alone.",
        "truth/forward": "By `truth.forward`.", "truth/rows": "By `truth.row_sets`.", "selection": "By `[truth]`.",
        "selection/RULE": "By `[truth]`, of each rule of `truth.rules`; `row_low_kl` and `row_exact_kl` by `truth.row_sets`."}
# What the axes of these grids are called on the page.
LEADING = {"R": ["text", "sequence", "tokens.shuffle"],
           "G": ["text", "sequence", "tokens.shuffle", "arithmetic.low.mu", "lamp.scores.rule"],
           "C": ["text", "tokens.shuffle", "arithmetic.low.mu", "lamp.scores.rule"]}
LEADING_OF_LENGTHS = {"R": ["sequence"], "G": ["sequence", "arithmetic.low.mu"]}
LEADING_OF_TRUTH = {"G": ["text", "sequence", "arithmetic.low.mu", "lamp.scores.rule"], "A": ["text", "sequence", "arithmetic.low.mu"],
                    "R": ["text", "sequence"]}
SITES = "scores|mlp_fc|values|softmax|resid_2"
RULES = "lamp-exact|largest-logit|lamp|random"


def general(path):
    """The row of the page that a dataset belongs to."""
    path = re.sub(rf"^(errors|activations|selected)/({SITES})(/|$)", r"\1/SITE\3", path)
    path = re.sub(rf"^(metrics/(?:recompute_rate|fallback))_({SITES})$", r"\1_SITE", path)
    path = re.sub(r"^(errors/SITE)/(?:forward|local)(_\w+)$", r"\1/{forward,local}\2", path)
    return re.sub(rf"^selection/({RULES})/", "selection/RULE/", path)


def meaning(path, words):
    """What the row says: a dataset's long_name, without what only this config or this site has."""
    if "_SITE" in path or path == "selected/SITE":
        words = re.sub(rf"\b({SITES})\b", "SITE", words)
    if "{forward,local}" in path:
        words = re.sub(r" \((forward|local) error, .*\)$", "", words)
    words = re.sub(r"(the sooner recomputed): .*?(?=; NaN)", r"\1; by what, the rule says", words)
    words = re.sub(r"; \d+, their number,", "; `continuation.tokens`, their number,", words)
    words = re.sub(r"; \S+ beyond the sequence's length$", "", words)  # what the page says of all
    words = re.sub(r"\brow \d+", "row `truth.row_sets` - 1", words).replace("its 95 % t interval", "its t interval (`stop.confidence`)")
    return words.replace("||", "\\|\\|")


def dimensions(dataset, leading):
    names = [re.sub(rf"^byte_({SITES})$", "byte_SITE", dimension.label) for dimension in dataset.dims]
    for letter, axes in sorted(leading.items(), key=lambda item: -len(item[1])):
        if names[:len(axes)] == axes:
            return [letter, *names[len(axes):]]
    return names


def described(file, leading, rows, scales, attributes):
    """Adds what the file holds: rows {path: (type, dimensions, units, meaning, who)}, dimension scales {name: meaning}, attributes."""
    def visit(path, thing):
        if path.startswith("provenance"):
            return
        attributes.update(thing.attrs)
        if not isinstance(thing, h5py.Dataset):
            return
        name = re.sub(rf"^byte_({SITES})$", "byte_SITE", path.split("/")[-1])
        if thing.attrs.get("CLASS") == b"DIMENSION_SCALE":
            scales[name] = thing.attrs["long_name"]
            return
        row = rows.setdefault(general(path), {"type": set(), "dims": [], "units": set(), "meaning": {}, "who": set()})
        row["type"].add("text" if thing.dtype == object else str(thing.dtype))
        if (dims := dimensions(thing, leading)) not in row["dims"]:
            row["dims"].append(dims)
        row["units"].add(thing.attrs["units"])
        row["meaning"][meaning(general(path), thing.attrs["long_name"])] = None
        row["who"].add(path.split("/")[1])

    with h5py.File(file) as f:
        attributes.update(f.attrs)
        f.visititems(visit)


def one_line_of(dims):
    """Dimensions of a row; those that only some sites have in brackets, those of the index of a bit by one name."""
    dims = [["byte" if name.startswith("byte") else name for name in names] for names in dims]
    longest = max(dims, key=len)
    everywhere = [name for name in longest if all(name in others for others in dims)]
    return ", ".join(name if name in everywhere else f"[{name}]" for name in longest)


def tables(rows):
    """Of each group one table, as Markdown."""
    groups = {}
    for path, row in sorted(rows.items()):
        group, name = path.rsplit("/", 1)
        words = "; ".join(row["meaning"])
        if group == "selection/RULE" and all(rule.startswith("lamp") for rule in row["who"]):
            words += " (of LAMP's forms)"
        units = "" if row["units"] == {"1"} else " [" + ", ".join(sorted(row["units"])) + "]"
        types = ", ".join(sorted(row["type"]))
        groups.setdefault(group, []).append(f"| `{name}` | {one_line_of(row['dims'])} | {types} | {words}{units} |\n")
    return "\n".join(f"### /{group}\n\n{WHEN[group]}\n\n| dataset | dimensions | type | meaning |\n|---|---|---|---|\n{''.join(lines)}"
                     for group, lines in groups.items())


def first_cells(page, heading):
    """The words in code marks in the first column of the table below a heading."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {word for line in section.splitlines() if line.startswith("| `") for word in re.findall(r"`([^`]+)`", line.split("|")[1])}


def run_everything(folder):
    rows, scales, attributes = {}, {}, set()
    files = []
    for name, text, leading in (("everything", EVERYTHING, LEADING), ("truth", TRUTH, LEADING_OF_TRUTH),
                                ("lengths", LENGTHS, LEADING_OF_LENGTHS)):
        config = folder / f"{name}.toml"
        config.write_text(text)
        lamp("run", config, "--out", folder / name, "--quiet")
        files.append(folder / name / "result.h5")
        described(files[-1], leading, rows, scales, attributes)
    return rows, scales, attributes, files


class Schema(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            cls.rows, cls.scales, cls.attributes, files = run_everything(pathlib.Path(folder))
            cls.provenance = set()
            for file in files:
                with h5py.File(file) as f:
                    cls.provenance.update(f["provenance"])
        cls.page = PAGE.read_text()

    def test_every_dataset_and_no_other(self):
        self.assertIn(BEGIN, self.page)
        self.assertEqual(self.page.split(BEGIN)[1].split(END)[0].strip(), tables(self.rows).strip())

    def test_every_dimension(self):
        axes = {"tokens.shuffle", "arithmetic.low.mu", "lamp.scores.rule"}  # of these grids: the page has one row for all
        self.assertEqual(first_cells(self.page, "Dimensions") - {"AXIS"}, set(self.scales) - axes)

    def test_every_attribute(self):
        self.assertEqual(first_cells(self.page, "Attributes"), self.attributes)

    def test_every_name_of_provenance(self):
        named = {re.sub(r"^library_.*", "library_NAME", re.sub(r"^(text|rule)_\d+", r"\1_N", name)) for name in self.provenance}
        self.assertEqual(first_cells(self.page, "/provenance"), named)

    def test_the_checker_sees_a_dataset_that_is_not_described(self):
        self.assertNotIn("metrics/nothing", tables(self.rows))
        more = tables(self.rows | {"metrics/nothing": self.rows["metrics/kl"]})
        self.assertNotEqual(more, tables(self.rows))


class Glossary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = (ROOT / "experiments/glossary.md").read_text()
        cls.rows = re.findall(r"^\| ([^|]+) \| (.+) \| \[[^]]+\]\(([^)]+)\) \|$", cls.page, re.MULTILINE)
        cls.fields = {field["key"]: field for field in json.loads(lamp("config", "--json").stdout)["fields"]}

    def page_of(self, word):
        """The text that the row of a word links to: the section where it names one."""
        link, = [link for words, _, link in self.rows if word in words.split(", ")]
        file, _, anchor = link.partition("#")
        text = (ROOT / "experiments" / file).read_text()
        if not anchor:
            return text
        found = [(heading, level) for level, heading in re.findall(r"^(#+) (.+)$", text, re.MULTILINE)
                 if re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") == anchor]
        self.assertEqual(len(found), 1, link)
        heading, level = found[0]
        return re.split(rf"\n#{{1,{len(level)}}} ", text.split(f"\n{level} {heading}\n")[1])[0]

    def test_every_row_leads_somewhere(self):
        self.assertEqual(len(self.rows), self.page.count("\n| ") - 1, "every line of the table is a word, a meaning and a link")
        for words, _, _ in self.rows:
            for word in words.split(", "):
                self.assertTrue(self.page_of(word), word)
        for word in ("tau", "rate", "low", "recompute", "site", "cell", "u", "mu", "rule", "plan", "KL", "flip", "gain", "shard"):
            self.page_of(word)

    def test_the_pages_have_every_name(self):
        told = lamp("plan", ROOT / "tests/experiments/nano.toml", "--set", "plan.nosuchsite=low", check=False).stderr
        sites = re.search(r"legal: ([^;\n]*)", told)
        names = {"site": sites[1].split(", "), "rule": self.fields["lamp.SITE.rule"]["legal"].split(", "),
                 "RNE": self.fields["arithmetic.NAME.rounding"]["legal"].split(", "),
                 "order": [form.split(":")[0] for form in self.fields["arithmetic.NAME.order"]["legal"].split(", ")
                           if form[0].isalpha() and form[0].islower()],
                 "matrix engine": self.fields["arithmetic.NAME.engine"]["legal"].split(", "),
                 "format": [row["name"] for row in json.loads(lamp("formats", "--json").stdout)["formats"]],
                 "number system": [row["name"] for row in json.loads(lamp("formats", "--json").stdout)["systems"]]}
        for word, list_of_names in names.items():
            self.assertGreater(len(list_of_names), 5, word)
            text = self.page_of(word).replace("binary16, 32, 64", "binary16, binary32, binary64")
            missing = [name for name in list_of_names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
            self.assertEqual(missing, [], word)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with tempfile.TemporaryDirectory() as scratch:
            written = tables(run_everything(pathlib.Path(scratch))[0])
        before, after = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{written}\n{END}{after}")
    else:
        unittest.main()
