"""The numbers of notebook 02 that a reader quotes, as one table and in words."""

import html

import numpy as np
import pandas

from .ground_truth import FORMS, NO_NUMBER, row_mean, why_not
from .intervals import FIRST, HIGH_END, LOW_END, SECOND, SEQUENCES, mean_interval, ratio_interval
from .output import Sentence, out_folder
from .truth_failures import CLASSES, failure_table, why_no_rows
from .truth_layers import HIGH, LAYERS, LOW, RISK, rank_table
from .truth_parts import ADDITIVE, BAEK, BEYOND, SMALL_ERROR, additivity_table, bound_table, covers_all, gap_tables, grain_table

SHARE = 0.15  # the budget whose KL is told; the nearest that the result has
TOLD = ("lamp", "lamp-dot", "value-aware", "z-error", "first-order", "fisher", "one-high", "random")
OWN, CHANCE = "recall at LAMP's size, lamp", "recall at LAMP's size, chance"
GRAINS = ("one-low, summed", "lamp-dot", "value-aware", "first-order")


def budget_lines(truth):
    """KL after a budget over KL with none and over KL after LAMP's, per rule: paired logarithms."""
    lines, none = [], truth.get("truth/all_low_kl")
    for rule in [r for r in (*TOLD, "one-low") if r in truth.rules]:
        for name, axis, wanted in (("curve_error", "rate", SHARE), ("row_curve_error", "row_size", 4)):
            scale = np.array(truth.scale(f"selection/{rule}/{axis}"))
            k = int(np.argmin(np.abs(scale - wanted)))
            words = f"{100 * scale[k]:.3g} % of the pass" if axis == "rate" else f"{scale[k]:g} scores a row"
            spent = truth.get(f"selection/{rule}/{name}")[..., k]
            lines.append((f"KL with {words} by {rule} / KL with none", "1", ratio_interval(spent, none)))
            if rule != "lamp" and "lamp" in truth.rules:
                by_lamp = truth.get(f"selection/lamp/{name}")[..., k]
                lines.append((f"KL with {words} by {rule} / KL by lamp", "1", ratio_interval(spent, by_lamp)))
    return lines


def findings_table(truth):
    """setting, quantity, unit, mean, and the columns of an Interval."""
    lines, parts = [], []
    for rule in [r for r in TOLD if r in truth.rules]:
        for measure, words in (
            ("spearman", "Spearman with one-low"),
            ("spearman_high", "Spearman with one-high"),
            ("recall", "recall at LAMP's size"),
        ):
            if truth.has(f"selection/{rule}/{measure}"):
                values = row_mean(truth.get(f"selection/{rule}/{measure}"))
                lines.append((f"{words}, {rule}", "1", mean_interval(values)))
                if rule != "lamp" and "lamp" in truth.rules:  # of the same sequences, so their difference has an interval of its own
                    by_lamp = row_mean(truth.get(f"selection/lamp/{measure}"))
                    lines.append((f"{words}, {rule} less lamp", "1", mean_interval(values - by_lamp)))
    if truth.has("selection/lamp/recall"):
        size = truth.get("selection/lamp/size")
        known = ~np.isnan(truth.get("selection/lamp/recall"))
        lines.append((CHANCE, "1", mean_interval(row_mean(size / np.arange(1, size.shape[-1] + 1), known))))
        lines.append((
            "scores that LAMP recomputes",
            "%",
            mean_interval(100 * np.nansum(size, (2, 3, 4)) / (size[0, 0].size * (size.shape[-1] + 1) / 2)),
        ))
    if truth.rules:
        lines += budget_lines(truth)
    for name, unit, found in lines:
        parts.append(
            pandas.DataFrame({"setting": truth.settings, "quantity": name, "unit": unit, "mean": found.mean, **found.columns()})
        )
    if why_not(truth, *(path for path, _, _ in ADDITIVE.values())) is None and covers_all(truth):
        parts.append(additivity_table(truth).rename(columns={"geometric mean": "mean"}))
    if why_not(truth, "truth/local/best_error_rel", "selection/lamp/local_rel") is None:
        sizes, ratios = gap_tables(truth)
        own = ratios[ratios["rule"].isin(TOLD)]
        parts.append(
            own.assign(quantity="error / least error of that size, " + own["rule"], unit="1").rename(
                columns={"error / least error [1]": "mean"}
            )
        )
        for setting, part in sizes.groupby("setting", sort=False) if len(sizes) else ():
            rows = part["rows"].sum()
            for words, kept in (
                ("rows where no smaller set is as good as LAMP's", part["size of LAMP's set"] == part["least size that is as good"]),
                ("rows where recomputing nothing is as good as LAMP's set", part["least size that is as good"] == 0),
            ):
                parts.append(
                    pandas.DataFrame(
                        [{"setting": setting, "quantity": words + ", of all", "unit": "%", "mean": 100 * part["rows"][kept].sum() / rows}]
                    )
                )
    if why_not(truth, "truth/one_low_kl", "truth/coarse/one_low_kl_site") is None:
        table = grain_table(truth)
        kept = table[table["score"].isin(GRAINS)] if len(table) else table
        if len(kept):
            parts.append(
                kept.assign(quantity="Spearman over " + kept["grain"] + ": " + kept["score"], unit="1").rename(
                    columns={"Spearman [1]": "mean"}
                )
            )
    if why_not(truth, *LAYERS) is None:
        table = rank_table(truth)
        parts.append(
            table.assign(quantity="Spearman over layers, " + table["truth"] + ": " + table["predictor"], unit="1").rename(
                columns={"Spearman [1]": "mean"}
            )
        )
    if why_no_rows(truth) is None:
        parts.append(failure_table(truth))
    two = [c for c in (FIRST, SECOND) if any(c in p for p in parts)]
    columns = ["setting", "quantity", "unit", "mean", LOW_END, HIGH_END, SEQUENCES, *two]
    return pandas.concat([p.reindex(columns=columns) for p in parts], ignore_index=True) if parts else pandas.DataFrame(columns=columns)


def number(line):
    """With its interval, where it has one; of two sequences with both."""
    if not np.isnan(line[LOW_END]):
        return f"{line['mean']:.3g} ({line[LOW_END]:.3g} to {line[HIGH_END]:.3g})"
    return f"{line['mean']:.3g}" + (f" ({line[FIRST]:.3g} and {line[SECOND]:.3g})" if not np.isnan(line.get(FIRST, np.nan)) else "")


def findings_words(truth, table):
    """A paragraph a setting, and one of what is about all of them; only what was computed."""
    words = []
    for setting, part in table.groupby("setting", sort=False):
        line = {q: row for q, row in zip(part["quantity"], part.to_dict("records")) if not np.isnan(row["mean"])}

        def told(quantity, unit=""):
            return number(line[quantity]) + unit if quantity in line else None

        def listed(start, rules):
            there = [f"{rule} {told(f'{start}, {rule}')}" for rule in rules if f"{start}, {rule}" in line]
            return "; ".join(there)

        said = []
        if ranks := listed("Spearman with one-low", TOLD):
            said.append(f"rank correlation with one-low KL within rows: {ranks}")
        if ranks := listed("Spearman with one-high", ("lamp", "z-error")):
            said.append(f"with what recomputing one score gains: {ranks}")
        if OWN in line:
            said.append(
                f"LAMP recomputes {told('scores that LAMP recomputes', ' %')} of the scores and has a share {told(OWN)} "
                f"of as many that matter most in their row, where chance has {told(CHANCE)}"
            )
        spent = [
            (q.split(" by ")[0].removeprefix("KL with "), q.split(" by ")[1].removesuffix(" / KL with none"))
            for q in line
            if q.startswith("KL with ") and q.endswith("/ KL with none")
        ]
        for budget in dict.fromkeys(b for b, _ in spent):
            said.append(
                f"{budget} leave of the KL a share of "
                + ", ".join(
                    f"{line[f'KL with {budget} by {rule} / KL with none']['mean']:.3g} by {rule}" for b, rule in spent if b == budget
                )
            )
        if "interaction: second / first" in line:
            said.append(
                f"interaction multiplies the sum of one-low KL by {told('interaction: second / first')}, nonlinearity by"
                f" {told('nonlinearity: third / second')}"
            )
        classes = {name: line[f"missed KL, {name}"]["mean"] for name in CLASSES if f"missed KL, {name}" in line}
        if classes:
            most = max(classes, key=classes.get)
            missed = told("one-low KL that LAMP's sets miss, of the true sets'", " %")
            bias = told("rows that are biased: |mean error| above its spread", " %")
            said.append(
                f"LAMP's sets miss {missed} of the one-low KL of the true ones, most of it ({classes[most]:.3g} %) by “{most}”; bias moves"
                f" {bias} of the rows"
            )
        layers = [
            f"{name} {told(f'Spearman over layers, scores low: {name}')}"
            for name in GRAINS
            if f"Spearman over layers, scores low: {name}" in line
        ]
        if layers:
            said.append(
                f"layers ranked by sums over their scores against their scores alone low: {', '.join(layers)} (a risk score of layers,"
                f" Baek: {BAEK})"
            )
        of_risk = {of: f"Spearman over layers, {of}: {RISK}" for of in (LOW, HIGH)}
        if risks := [f"{of} {told(name)}" for of, name in of_risk.items() if name in line]:
            said.append(f"the risk score of layers against {'; '.join(risks)} (published, of another model and truth: {BAEK})")
        if said:
            words.append(f"{setting}: " + ". ".join(s[0].upper() + s[1:] for s in said) + ".")
    if why_not(truth, "truth/score_error") is None and set(FORMS) & set(truth.rules):
        bound = bound_table(truth)
        if not len(bound):
            return words
        small = bound[bound["largest |dy| from [1]"] < 2.0**SMALL_ERROR]
        beyond = bound.groupby("rule", sort=False)[[BEYOND, "rows"]].sum()
        words.append(
            f"Bound: of {small['rows'].sum()} rows (all forms of LAMP) with errors left below 2^{SMALL_ERROR},"
            f" {small[BEYOND].sum()} exceed it by more than a factor 1 + 4 max |dy| and rounding; of all rows "
            + ", ".join(f"{r[BEYOND]} of {r['rows']} ({name})" for name, r in beyond.iterrows())
            + "."
        )
    return words


class Findings:
    def __init__(self, truth):
        self.table = findings_table(truth)
        self.words = findings_words(truth, self.table)
        self.table.to_csv(out_folder(truth, "02-findings") / "02-findings.csv", index=False)

    def _repr_html_(self):
        wide = self.table.pivot_table(index=["quantity", "unit"], columns="setting", values="mean", sort=False)
        return "".join(f"<p>{html.escape(words)}</p>" for words in self.words) + wide.to_html(
            border=0, float_format=lambda x: f"{x:.3g}", na_rep="–"
        )


def findings(truth):
    if reason := why_not(truth):
        return reason
    found = Findings(truth)
    return found if found.table["mean"].notna().any() else Sentence(NO_NUMBER)
