"""Study 06's results, all together: what notebook 06 opens, and its cells as one table.

A result belongs to the study if the title of its config is "everywhere: PART"; what it is, its part (PARTS) and its grid tell. So folders may
have any names. The result that was asked for belongs to it whatever its title.
"""

import dataclasses
import functools
import html
import pathlib
import re

import numpy as np
import pandas
import xarray

from .intervals import mean_interval, ratio_interval
from .output import Sentence
from .real_model import QUANTISED, SEQUENCE, SMOLLM2, model_name, with_siblings
from .results import DONE, check, origin, progress

TITLE = "everywhere"
PARTS = {
    "alone": "one product low, LAMP there",
    "weights": "error weights",
    "together": "all products low, LAMP at each",
    "layers": "one product low in some layers",
    "subsets": "every subset of the products low",
    "guards": "all products low, LAMP at every subset of them",
    "allocated": "all products low, shares by product",
    "fallback": "rows that fall back",
    "ahead": "sets chosen before the scores are there",
    "text": "greedy continuations",
}
FUNCTIONS = {
    "scores": "softmax of the scores",
    "values": "attn_proj's linear map",
    "attn_proj": "norm after attention",
    "mlp_fc": "activation",
    "gate": "activation",
    "mlp_proj": "norm after the MLP",
    "logits": "final softmax",
}  # in the order of the pass
ACTIVATIONS = ("mlp_fc", "gate")
KL, GAIN, MACS, COST = "KL [nat]", "gain [1]", "multiply-accumulates redone [%]", "cost, all-high plan = 1 [1]"
FLIPS, CHANGE = "flip rate [%]", "perplexity change [%]"
RULE_NAMES = {"lamp": "LAMP", "value-aware": "value-aware", "random": "random"}


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    path: pathlib.Path
    part: str  # a key of PARTS, or "" of another experiment
    model: str
    T: int
    config: dict
    provenance: dict
    data: xarray.Dataset  # metrics over (text, sequence, axes of the grid), loaded; those by layer only where they are asked for
    notes: tuple

    @property
    def sites(self):
        """The products that are not computed as all others are, in the order of the pass."""
        plan = self.config.get("plan", {})
        found = [s for s, arithmetic in plan.items() if s not in ("default", "layer") and arithmetic != plan.get("default")]
        return tuple(sorted(found, key=lambda s: list(FUNCTIONS).index(s) if s in FUNCTIONS else -1))

    def cells(self):
        """One row a finished cell."""
        table = self.data.to_dataframe().reset_index()
        table = table[table["status"] == DONE].drop(columns="status")
        lamp = self.config.get("lamp", {})
        site = self.sites[0] if len(self.sites) == 1 else None
        own = lamp.get(site or "scores", {})
        low = "short" if "short" in self.config.get("plan", {}).values() else "low"
        constant = {"model": self.model, "T": self.T, "part": self.part, "site": site or "all", "low": low, "products": len(self.sites)}
        for column, value in (("rate", own.get("rate", np.nan)), ("rule", own.get("rule", "lamp")), ("weights", own.get("weights"))):
            if f"lamp.{site or 'scores'}.{column}" not in table or self.part in ("subsets", "guards"):
                constant[column] = value
        constant["mu"] = self.config.get("arithmetic", {}).get("low", {}).get("mu", np.nan)
        constant["operands"] = self.config.get("arithmetic", {}).get("short", {}).get("operands", "")
        names = {c: short(c, site) for c in table.columns}
        table = table.rename(columns=names if self.part not in ("subsets", "guards") else {})
        table = table.assign(**{c: v for c, v in constant.items() if c not in table})
        table[FLIPS] = 100 * table["flip_rate"]
        table[CHANGE] = table["cross_entropy"] - table["reference"]  # of logarithms, until it is a mean
        return table.rename(columns={"kl": KL, "recomputed_macs": MACS, "cost": COST}).assign(
            **{MACS: 100 * table.get("recomputed_macs", 0.0)}
        )


def short(axis, site):
    """The column of an axis: what it is of the one site that is low, or of the arithmetic; an activation's rule among all sites."""
    if found := re.fullmatch(r"arithmetic\.(?:low|short)\.(mu|operands)", axis):
        return found[1]
    if found := re.fullmatch(r"lamp\.([^.]+)\.(rate|tau|rule|weights|fallback\.tolerance)", axis):
        if found[1] == site:
            return found[2]
        if site is None and found[1] in ACTIVATIONS and found[2] == "rule":
            return "activation's rule"
    return axis


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    path: pathlib.Path  # of the result asked for
    runs: tuple
    notes: tuple

    @functools.cached_property
    def cells(self):
        """Of every run but those of subsets, guards and text, whose grids are looked at by themselves."""
        tables = [run.cells() for run in self.runs if run.part in ("alone", "weights", "together", "fallback", "ahead")]
        return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame(columns=["part", "model"])

    def of(self, part):
        return self.cells[self.cells["part"] == part]

    def runs_of(self, part):
        return [run for run in self.runs if run.part == part]

    def models(self):
        return list(dict.fromkeys(run.model for run in self.runs))

    def _repr_html_(self):
        head = ["part", "model", "tokens", "results", "cells", "commit", "finished"]
        lines = []
        for part, model, T in dict.fromkeys((r.part, r.model, r.T) for r in self.runs):
            runs = [r for r in self.runs if (r.part, r.model, r.T) == (part, model, T)]
            done = sum(int((r.data.status == DONE).sum()) for r in runs)
            commits = sorted({r.provenance.get("git_commit", "")[:12] for r in runs})
            finished = max(r.provenance.get("finished", "") for r in runs)
            of_all = sum(r.data.status.size for r in runs)
            lines.append([PARTS.get(part, "?"), model, f"{T}", f"{len(runs)}", f"{done} of {of_all}", ", ".join(commits), finished])
        rows = ("".join(f"<td style='text-align:left'>{html.escape(x)}</td>" for x in line) for line in lines)
        table = f"<tr>{''.join(f'<th>{h}</th>' for h in head)}</tr>" + "".join(f"<tr>{r}</tr>" for r in rows)
        notes = [*self.notes, *(f"{run.path.parent.name}: {note}" for run in self.runs for note in run.notes)]
        return f"<table>{table}</table>" + "".join(f"<p>{html.escape(n)}</p>" for n in notes)


def open_study(path=None):
    """The result `path` (by default the one that LAMP_RESULT names) and those beside it, SIBLING/result.h5, that are of this study."""
    path, found, notes = with_siblings(path, TITLE, open_run)
    order = [*PARTS, ""]
    found.sort(key=lambda r: (r.model == SMOLLM2, order.index(r.part), r.path.parent.name))
    if any(run.model == SMOLLM2 for run in found):
        notes.insert(0, f"{SMOLLM2} is {QUANTISED}.")
    return Study(path, tuple(found), tuple(notes))


def open_run(path):
    check(path)
    provenance, config = origin(path)
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf", decode_times=False)
    cell_dims = set(metrics.status.dims)
    names = [n for n in ("kl", "flip_rate", "cross_entropy", "recomputed_macs", "cost", "divergence_position", "status") if n in metrics]
    for name in ("recomputed_macs", "cost"):  # of runs that select nothing: nothing is redone
        if name not in metrics:
            metrics[name] = xarray.zeros_like(metrics.kl) if name == "recomputed_macs" else xarray.full_like(metrics.kl, np.nan)
            names.append(name)
    for name in metrics:
        if name.startswith("fallback_"):
            by = [d for d in metrics[name].dims if d not in cell_dims]
            metrics["fallback"] = metrics[name].mean(by)
            names.append("fallback")
    metrics["reference"] = xarray.open_dataset(path, group="reference", engine="h5netcdf", decode_times=False).cross_entropy
    data = metrics[[*names, "reference"]].load()
    data = data.expand_dims({d: [""] for d in SEQUENCE if d not in data.status.dims})
    part = str(config.get("title", "")).removeprefix(TITLE).strip(": ")
    notes = progress(data.status)
    nan = int(((data.status == DONE) & data.kl.isnull()).sum())
    notes += [f"KL is NaN in {nan} finished cells: no mean over one of them."] if nan else []
    T = int(config.get("tokens", {}).get("sequence_length", 0))
    part = part if part in PARTS else ""
    return Run(path, part, model_name(config, provenance), T, config, provenance, data, tuple(notes))


def why_not(study, part):
    """A sentence when a figure cannot be drawn, else None."""
    if not study.runs_of(part):
        return Sentence(f"Not drawn: no result here is of this part ({PARTS[part]}); experiments/studies/06-everywhere/run makes them all.")
    if not any((run.data.status == DONE).any() for run in study.runs_of(part)):
        return Sentence(f"Not drawn: no cell of this part ({PARTS[part]}) is finished.")
    return None


def means(cells, by, values, over=None, of=mean_interval):
    """One row for each value of the columns `by`, model among them: of each column of `values` its mean over the sequences and its interval
    (columns NAME, 95 % low ..), of KL by the function `of`; of `over` (column, its denominator) the geometric mean of the ratios. No mean where a
    sequence lacks the cell."""
    rows = []
    counts = {model: part.groupby(SEQUENCE).ngroups for model, part in cells.groupby("model")}
    for key, part in cells.groupby(by, sort=False, dropna=False):
        row = dict(zip(by, key))
        count = counts[row["model"]]
        for name in values:
            numbers = part[name].to_numpy(float) if len(part) == count else np.full(1, np.nan)
            found = (of if name == KL else mean_interval)(numbers[:, None], leave_out=False)
            found = found if name != CHANGE else found._replace(**{k: 100 * np.expm1(getattr(found, k)) for k in ("mean", "low", "high")})
            row |= {name: found.mean[0], **{f"{name}, {c}": v[0] for c, v in found.columns().items()}}
        if over:
            top, bottom = (part[c].to_numpy(float)[:, None] if len(part) == count else np.full((1, 1), np.nan) for c in over)
            found = ratio_interval(top, bottom, leave_out=False)
            row |= {GAIN: found.mean[0], **{f"{GAIN}, {c}": v[0] for c, v in found.columns().items()}}
        rows.append(row)
    return pandas.DataFrame(rows)


def with_base(cells, at):
    """With the column `base`: the KL of the cell of the same sequence, model and columns `at` in which nothing is redone."""
    keys = ["model", "T", *SEQUENCE, *at]
    nothing = cells[(cells[MACS] == 0)].groupby(keys, dropna=False)[KL].first().rename("base")
    return cells.join(nothing, on=keys)


def quantised(table):
    return QUANTISED if SMOLLM2 in set(table["model"]) else ""
