"""Figures 1 to 4 of notebook 02: predicted ranks against the truth, what budgets buy."""

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D

from . import style
from .ground_truth import KINDS, NOISE_FLOOR, NO_NUMBER, look, places, row_mean, why_not
from .intervals import SEQUENCES, band, bar, geometric_interval, interval_words, mean_interval
from .output import Sentence, publish

style.use()
MOST_SETTINGS = 4
SCATTERED = ("lamp", "value-aware", "z-error", "first-order")
CURVES = (
    "lamp",
    "lamp-dot",
    "value-aware",
    "largest-logit",
    "window",
    "block-mean",
    "page-bound",
    "random",
    "z-error",
    "first-order",
    "fisher",
    "local",
    "one-low",
    "one-high",
)
MEASURES = {
    "spearman": "Spearman, one-low",
    "kendall": "Kendall, one-low",
    "spearman_high": "Spearman, one-high",
    "kendall_high": "Kendall, one-high",
    "recall": "recall",
}


def shown(truth, most=MOST_SETTINGS):
    """Indices of the settings that a figure has room for: the ends and what lies between."""
    count = len(truth.settings)
    return sorted({round(k) for k in np.linspace(0, count - 1, min(most, count))})


def rank_scatter(truth):
    """Figure 1."""
    if reason := why_not(truth, "truth/one_low_kl"):
        return reason
    rules, settings = [r for r in SCATTERED if r in truth.rules], shown(truth)
    if not rules:
        return Sentence(f"Not drawn: this result ranks none of the rules {', '.join(SCATTERED)}.")
    kl = truth.get("truth/one_low_kl")
    figure, axes = plt.subplots(
        len(settings), len(rules), figsize=(1.6 + 2.6 * len(rules), 0.8 + 2.1 * len(settings)), sharex="col", sharey=True, squeeze=False
    )
    table, images = [], []
    for c, rule in enumerate(rules):
        priority = truth.get(f"selection/{rule}/priority")
        for r, s in enumerate(settings):
            ax = axes[r, c]
            x, y = priority[:, s].ravel(), kl[:, s].ravel()
            there = ~np.isnan(x) & ~np.isnan(y)
            zero = there & ((x <= 0) | (y <= 0))
            x, y = x[there & ~zero], y[there & ~zero]
            bins = np.floor(np.log2(x))
            for b in np.unique(bins):
                inside = y[bins == b]
                table.append({
                    "setting": truth.settings[s],
                    "rule": rule,
                    "priority from [1]": 2.0**b,
                    "scores": len(inside),
                    "median one-low KL [nat]": np.median(inside),
                })
            if len(x):
                images.append(ax.hexbin(x, y, xscale="log", yscale="log", gridsize=32, mincnt=1, cmap="cividis", linewidths=0))
            ax.axhspan(NOISE_FLOOR / 1e6, NOISE_FLOOR, color="#dddddd", zorder=0)
            found = row_mean(truth.get(f"selection/{rule}/spearman"))[:, s]
            mean = mean_interval(found).mean
            ax.text(
                0.03,
                0.97,
                f"in rows ρ = {mean:.2f}" + (f"\n{zero.sum()} zeros not shown" if zero.any() else ""),
                transform=ax.transAxes,
                va="top",
                fontsize=7,
                bbox=dict(facecolor="white", alpha=0.75, edgecolor="none", pad=1),
            )
            if r == 0:
                ax.set_title(rule)
            if c == 0:
                ax.set_ylabel(f"{truth.settings[s]}\none-low KL  (nat)")
    positive = kl[:, settings][kl[:, settings] > 0]
    if len(positive):
        axes[0, 0].set_ylim(max(positive.min() / 3, NOISE_FLOOR / 100), positive.max() * 3)
    for ax in axes[-1]:
        ax.set_xlabel("priority, of the rule's own scale")
    if images:
        norm = LogNorm(1, max(2, max(image.get_array().max() for image in images)))
        for image in images:
            image.set_norm(norm)
        figure.colorbar(images[0], ax=axes, label="scores in a hexagon", shrink=0.6, pad=0.02)
    style.head(figure, "Predicted priority of every score against what it does when it alone is low")
    return publish(
        truth,
        "02-1-rank-scatter",
        figure,
        pandas.DataFrame(table),
        f"All scores of {len(truth.sequences)} sequences, a point each. ρ: Spearman's within a row, mean over rows, then sequences. Grey"
        f" band, where in view: below the rounding of a KL in binary64 ({NOISE_FLOOR:.1e} nat).",
    )


def rank_table(truth):
    """One row a setting and rule: means over rows, then over sequences, with their intervals."""
    table, size = [], None
    for rule in truth.rules:
        found = {}
        for measure in MEASURES:
            if truth.has(f"selection/{rule}/{measure}"):
                values = truth.get(f"selection/{rule}/{measure}")
                found[MEASURES[measure]] = mean_interval(row_mean(values))
                if measure == "recall":
                    size = truth.get(f"selection/{rule}/size")
                    n = np.arange(1, size.shape[-1] + 1)
                    found["chance"] = mean_interval(row_mean(size / n, ~np.isnan(values)))
                    found["jaccard"] = mean_interval(row_mean(truth.get(f"selection/{rule}/jaccard")))
        for s, setting in enumerate(truth.settings):
            line = {"setting": setting, "rule": rule}
            for name, interval in found.items():
                line |= {f"{name} [1]": interval.mean[s], **interval.at(s).columns(f"{name}, ")}
            table.append(line)
    return pandas.DataFrame(table)


def rules_axis(ax, rules):
    ax.set_yticks(range(len(rules)), rules)
    ax.set_ylim(len(rules) - 0.4, -0.6)
    for label, rule in zip(ax.get_yticklabels(), rules):
        label.set_color(look(rule)["color"])


def ranks_by_rule(truth):
    """Figure 2."""
    if reason := why_not(truth, "truth/one_low_kl"):
        return reason
    if not truth.rules:
        return Sentence("Not drawn: this result ranks no rules (truth.rules is empty).")
    table, settings, rules = rank_table(truth), shown(truth), truth.rules
    figure, axes = plt.subplots(
        2, len(settings), figsize=(2.4 + 2.5 * len(settings), 1.2 + 0.42 * len(rules)), sharey=True, sharex="row", squeeze=False
    )
    marks = [("Spearman, one-low", "o", True, -0.22), ("Kendall, one-low", "s", False, 0.0), ("Spearman, one-high", "D", False, 0.22)]
    for c, s in enumerate(settings):
        part = table[table["setting"] == truth.settings[s]].reset_index(drop=True)
        for r, columns in enumerate((marks, [("recall", "o", True, 0.0)])):
            ax = axes[r, c]
            for name, marker, filled, shift in columns:
                if f"{name} [1]" not in part:
                    continue
                for k, line in part.iterrows():
                    colour = look(line["rule"])["color"]
                    bar(ax, k + shift, line, f"{name}, ", color=colour, linewidth=1.1)
                    ax.plot(
                        line[f"{name} [1]"],
                        k + shift,
                        marker=marker,
                        markersize=3.8,
                        color=colour,
                        markerfacecolor=colour if filled else "white",
                    )
            if r == 1:
                ax.plot(part["chance [1]"], part.index, linestyle="none", marker="|", markersize=9, color="#000000")
            ax.axvline(0 if r == 0 else 1, color=style.GREY, linewidth=0.8)
            rules_axis(ax, rules)
        axes[0, c].set_title(truth.settings[s])
        axes[0, c].set_xlabel("rank correlation with the truth")
        axes[1, c].set_xlabel("recall = precision at LAMP's size")
    entries = {
        name: Line2D([], [], linestyle="none", marker=m, color=style.INK, markerfacecolor=style.INK if f else "white")
        for name, m, f, _ in marks
    }
    style.legend_of_grid(axes[0, -1], entries, "mean over rows")
    axes[1, -1].legend(
        [
            Line2D([], [], linestyle="none", marker="o", color=style.INK),
            Line2D([], [], linestyle="none", marker="|", markersize=9, color="k"),
        ],
        ["recall", "chance k/n"],
        loc="upper left",
        bbox_to_anchor=(1.03, 1.02),
        borderaxespad=0,
    )
    words = "; ".join(
        f"{kind}: {', '.join(r for r in those if r in rules)}" for kind, (_, those) in KINDS.items() if set(those) & set(rules)
    )
    style.head(figure, "Rules against the truth, row by row")
    return publish(
        truth,
        "02-2-ranks-by-rule",
        figure,
        table,
        f"Means over the rows of a sequence, then over {len(truth.sequences)} sequences. Recall: of a row's k scores with"
        f" the largest one-low KL the rule's first k have this share, k LAMP's number in that row. Colours: {words}.",
        interval_words("bar", table[[f"{name}, {SEQUENCES}" for name, *_ in (*marks, ("recall",)) if f"{name} [1]" in table]]),
    )


def pooled_recall_table(truth):
    """Recall of the first ceil(r N) of all scores of a pass among as many with the largest one-low KL."""
    kl, table = truth.get("truth/one_low_kl"), []
    flat = kl.reshape(*kl.shape[:2], -1)
    count = (~np.isnan(flat)).sum(-1)  # (sequence, setting): of a sample, each sequence has its own
    true = places(flat)
    for rule in truth.rules:
        own = places(np.where(np.isnan(flat), np.nan, truth.get(f"selection/{rule}/priority").reshape(flat.shape)))
        for share in truth.scale(f"selection/{rule}/rate"):
            size = np.ceil(share * count)
            with np.errstate(invalid="ignore"):
                found = mean_interval(((own < size[..., None]) & (true < size[..., None])).sum(-1) / size)
                chance = mean_interval(size / count).mean
            for s, setting in enumerate(truth.settings):
                table.append({
                    "setting": setting,
                    "rule": rule,
                    "budget [%]": 100 * chance[s],
                    "recall [1]": found.mean[s],
                    **found.at(s).columns("recall, "),
                    "chance [1]": chance[s],
                })
    return pandas.DataFrame(table)


def lines(ax, part, x, y, rules, legend):
    for rule in rules:
        line = part[part["rule"] == rule].sort_values(x)
        if line[y].isna().all():
            continue
        style_of = look(rule)
        band(ax, x, line, f"{y.split(' [')[0]}, ", color=style_of["color"])
        (legend[rule],) = ax.plot(line[x], line[y], **style_of)


def pooled_recall(truth):
    """Figure 3."""
    if reason := why_not(truth, "truth/one_low_kl"):
        return reason
    if not truth.rules:
        return Sentence("Not drawn: this result ranks no rules (truth.rules is empty).")
    table, settings = pooled_recall_table(truth), shown(truth, 6)
    if not table["recall [1]"].notna().any():
        return Sentence(NO_NUMBER)
    rules = [r for r in CURVES if r in truth.rules and r != "one-low"]
    figure, axes = style.panels([truth.settings[s] for s in settings])
    legend = {}
    for ax, s in zip(axes, settings):
        part = table[table["setting"] == truth.settings[s]]
        lines(ax, part, "budget [%]", "recall [1]", rules, legend)
        chance = part.drop_duplicates("budget [%]").sort_values("budget [%]")
        (legend["chance"],) = ax.plot(chance["budget [%]"], chance["chance [1]"], color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.set_xscale("log")
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("scores chosen, of the whole pass  (%)")
    for ax in axes[:: style.COLUMNS]:
        ax.set_ylabel("recall of the true first")
    style.legend_beside(axes, legend, "rule")
    style.head(figure, "One budget for the whole pass: how many of the scores that matter most are chosen")
    return publish(
        truth,
        "02-3-pooled-recall",
        figure,
        table,
        "The first ceil(r N) of all N scores by each rule's priority against the first by one-low KL; "
        f"mean over {len(truth.sequences)} sequences.",
        interval_words("band", table[f"recall, {SEQUENCES}"]),
    )


def budget_table(truth):
    """KL of runs in which a budget is spent by a rule's ranking: geometric means over sequences."""
    kl = truth.get("truth/score")
    own = np.arange(1, kl.shape[-1] + 1)
    causal = own.sum()
    table = []
    for rule in truth.rules:
        for name, axis, kind in (("curve_error", "rate", "pooled"), ("row_curve_error", "row_size", "per row")):
            scale = np.array(truth.scale(f"selection/{rule}/{axis}"))
            count = causal * kl.shape[2] * kl.shape[3]
            share = np.ceil(scale * count) / count if kind == "pooled" else np.array([np.minimum(own, k).sum() for k in scale]) / causal
            found = geometric_interval(truth.get(f"selection/{rule}/{name}"))
            for s, setting in enumerate(truth.settings):
                for k in range(len(scale)):
                    table.append({
                        "setting": setting,
                        "rule": rule,
                        "budget": kind,
                        "asked": scale[k],
                        "realised share [%]": 100 * share[k],
                        "KL [nat]": found.mean[s, k],
                        **found.at((s, k)).columns("KL, "),
                    })
    low = geometric_interval(truth.get("truth/all_low_kl"))
    for s, setting in enumerate(truth.settings):
        table.append({
            "setting": setting,
            "rule": "none",
            "budget": "both",
            "asked": 0.0,
            "realised share [%]": 0.0,
            "KL [nat]": low.mean[s],
            **low.at(s).columns("KL, "),
        })
    return pandas.DataFrame(table)


def budget_curves(truth):
    """Figure 4."""
    if reason := why_not(truth, "truth/all_low_kl"):
        return reason
    if not truth.rules:
        return Sentence("Not drawn: this result ranks no rules (truth.rules is empty).")
    table, settings = budget_table(truth), shown(truth)
    if not (table["KL [nat]"] > 0).any():
        return Sentence(NO_NUMBER)
    rules = [r for r in CURVES if r in truth.rules]
    figure, axes = plt.subplots(2, len(settings), figsize=(2.6 + 3.0 * len(settings), 7.4), sharey="col", sharex="row", squeeze=False)
    legend = {}
    for c, s in enumerate(settings):
        part = table[table["setting"] == truth.settings[s]]
        none, every = part[part["rule"] == "none"]["KL [nat]"].item(), part[(part["budget"] == "pooled") & (part["asked"] == 1)]["KL [nat]"]
        for r, kind in enumerate(("pooled", "per row")):
            ax = axes[r, c]
            lines(
                ax,
                part[(part["budget"] == kind) & (part["asked"] != 1.0 if kind == "pooled" else True)],
                "realised share [%]",
                "KL [nat]",
                rules,
                legend,
            )
            legend["none recomputed"] = ax.axhline(none, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
            if len(every):
                ax.text(0.03, 0.03, f"all recomputed: {every.iloc[0]:.1e}", transform=ax.transAxes, fontsize=7, va="bottom")
            ax.set_xscale("log")
            ax.set_yscale("log")
            ticks = sorted(x for x in set(part[part["budget"] == kind]["realised share [%]"]) if kind == "per row" or x < 99)
            ax.set_xticks(ticks, [f"{x:.2g}" for x in ticks])
            ax.minorticks_off()
            ax.set_xlabel(("one budget for the pass" if r == 0 else "1, 2, 4, 8 scores a row") + "\nscores recomputed  (%)")
        drawn = part[part["rule"].isin(rules) & (part["KL [nat]"] > 0) & ~((part["budget"] == "pooled") & (part["asked"] == 1))]["KL [nat]"]
        axes[0, c].set_ylim(drawn.min() / 4, max(drawn.max(), none) * 2.5)
        axes[0, c].set_title(truth.settings[s])
    for ax in axes[:, 0]:
        ax.set_ylabel("KL(reference || run)  (nat)")
    below = all(ax.get_ylim()[0] > NOISE_FLOOR for ax in axes.flat)
    style.legend_of_grid(axes[0, -1], legend, "ranking")
    style.head(figure, "What a budget buys, spent by each ranking")
    return publish(
        truth,
        "02-4-budget-curves",
        figure,
        table,
        "Whole passes with the first scores of each ranking recomputed, all others low, everything else in the reference arithmetic."
        f" Geometric mean over {len(truth.sequences)} sequences. Rules whose priorities are known for a"
        f" sample of the rows only have no curve. Rounding of a KL in binary64: {NOISE_FLOOR:.1e} nat{', below all panels' if below else ''}.",
        interval_words("band", table[f"KL, {SEQUENCES}"], what="of the logarithm"),
    )
