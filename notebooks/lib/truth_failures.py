"""Figures 11 and 12 of notebook 02: why LAMP's set and the true one differ, and what changes under other arithmetics.

Why: within a row the one-low KL of a score is a product, and what LAMP ranks by is one factor of it,
    KL = dy^2  (l1 / |dy|)^2  (v / l1)^2  KL / v^2,      l1: 1-norm of the change of softmax, v: relative change of softmax times values.
Between the scores that only the true set has and those that only LAMP's has, the mean difference of log KL is the sum of the four
factors' differences. The factor with the largest one is the row's class; it is never LAMP's own unless its softmax of low scores misled it.
"""

import numpy as np
import pandas
from matplotlib import pyplot as plt

from . import style
from .ground_truth import row_mean, top, why_not
from .intervals import SEQUENCES, bar, interval_words, mean_interval
from .output import Sentence, publish
from .truth_parts import ADDITIVE, BLUE, ORANGE, additivity_table, covers_all

FACTORS = ("errors that differ in size", "softmax of the low scores misleads", "values that do not differ", "errors that cancel downstream")
CLASSES = (*FACTORS, "an error of 0 chosen", "ties in LAMP's order")
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#666666", "#7A5C00")
HATCHES = ("", "//", "", "..", "", "xx")


class Rows:
    """The rows of which LAMP recomputes some scores and not all; arrays (sequence, setting, layer, head, query[, key])."""

    def __init__(self, truth):
        self.kl, self.error = truth.get("truth/one_low_kl"), truth.get("truth/score_error")
        size, lamp = truth.get("selection/lamp/size"), truth.get("selection/lamp_set") > 0.5
        n = np.arange(1, size.shape[-1] + 1)
        self.known = ~np.isnan(self.kl).any(-1, where=np.tri(len(n), dtype=bool)) & (size > 0) & (size < n)
        self.true = top(self.kl, size)
        self.lamp = lamp & ~np.isnan(self.kl)
        self.missed, self.extra = self.true & ~self.lamp, self.lamp & ~self.true
        self.differ = self.known & self.missed.any(-1)
        kl = np.nan_to_num(self.kl)
        self.loss = np.where(self.known, (kl * self.missed).sum(-1) - (kl * self.extra).sum(-1), 0.0)
        self.best = np.where(self.known, (kl * self.true).sum(-1), 0.0)
        self.bias = biased(self.error)
        self.kind = self.classes(truth)

    def classes(self, truth):
        """Index into CLASSES of each row that differs, -1 elsewhere."""
        local = (
            {name: truth.get(f"truth/local/one_low_{name}") for name in ("l1", "values")}
            if truth.has("truth/local/one_low_values")
            else None
        )
        if local is None:
            return np.full(self.differ.shape, -1)
        with np.errstate(divide="ignore", invalid="ignore"):  # errors of 0
            factors = [
                2 * np.log(np.abs(self.error)),
                2 * np.log(local["l1"] / np.abs(self.error)),
                2 * np.log(local["values"] / local["l1"]),
                np.log(self.kl / local["values"] ** 2),
            ]
            zero = ((self.missed | self.extra) & ~np.isfinite(sum(factors))).any(-1)
            parts = np.stack([mean_where(f, self.missed) - mean_where(f, self.extra) for f in factors])
        kind = np.argmax(np.where(np.isfinite(parts), parts, -np.inf), 0)
        priority = truth.get("selection/lamp/priority")
        last = np.where(self.lamp, priority, np.inf).min(-1)
        tie = np.where(np.isnan(self.kl) | self.lamp, -np.inf, priority).max(-1) == last
        kind = np.where(zero, CLASSES.index("an error of 0 chosen"), kind)
        return np.where(self.differ, np.where(tie, CLASSES.index("ties in LAMP's order"), kind), -1)


def biased(error):
    """Rows of three scores or more whose errors have a mean beyond their spread."""
    count = (~np.isnan(error)).sum(-1)
    mean = np.nansum(error, -1) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((error - mean[..., None]) ** 2, -1) / np.maximum(count - 1, 1))
    return np.where(count > 2, np.abs(mean) > spread, np.nan)


def mean_where(values, marks):
    return np.where(marks, values, 0.0).sum(-1) / np.maximum(marks.sum(-1), 1)


def why_no_rows(truth):
    return why_not(truth, "truth/one_low_kl", "selection/lamp_set", "selection/lamp/size")


def failure_table(truth, rows=None):
    """One row a setting and quantity; means over sequences with intervals. Shares of rows, and of the KL that LAMP's sets miss."""
    rows = rows or Rows(truth)
    table = []

    def add(name, values, unit="%"):
        interval = mean_interval(values)
        interval = interval.cut(0, 100) if unit == "%" else interval
        table.extend(
            {
                "setting": setting,
                "quantity": name,
                "unit": unit,
                "mean": interval.mean[s],
                **interval.at(s).columns(),
            }
            for s, setting in enumerate(truth.settings)
        )

    def share(part, whole):
        axes = (2, 3, 4)
        total = whole.sum(axes).astype(float)
        return 100 * part.sum(axes) / np.where(total > 0, total, np.nan)

    add("rows whose sets differ, of those with a choice", share(rows.differ, rows.known))
    add("one-low KL that LAMP's sets miss, of the true sets'", share(rows.loss, rows.best))
    add("rows that are biased: |mean error| above its spread", 100 * row_mean(rows.bias))
    add("rows that differ and are biased, of those that differ", share(rows.differ & (rows.bias > 0.5), rows.differ))
    if (rows.kind >= 0).any():
        for k, name in enumerate(CLASSES):
            add(f"rows, {name}", share(rows.kind == k, rows.differ))
            add(f"missed KL, {name}", share(np.where(rows.kind == k, rows.loss, 0.0), rows.loss))
    for name, words in (("spearman", "one-low"), ("spearman_high", "one-high")):
        if truth.has(f"selection/lamp/{name}"):
            values = truth.get(f"selection/lamp/{name}")
            add(f"Spearman of LAMP with {words}", row_mean(values), "1")
            for kept, which in ((rows.bias > 0.5, "biased"), (rows.bias < 0.5, "other")):
                add(f"Spearman of LAMP with {words}, {which} rows", row_mean(values, kept), "1")
    return pandas.DataFrame(table)


def failures(truth):
    """Figure 11."""
    if reason := why_no_rows(truth):
        return reason
    rows = Rows(truth)
    if not (rows.kind >= 0).any():
        return Sentence("Not drawn: no row differs, or this result has no /truth/local.")
    table = failure_table(truth, rows)
    mean = table.set_index(["quantity", "setting"])["mean"]
    figure, axes = plt.subplots(1, 3, figsize=(12.4, 1.6 + 0.42 * len(truth.settings)), sharey=True, width_ratios=[1, 1, 0.8])
    at, bars = np.arange(len(truth.settings)), {}
    for ax, which, label in zip(axes, ("rows", "missed KL"), ("rows whose sets differ  (%)", "missed KL  (%)")):
        left = np.zeros(len(at))
        for name, colour, hatch in zip(CLASSES, COLOURS, HATCHES):
            width = np.array([mean[f"{which}, {name}", setting] for setting in truth.settings])
            bars[name] = ax.barh(at, width, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4, height=0.7)
            left = left + np.nan_to_num(width)
        ax.set_xlabel(label)
        ax.set_xlim(0, 100)
    biased = ("rows that are biased: |mean error| above its spread", "rows that differ and are biased, of those that differ")
    for quantity, shift, look in zip(biased, (0, 0.18), (("o", style.INK, "of all rows"), ("s", ORANGE, "of those that differ"))):
        dots(axes[2], table, quantity, at + shift, *look)
    axes[2].set_xlim(0, 100)
    axes[2].set_xlabel("rows moved by bias  (%)")
    axes[0].set_yticks(at, truth.settings)
    axes[0].set_ylim(len(at) - 0.5, -0.5)
    marks = dict(zip(*reversed(axes[2].get_legend_handles_labels())))
    style.legend_of_grid(axes[2], bars | {f"bias, {name}": mark for name, mark in marks.items()}, "class (bars), bias (marks)")
    style.head(figure, "Why the sets differ")
    return publish(
        truth,
        "02-11-failures",
        figure,
        table,
        "Class of a row: the factor of one-low KL by which the scores of the true set alone exceed those of LAMP's alone most (size of the"
        " error, softmax, values, rest of the network). Bias: the mean error of a row exceeds its standard deviation; softmax does not see"
        f" a common shift. Means over {len(truth.sequences)} sequences, intervals cut at 0 and 100 %.",
        interval_words("line at a mark", table[table["quantity"].isin(biased)][SEQUENCES]),
    )


def dots(ax, table, quantity, at, marker, colour, label=None):
    part = table[table["quantity"] == quantity]
    for y, (_, line) in zip(at, part.iterrows()):
        bar(ax, y, line, color=colour, linewidth=1.1)
    ax.plot(part["mean"], at, marker=marker, linestyle="none", color=colour, label=label)


CONTROLS = (
    ("rows that are biased: |mean error| above its spread", "rows moved by bias  (%)"),
    ("Spearman of LAMP with one-low", "Spearman of LAMP\nwith one-low"),
    ("Spearman of LAMP with one-high", "Spearman of LAMP\nwith one-high"),
    ("one-low KL that LAMP's sets miss, of the true sets'", "one-low KL missed\n(% of the true sets')"),
    ("interaction: second / first", "interaction\n(half variance of sum / sum of KL)"),
)


def control_table(truth):
    table = failure_table(truth)
    if all(truth.has(path) for path, _, _ in ADDITIVE.values()) and covers_all(truth):
        table = pandas.concat([table, additivity_table(truth).rename(columns={"geometric mean": "mean"})])
    return table[table["quantity"].isin([q for q, _ in CONTROLS])].assign(result=truth.name)


def controls(truth, other=None):
    """Figure 12: settings of this result, and of the other, one below the other."""
    results = [truth] + ([other] if other else [])
    for result in results:
        if reason := why_no_rows(result):
            return reason
    tables = [control_table(result) for result in results]
    names = [(result, setting) for result in results for setting in result.settings]
    at = np.arange(len(names)) + np.repeat(np.arange(len(results)), [len(r.settings) for r in results]) * 0.6
    figure, axes = plt.subplots(1, len(CONTROLS), figsize=(14, 1.6 + 0.3 * at[-1]), sharey=True)
    for ax, (quantity, label) in zip(axes, CONTROLS):
        first = 0
        for k, (result, table) in enumerate(zip(results, tables)):
            if (table["quantity"] == quantity).any():
                dots(ax, table, quantity, at[first : first + len(result.settings)], "os"[k], (BLUE, ORANGE)[k])
            first += len(result.settings)
        ax.set_xlabel(label)
        if quantity.startswith("interaction"):
            ax.axvline(1, color=style.GREY, linewidth=0.8)
        elif quantity.startswith("Spearman"):
            ax.axvline(0, color=style.GREY, linewidth=0.8)
    axes[0].set_yticks(at, [setting for _, setting in names])
    axes[0].set_ylim(at[-1] + 0.6, -0.6)
    style.head(figure, "Is it the arithmetic?  " + "; ".join(f"{words}: {r.name}" for words, r in zip(("circles", "squares"), results)))
    return publish(
        truth,
        "02-12-controls",
        figure,
        pandas.concat(tables),
        f"Means over sequences ({', '.join(str(len(r.sequences)) for r in results)})."
        + ("" if other else " A second result, of other arithmetics or shuffled tokens, is laid beside it with --with."),
        interval_words("line at a mark", pandas.concat(tables)[SEQUENCES]),
    )
