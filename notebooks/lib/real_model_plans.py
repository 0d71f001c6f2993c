"""Storage and engine plans of real backends on one model: KL, flips and perplexity by plan, and what each writes (figure 8 of notebook 04)."""

import dataclasses
import functools
import html
import os
import pathlib
import subprocess

import numpy as np
import pandas
import xarray
from matplotlib import pyplot as plt

from . import style
from .intervals import SEQUENCES, bar, interval_words, mean_interval
from .output import Sentence, out_folder, publish
from .real_model import QUANTISED, SMOLLM2, TITLE
from .real_model_figures import CHANGE, percent
from .results import DONE

KL, FLIPS = "KL [nat]", "flip rate [%]"
DIVERGED, FIRST = "continuations that differ [%]", "median first differing token [tokens]"
SHOWN_SEQUENCE = 0  # of each text, whose continuation is shown
SHOWN_TOKENS = 48
ROOT = pathlib.Path(__file__).resolve().parents[2]


def plan_data(run):
    """The data of a run over (text, sequence, plan): a plan is a cell of its grid, named by its coordinates, or by the title where it has no grid."""
    axes = [d for d in run.data.kl.dims if d not in ("text", "sequence")]
    if not axes:
        return run.data.expand_dims(plan=[str(run.config.get("title", "")).removeprefix(TITLE).strip(": ")])
    data = run.data.stack(plan=axes)
    values = [v if isinstance(v, tuple) else (v,) for v in data["plan"].values.tolist()]
    names = [", ".join(str(v) if a == "plan.default" else f"{a} = {v}" for a, v in zip(axes, each)) for each in values]
    return data.drop_vars(["plan", *axes]).assign_coords(plan=names)


def plan_table(study):
    """One row a plan: means over the sequences of all texts with their intervals."""
    tables = []
    for run in study.runs_of("plans"):
        data = plan_data(run)
        data = data.where(data.status == DONE).stack(each=("text", "sequence")).transpose("each", "plan")
        used = np.isfinite(data.status.values).all(1)
        table = pandas.DataFrame({"model": run.model, "T": run.T, "plan": data["plan"].values})
        columns = {KL: data.kl.values, FLIPS: 100 * data.flip_rate.values}
        if "cross_entropy" in data:
            columns[CHANGE] = data.cross_entropy.values - data.reference.values.reshape(len(used), -1)
        for name, values in columns.items():
            found = mean_interval(values[used], leave_out=False) if used.any() else mean_interval(np.full((1, len(table)), np.nan))
            found = percent(found) if name == CHANGE else found
            table = table.assign(**{name: found.mean}, **found.columns(name + ", "))
        if "divergence_position" in data and used.any():
            first, most = data.divergence_position.values[used], steps(run)
            median = np.median(first, 0)
            table = table.assign(
                **{DIVERGED: 100 * (first < most).mean(0), FIRST: np.where(median < most, median, np.nan), "generated [tokens]": most}
            )
        tables.append(table)
    return pandas.concat(tables, ignore_index=True)


def steps(run):
    return int(run.config.get("continuation", {}).get("tokens", 64))


def why_no_plans(study):
    runs = study.runs_of("plans")
    if not runs:
        return Sentence(
            "Not drawn: none of these results is of storage and engine plans; experiments/studies/04-real-model says which command makes"
            " one."
        )
    if not any((run.data.status == DONE).any() for run in runs):
        return Sentence("Not drawn: no cell of the results of storage and engine plans is finished.")
    return None


def plans(study):
    """Figure 8."""
    if reason := why_no_plans(study):
        return reason
    table = plan_table(study)
    shown = [
        (c, label)
        for c, label in (
            (KL, "KL  (nat)"),
            (FLIPS, "argmax flips  (%)"),
            (CHANGE, "perplexity change  (%)"),
            (DIVERGED, "continuations\nthat differ  (%)"),
        )
        if c in table and table[c].notna().any()
    ]
    several = len(set(zip(table["model"], table["T"]))) > 1
    names = [f"{row['plan']}  ({row['model']}, T = {row['T']})" if several else row["plan"] for _, row in table.iterrows()]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.4 + 2.0 * len(shown), 1.2 + 0.24 * len(table)), sharey=True, squeeze=False)
    for k, (ax, (column, label)) in enumerate(zip(axes[0], shown)):
        values = table[column]
        for y, (_, row) in enumerate(table.iterrows()):
            bar(ax, y, row, column + ", ", color="#0072B2", linewidth=2.4, alpha=0.35, solid_capstyle="butt")
            ax.plot(row[column], y, marker="o", color="#0072B2", clip_on=False, zorder=3)
        if column == KL and (values > 0).any():
            ax.set_xscale("log")
            ax.set_xlim(values[values > 0].min() / 4, values.max() * 4)
        elif column == CHANGE:
            ax.axvline(0, color=style.GREY, linewidth=0.8)
        else:
            ax.set_xlim(left=0)
        ax.set_xlabel(label)
        ax.set_ylim(len(table) - 0.5, -0.5)
    axes[0, 0].set_yticks(range(len(names)), names)
    run = study.runs_of("plans")[0]
    reference = str(run.config.get("reference", {}).get("arithmetic", ""))
    style.head(figure, f"{run.model if not several else 'Plans of real backends'}: distance from the reference ({reference})")
    words = interval_words("bar", table[f"{KL}, {SEQUENCES}"], "sequences of all texts")
    return publish(
        study,
        "04-8-plans",
        figure,
        table,
        f"Each plan against the reference ({reference}), mean over the sequences of all texts.",
        words + (f". {QUANTISED}" if SMOLLM2 in set(table["model"]) else ""),
    )


# Greedy continuations as text.


def binary():
    return pathlib.Path(os.environ.get("LAMP_BINARY", ROOT / "build/release/lamp"))


@functools.lru_cache(maxsize=None)
def decoded(model, ids):
    """The text of some token ids: `lamp tokenize MODEL --decode`."""
    given = " ".join(map(str, ids)).encode()
    done = subprocess.run([binary(), "tokenize", model, "--decode"], input=given, capture_output=True, timeout=60, check=True)
    return done.stdout.decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Continuations:
    table: pandas.DataFrame
    tokens: int

    def _repr_html_(self):
        parts = []
        for (model, T, text), part in self.table.groupby(["model", "T", "text"], sort=False):
            lines = "".join(
                f"<tr><th style='text-align:left;white-space:nowrap;vertical-align:top'>{html.escape(row['plan'])}</th><td"
                " style='text-align:left'>"
                f"{html.escape(row['as the reference'])}<mark><b>{html.escape(row['first differing token'])}</b></mark>{html.escape(row['after it'])}</td></tr>"
                for _, row in part.iterrows()
            )
            parts.append(
                f"<h4>{html.escape(f'{model}, {text}' if text else model)}</h4><p>… {html.escape(part['prompt'].iloc[0])}"
                f" …</p><table>{lines}</table>"
            )
        words = (
            f"The first {self.tokens} greedily generated tokens after the end of the prompt; marked: the first token that is not the"
            " reference's."
        )
        return "".join(parts) + f"<p>{words}" + (f" {html.escape(QUANTISED)}." if SMOLLM2 in set(self.table["model"]) else "") + "</p>"


def continuations(study):
    """What each plan writes, as text."""
    if reason := why_no_plans(study):
        return reason
    return written(study, study.runs_of("plans"), "04-8-continuations")


def written(study, runs, name, call=None):
    """The greedy continuations of runs, as text. call: for each run how its plans are called."""
    rows, missing, limit = [], [], SHOWN_TOKENS
    call = call or [str] * len(runs)
    for run, named in zip(runs, call):
        model = str(run.config.get("model", {}).get("path", ""))
        try:
            tokens = xarray.open_dataset(run.path, group="continuations", engine="h5netcdf", decode_times=False).load()
        except OSError:
            continue
        if not binary().is_file() or not pathlib.Path(model).is_dir():
            missing.append(model if binary().is_file() else str(binary()))
            continue
        reference_ids = xarray.open_dataset(run.path, group="reference", engine="h5netcdf", decode_times=False).tokens
        prefix = int(run.config.get("continuation", {}).get("prefix", 32))
        data = plan_data(dataclasses.replace(run, data=run.data[["kl"]].assign(run=tokens["run"])))
        for text in data["text"].values:
            where = {"text": text} if "text" in tokens.dims else {}
            expected = tokens["reference"].sel(where).isel(sequence=SHOWN_SEQUENCE).values.ravel()[:limit]
            prompt = reference_ids.sel(where).isel(sequence=SHOWN_SEQUENCE).values.ravel()[:prefix]
            common = {"model": run.model, "T": run.T, "text": str(text), "prompt": decoded(model, tuple(ids(prompt[-24:])))}
            if not any(row["plan"] == "reference" and row["text"] == str(text) and row["model"] == run.model for row in rows):
                rows.append(common | line("reference", model, expected, expected))
            for plan in data["plan"].values:
                own = data["run"].sel(plan=plan, text=text).isel(sequence=SHOWN_SEQUENCE).values[:limit]
                rows.append(common | line(named(str(plan)), model, own, expected))
    if not rows:
        return Sentence(
            "Not shown: to decode the continuations there is no " + ", ".join(dict.fromkeys(missing)) + "."
            if missing
            else "Not shown: these results have no greedy continuations (no [continuation] in their configs)."
        )
    table = pandas.DataFrame(rows)
    table.to_csv(out_folder(study, name) / f"{name}.csv", index=False)
    return Continuations(table, min(limit, max(steps(run) for run in runs)))


def ids(values):
    """Token ids up to where there is none any more."""
    values = np.asarray(values, float)
    stop = np.flatnonzero(~(values >= 0))
    return [int(v) for v in values[: stop[0] if len(stop) else None]]


def line(plan, model, own, expected):
    """A continuation in three parts: as the reference's, the first differing token, the rest."""
    own, expected = ids(own), ids(expected)
    at = next((k for k, (a, b) in enumerate(zip(own, expected)) if a != b), min(len(own), len(expected)))
    parts = own[:at], own[at : at + 1], own[at + 1 :]
    return {
        "plan": plan,
        "first differing [tokens]": at if at < len(own) else np.nan,
        **{
            name: decoded(model, tuple(part)) if part else ""
            for name, part in zip(("as the reference", "first differing token", "after it"), parts)
        },
    }
