"""Study 04's results, several of them together: what notebook 04 opens, and its cells as one table.

A result belongs to the study if the title of its config begins with "real model"; what it is in the study, its grid tells (KINDS). So
folders may have any names. The result that was asked for belongs to it whatever its title.
"""

import dataclasses
import functools
import html
import pathlib
import re

import h5py
import numpy as np
import pandas
import xarray

from .intervals import mean_interval, ratio_interval
from .output import Sentence
from .results import DONE, ResultError, check, origin, progress, result_path

TITLE = "real model"
KINDS = {
    "tau": "one τ for all rows",
    "share": "the same share in every row",
    "masks": "masked entries",
    "kept": "softmax and scores kept",
    "plans": "storage and engine plans",
}
AXES = {
    "lamp.scores.tau": "at",
    "lamp.scores.rate": "at",
    "lamp.scores.rule": "rule",
    "lamp.scores.weights": "weights",
    "lamp.scores.mask": "mask",
}
DIMS = ("text", "sequence", "mu", "at", "rule", "weights", "mask")
SMOLLM2, QUANTISED = "SmolLM2-135M", "SmolLM2-135M-Instruct, weights 4-bit quantised in the file they come from"
HEADS = ("recompute_rate", "softmax_square", "softmax_square_low")
PAPER = {3.4: 10, 15.0: 100, 34.3: 1000}  # % recomputed: gain in KL (v1: GPT-2 XL, T = 1024), as the text of the paper rounds them

SHARE, GAIN, SEQUENCE = "recomputed [%]", "gain [1]", ["text", "sequence"]
CONCENTRATION, EXPLAINED = "sum z^2 / sum z^2 left low [1]", "gain / (sum z^2 / sum z^2 left low) [1]"


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    path: pathlib.Path
    kind: str  # a key of KINDS
    model: str
    T: int  # tokens of a sequence
    config: dict
    provenance: dict
    data: xarray.Dataset  # kl, flip_rate, cross_entropy, reference, status over DIMS, and HEADS over these and (layer, head); none of plans
    notes: tuple

    def cells(self):
        """One row a finished cell: percents, and sums over layers and heads."""
        data = self.data.drop_dims(("layer", "head"))
        data[SHARE] = 100 * self.data.recompute_rate.mean(("layer", "head"))
        for name in (h for h in HEADS[1:] if h in self.data):
            data[name] = self.data[name].sum(("layer", "head"), skipna=False)
        table = data.to_dataframe().reset_index()
        table = table[table["status"] == DONE].assign(kind=self.kind, model=self.model, T=self.T)
        nothing = table[(table[SHARE] == 0) | (table["rule"] == "none")].groupby([*SEQUENCE, "mu"])["kl"].first()  # equal, all of them
        return table.join(nothing.rename("base"), on=[*SEQUENCE, "mu"])


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    path: pathlib.Path  # of the result asked for
    runs: tuple
    notes: tuple

    @functools.cached_property
    def cells(self):
        """The cells of all runs but those of plans; without any, an empty table."""
        tables = [run.cells() for run in self.runs if run.kind != "plans"]
        return (
            pandas.concat(tables, ignore_index=True)
            if tables
            else pandas.DataFrame(columns=[*DIMS, SHARE, "kl", "base", "kind", "model", "T"])
        )

    def of(self, kind):
        return self.cells[self.cells["kind"] == kind]

    def one_tau(self):
        """Cells of one τ for all rows and masked entries left out, those of results about masks too; a cell that is in both, once."""
        masks = self.of("masks")
        both = pandas.concat([self.of("tau"), masks[masks["mask"] == "exclude"].assign(kind="tau")])
        return both.drop_duplicates(["model", "T", *SEQUENCE, "mu", "rule", "at"])

    def runs_of(self, kind):
        return [run for run in self.runs if run.kind == kind]

    def _repr_html_(self):
        head = ["result", "model", "tokens", "sequences", "cells", "commit", "finished"]
        lines = [[f"{run.path.parent.name}: {KINDS[run.kind]}", run.model, f"{run.T}", *run_words(run)] for run in self.runs]
        rows = ("".join(f"<td style='text-align:left'>{html.escape(x)}</td>" for x in line) for line in lines)
        table = f"<tr>{''.join(f'<th>{h}</th>' for h in head)}</tr>" + "".join(f"<tr>{r}</tr>" for r in rows)
        notes = [*self.notes, *(f"{run.path.parent.name}: {note}" for run in self.runs for note in run.notes)]
        return f"<table>{table}</table>" + "".join(f"<p>{html.escape(n)}</p>" for n in notes)


def run_words(run):
    status = run.data.status
    texts = status.sizes["text"]
    return (
        f"{status.sizes['sequence']}" + (f" of each of {texts} texts" if texts > 1 else ""),
        f"{int((status == DONE).sum())} of {status.size}",
        run.provenance.get("git_commit", "")[:12],
        run.provenance.get("finished", ""),
    )


def open_study(path=None):
    """The result `path` (by default the one that LAMP_RESULT names) and those beside it, SIBLING/result.h5, that are of this study. Of two
    of one kind, model and T the first counts: the one asked for, else the one with more finished cells."""
    path, (first, *others), notes = with_siblings(path, TITLE, open_run)
    runs = {}
    for run in [first, *sorted(others, key=lambda r: -int((r.data.status == DONE).sum()))]:
        key = run.kind, run.model, run.T, run.config.get("title") if run.kind in ("plans", "kept") else ""
        if key in runs:
            notes.append(
                f"{run.path.parent.name} is left out: {KINDS[run.kind]}, {run.model} at T = {run.T} is shown from"
                f" {runs[key].path.parent.name}."
            )
        else:
            runs[key] = run
    order = list(KINDS)
    runs = sorted(runs.values(), key=lambda r: (order.index(r.kind), -size(r), r.model, r.T))
    if any(run.model == SMOLLM2 for run in runs):
        notes.insert(0, f"{SMOLLM2} is {QUANTISED}.")
    return Study(path, tuple(runs), tuple(notes))


def with_siblings(path, title, open_run):
    """The result `path`, or the one that LAMP_RESULT names: its path; it and those beside it whose titles begin with `title`, opened; and of
    those that cannot be, sentences."""
    path = result_path(path)
    check(path)
    found, notes = [open_run(path)], []
    for file in sorted(path.resolve().parent.parent.glob("*/result.h5")):
        if file != path.resolve() and str(origin_of(file).get("title", "")).startswith(title):
            try:
                found.append(open_run(file))
            except (ResultError, OSError, KeyError, ValueError) as error:
                notes.append(f"{file.parent.name} is left out: {str(error).splitlines()[0]}")
    return path, found, notes


def origin_of(file):
    try:
        return origin(file)[1]
    except OSError:
        return {}


def size(run):
    """Heads of all layers: larger models come first."""
    return run.data.sizes.get("layer", 1) * run.data.sizes.get("head", 1)


def open_run(path):
    check(path)
    provenance, config = origin(path)
    scores = config.get("lamp", {}).get("scores")
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf", decode_times=False)
    metrics = metrics[[n for n in ("kl", "flip_rate", "cross_entropy", "divergence_position", "status", *HEADS) if n in metrics]]
    if "cross_entropy" in metrics:
        metrics["reference"] = xarray.open_dataset(path, group="reference", engine="h5netcdf", decode_times=False).cross_entropy
    notes = progress(metrics.status)
    nan = int(((metrics.status == DONE) & metrics.kl.isnull()).sum())
    notes += [f"KL is NaN in {nan} finished cells: no mean over one of them."] if nan else []
    kind = "plans"
    if scores is not None and "recompute_rate" in metrics:
        kind = kind_of(path, metrics.kl.dims)
        metrics, notes = named(metrics, scores, config, notes)
    data = metrics.expand_dims({d: [""] for d in SEQUENCE if d not in metrics.dims})
    return Run(
        path,
        kind,
        model_name(config, provenance),
        int(config.get("tokens", {}).get("sequence_length", 0)),
        config,
        provenance,
        data.load(),
        tuple(notes),
    )


def kind_of(path, dims):
    """Of a result that selects scores."""
    with h5py.File(path, "r") as f:
        if all(name in f for name in ("activations/softmax/run", "activations/scores/run", "selected/scores")):
            return "kept"
    return "masks" if "lamp.scores.mask" in dims else "share" if "lamp.scores.rate" in dims else "tau"


def short(dim):
    """The short name of an axis; None of one that is not known."""
    return AXES.get(dim) or ("mu" if re.fullmatch(r"arithmetic\.[^.]+\.mu", dim) else None)


def named(metrics, scores, config, notes):
    """With the dimensions DIMS: axes by their short names, axes that the file lacks of one value, others cut at their first."""
    names = {d: short(d) for d in metrics.kl.dims if d not in SEQUENCE}
    for d, name in names.items():
        if name is None:
            notes = [*notes, f"The grid also varies {d}; only its first value, {metrics[d].values[0]}, is shown."]
            metrics = metrics.isel({d: 0}, drop=True)
    metrics = metrics.rename({d: name for d, name in names.items() if name})
    low = config.get("arithmetic", {}).get(str(config.get("plan", {}).get("scores", "low")), {})
    absent = {
        "mu": low.get("mu", np.nan),
        "at": scores.get("tau", scores.get("rate", np.nan)),
        "rule": scores.get("rule", "lamp"),
        "weights": scores.get("weights", "absolute"),
        "mask": scores.get("mask", "exclude"),
        "text": "",
        "sequence": 0,
    }
    return metrics.expand_dims({d: [v] for d, v in absent.items() if d not in metrics.dims}), notes


def model_name(config, provenance):
    """The folder's name, but for the model of this study: it is told by its weights, so that another SmolLM2 is not taken for it."""
    name = pathlib.PurePosixPath(str(config.get("model", {}).get("path", "") or provenance.get("model", ""))).name
    return SMOLLM2 if provenance.get("model_sha256", "").startswith(SMOLLM2_SHA256) else name


SMOLLM2_SHA256 = (
    "9480b0a43c2dfcc35b6dff7478d726582ab08190e6bf5a8f37f4971844d3e578",
)  # of the bfloat16 folder, and of the same in binary32


def why_not(study, kind, *columns):
    """A sentence when a figure cannot be drawn, else None. columns: what its cells must have."""
    cells = study.of(kind)
    if not study.runs_of(kind):
        return Sentence(
            f"Not drawn: none of these results is of this kind ({KINDS[kind]}); experiments/studies/04-real-model says which command makes"
            " one."
        )
    if not len(cells):
        return Sentence(f"Not drawn: no cell of the results of this kind ({KINDS[kind]}) is finished.")
    for column in columns:
        if column not in cells or cells[column].isnull().all():
            words = {
                "base": "no cell recomputes nothing, so there is no baseline",
                "softmax_square": "nothing says how concentrated softmax is (record.concentration)",
                "cross_entropy": "there is no cross-entropy",
            }
            return Sentence(f"Not drawn: in the results of this kind ({KINDS[kind]}) {words.get(column, f'there is no {column}')}.")
    return None


def points(cells, by, value, over=None, name="", change=lambda found: found):
    """One row for each model, T and values of the columns `by`: the mean of `value` over sequences, or the geometric mean of over / value
    (sequence by sequence), with its interval and the mean share recomputed. change: what is done to the Interval."""
    tables = []
    for (model, T), part in cells.groupby(["model", "T"], sort=False):
        wide = {c: part.pivot(index=SEQUENCE, columns=by, values=c) for c in {value, over or value, SHARE}}
        if over:
            found = ratio_interval(wide[over].values, wide[value].values, leave_out=False)
        else:
            found = mean_interval(wide[value].values, leave_out=False)
        found = change(found)
        table = wide[value].columns.to_frame(index=False)
        tables.append(table.assign(model=model, T=T, **{SHARE: wide[SHARE].mean().values, name: found.mean}, **found.columns()))
    return pandas.concat(tables, ignore_index=True)


def gains(cells, by):
    """Gain in KL, geometric mean over sequences; gaps where some KL is 0, and so the gain infinite."""
    table = points(cells, by, "kl", "base", GAIN)
    return table.assign(**{GAIN: table[GAIN].where(np.isfinite(table[GAIN]))})


def gain_at(cells, share):
    """Of one model, T, mu and rule: the gain where `share` % are recomputed, log gain interpolated over the share sequence by sequence, from
    the baseline on: an Interval, or None where the grid of some sequence ends before."""
    logs = []
    for _, part in cells.groupby(SEQUENCE):
        part = part.sort_values(SHARE)
        log = np.log(part["base"] / part["kl"]).values
        logs.append(np.interp(share, part[SHARE].values, log, left=np.nan, right=np.nan) if len(part) else np.nan)
    if not logs or np.isnan(logs).any():
        return None
    return ratio_interval(np.exp(np.array(logs))[:, None], np.ones((len(logs), 1))).at(0)


def nearest(values, wanted):
    return min(values, key=lambda v: abs(v - wanted))


def heads(run, mu, at=None, rule="lamp"):
    """HEADS of a run at a point of its grid, over (text, sequence[, at], layer, head); only finished cells, else NaN."""
    data = run.data[[h for h in HEADS if h in run.data]].where(run.data.status == DONE)
    data = data.sel(mu=mu, rule=rule if rule in run.data.rule.values else run.data.rule.values[0]).isel(weights=0, mask=0)
    return data.sel(at=at) if at is not None else data
