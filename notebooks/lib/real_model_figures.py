"""The figures of notebook 04: the paper's claim on a real language model, and the law that says how much recomputation gains.

Each function draws one figure from the cells of a Study (real_model.py) and saves both, or returns a sentence that says why it cannot.
Where nothing else is said points are means over the sequences of all texts.
"""

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib import ticker
from matplotlib.lines import Line2D

from . import style
from .intervals import SEQUENCES, band, bar, interval_words, mean_interval
from .output import publish
from .real_model import GAIN, PAPER, QUANTISED, SHARE, SMOLLM2, gains, heads, nearest, points, why_not
from .softmax_lamp import plain, positive
from .tables import spread

style.use()
MU = 10  # where one mu is shown
MOST_TAU = 4  # in one panel
SHARE_LABEL = "recomputed scores  (% of the causal entries)"
FAMILIES = (
    ("#3A8FC7", "#0072B2", "#003f66", "#000000"),
    ("#C77C00", "#D55E00", "#7a3300", "#4d4d4d"),
    ("#009E73", "#00674b", "#CC79A7", "#7d4a67"),
)
CHOICES = {
    ("lamp", "absolute"): "LAMP, absolute weights",
    ("lamp", "relative"): "LAMP, relative weights",
    ("largest-logit", "absolute"): "largest logits",
    ("random", "absolute"): "random",
}
SQUARE, COUNT = "recomputed, of all entries of the square [%]", "counted"


def looks(table):
    """(model, T) to colour and marker: a family of colours a model, darker with T."""
    found = {}
    models = list(dict.fromkeys(table["model"]))
    for k, (model, T) in enumerate(dict.fromkeys(zip(table["model"], table["T"]))):
        place = sum(m == model for m, _ in found)
        family = FAMILIES[models.index(model) % len(FAMILIES)]
        found[model, T] = dict(color=family[place % len(family)], marker=style.MARKERS[k % len(style.MARKERS)])
    return found


def foot_words(table, counts=None, mark="bar", what="", of="sequences of all texts"):
    """What intervals are, and what the model's weights are."""
    words = [interval_words(mark, counts, of, what)] if counts is not None else []
    return "; ".join(words) + (f"{'. ' if words else ''}{QUANTISED}" if SMOLLM2 in set(table["model"]) else "")


def gain_against_share(study, mu=MU):
    """Figure 1: what a share recomputed gains, by model and row length, and the paper's three numbers."""
    if reason := why_not(study, "tau", "base"):
        return reason
    cells = study.one_tau()
    mu = nearest(sorted(set(cells["mu"])), mu)
    table = gains(cells[cells["mu"] == mu], ["mu", "rule", "at"])
    table = table[(table[SHARE] > 0) & (table["rule"] != "none")].assign(mask="exclude")
    zeros = study.of("masks")
    zeros = zeros[(zeros["mu"] == mu) & (zeros["mask"] == "as-zero")] if len(zeros) else zeros
    if len(zeros):
        zeros = gains(zeros, ["mu", "rule", "mask", "at"])
        table = pandas.concat([table, zeros[zeros[SHARE] > 0]], ignore_index=True)
    figure, ax = plt.subplots(figsize=(7.6, 4.4))
    legend = {}
    for (model, T), look in looks(table).items():
        counted = table[(table["model"] == model) & (table["T"] == T) & (table["mask"] == "as-zero")].sort_values(SHARE)
        if len(counted):
            ax.plot(counted[SHARE], positive(counted[GAIN]), **look, linestyle="-.", markeredgecolor=style.INK, zorder=3)
            for _, row in counted.iterrows():
                bar(ax, row[SHARE], row, vertical=True, color=look["color"], linewidth=2.6, alpha=0.35)
        own = table[(table["model"] == model) & (table["T"] == T) & (table["mask"] == "exclude")]
        for rule, part in own.sort_values(SHARE).groupby("rule"):
            (line,) = ax.plot(
                part[SHARE], positive(part[GAIN]), **look | style.of_rule(rule, look["color"]) | dict(marker=look["marker"]), zorder=3
            )
            for _, row in part.iterrows():
                bar(ax, row[SHARE], row, vertical=True, color=look["color"], linewidth=2.6, alpha=0.35)
            if rule != "random":
                legend[f"{model}, T = {T}"] = line
    if len(zeros):
        legend["the same, masked entries counted\nas the paper's code does"] = Line2D(
            [], [], color=style.GREY, linestyle="-.", marker="o", markeredgecolor=style.INK
        )
    legend["random instead of LAMP"] = Line2D([], [], color=style.GREY, linestyle="--", marker="o", markerfacecolor="white")
    legend["the paper's text: GPT-2 XL, T = 1024"] = ax.scatter(
        PAPER.keys(), PAPER.values(), marker="*", s=130, facecolor="white", edgecolor=style.INK, linewidth=1.1, zorder=4
    )
    share_axes(ax, table)
    ax.set_xlabel(SHARE_LABEL)
    ax.set_ylabel("gain in KL  (none recomputed / recomputed)")
    outside(ax, legend)
    style.head(figure, f"What recomputing a share of the attention scores gains, μ = {mu:g}, one τ for all rows")
    return publish(
        study,
        "04-1-gain-against-share",
        figure,
        table,
        "Gain in KL (KL with nothing recomputed / KL with the share recomputed, geometric "
        f"mean over sequences) at μ = {mu:g}, one τ for all rows; the paper's numbers are read off its text and are not ours.",
        foot_words(table, table[SEQUENCES], what="of the logarithm"),
    )


def gain_by_mu(study):
    """Figure 1b: the same for every mu."""
    if reason := why_not(study, "tau", "base"):
        return reason
    cells = study.of("tau")
    table = gains(cells, ["mu", "rule", "at"])
    table = table[(table[SHARE] > 0) & (table["rule"] != "none")]
    mus = sorted(set(table["mu"]))
    figure, axes = style.grid([f"μ = {mu:g}" for mu in mus], min(4, len(mus)), 2.6, width=2.2, sharey=True)
    legend = {}
    for ax, mu in zip(axes, mus):
        for (model, T), look in looks(table).items():
            for rule, part in table[(table["model"] == model) & (table["T"] == T) & (table["mu"] == mu)].sort_values(SHARE).groupby("rule"):
                (line,) = ax.plot(
                    part[SHARE], positive(part[GAIN]), **look | style.of_rule(rule, look["color"]) | dict(marker=look["marker"])
                )
                band(ax, SHARE, part, color=look["color"])
                if rule != "random":
                    legend[f"{model}, T = {T}"] = line
        legend["the paper's text"] = ax.scatter(
            PAPER.keys(), PAPER.values(), marker="*", s=70, facecolor="white", edgecolor=style.INK, zorder=4
        )
        share_axes(ax, table)
        ax.set_xlabel("recomputed  (%)")
    legend["random instead of LAMP"] = Line2D([], [], color=style.GREY, linestyle="--", marker="o", markerfacecolor="white")
    axes[0].set_ylabel("gain in KL")
    style.legend_of_grid(axes[min(4, len(mus)) - 1], legend)
    style.head(figure, "Gain in KL against the share of scores recomputed, one τ for all rows")
    return publish(
        study,
        "04-1-gain-by-mu",
        figure,
        table,
        "Gain in KL against the share recomputed, by μ.",
        foot_words(table, table[SEQUENCES], "band", "of the logarithm"),
    )


CHANGE = "perplexity change [%]"
PANELS = (("kl", "KL [nat]", "KL  (nat)"), ("flips", "flip rate [%]", "argmax flips  (%)"), ("change", CHANGE, "perplexity change  (%)"))


def metric_table(study):
    """KL, flips and change of perplexity by model, T, mu, rule and tau, each with its interval."""
    cells = study.of("tau").copy()
    cells["flips"] = 100 * cells["flip_rate"]
    cells["change"] = cells["cross_entropy"] - cells["reference"] if "cross_entropy" in cells else np.nan
    by, tables = ["mu", "rule", "at"], []
    for column, name, _ in PANELS:
        found = points(cells, by, column, name=name, change=percent if column == "change" else lambda x: x)
        tables.append(found.rename(columns={c: f"{name}, {c}" for c in found if c not in (*by, "model", "T", SHARE, name)}))
    table, *others = tables
    for other in others:
        table = table.merge(other.drop(columns=SHARE), on=[*by, "model", "T"])
    return table


def percent(found):
    """Of a mean difference of cross-entropies, nat: by how much the perplexity changes, %."""
    return type(found)(*(v if n == "count" else 100 * np.expm1(v) for n, v in found._asdict().items()))


def metrics_against_mu(study):
    """Figure 4: KL, flips and the change of perplexity, with its sign."""
    if reason := why_not(study, "tau", "base", "cross_entropy"):
        return reason
    table = metric_table(study)
    table = table[table["rule"] == ("lamp" if "lamp" in set(table["rule"]) else table["rule"].iloc[0])]
    rows = list(dict.fromkeys(zip(table["model"], table["T"])))
    figure, axes = style.grid(
        [f"{m}, T = {T}" if k == 0 else "" for m, T in rows for k in range(3)], 3, 2.0, width=2.6, sharex=True, sharey=False
    )
    ats = shared(table, "at", MOST_TAU)
    colours = dict(zip(ats, [style.INK, *style.ordered_colours(len(ats) - 1)] if len(ats) > 1 else [style.INK]))
    legend = {}
    for r, (model, T) in enumerate(rows):
        own = table[(table["model"] == model) & (table["T"] == T)]
        for k, (_, name, label) in enumerate(PANELS):
            ax = axes[3 * r + k]
            for at in ats:
                part = own[own["at"] == at].sort_values("mu")
                x = part["mu"] + 0.22 * (ats.index(at) - (len(ats) - 1) / 2) * (k > 0)  # side by side: their bars overlap
                words = f"τ = {at:g}" + (" (none recomputed)" if (part[SHARE] == 0).all() else "")
                look = dict(
                    color=colours[at],
                    marker=style.MARKERS[ats.index(at)],
                    linestyle="none" if k == 2 else "--" if (part[SHARE] == 0).all() else "-",
                )
                (drawn,) = ax.plot(x, positive(part[name]) if k == 0 else part[name], **look)
                legend.setdefault(words, drawn)
                for (_, row), place in zip(part.iterrows(), x):
                    bar(ax, place, row, name + ", ", vertical=True, color=colours[at], linewidth=1.8, alpha=0.4)
            ax.set_ylabel(label)
            ax.set_xticks(sorted(set(own["mu"])))
            if k == 0:
                ax.set_yscale("log")
                good = own[own["at"].isin(ats) & (own[name] > 0)][name]
                if len(good):
                    ax.set_ylim(good.min() / 3, good.max() * 3)
            else:
                signed(ax, own[name], k == 1)
    for ax in axes[-3:]:
        ax.set_xlabel("μ  (bits)")
    style.legend_of_grid(axes[2], dict(sorted(legend.items(), key=lambda e: e[0], reverse=True)))
    style.head(figure, "KL, argmax flips and change of perplexity against μ, LAMP with one τ for all rows")
    counts = table[f"KL [nat], {SEQUENCES}"]
    return publish(
        study,
        "04-4-metrics",
        figure,
        table,
        "KL, share of positions whose most probable token changes, and exp(mean cross-entropy of the run less the "
        "reference's) - 1, with its sign, against μ.",
        foot_words(table, counts),
    )


def signed(ax, values, counts):
    """Linear around 0, logarithmic beyond. counts: shares, which are never below 0."""
    sizes = np.abs(values[(values != 0) & values.notna()])
    if not len(sizes):
        return
    least = 10.0 ** np.floor(np.log10(max(sizes.min(), sizes.max() / 2e3)))
    powers = [p for p in least * 10.0 ** np.arange(0, 9) if p <= 3 * sizes.max()]
    ax.set_yscale("symlog", linthresh=least, linscale=0.6)
    ax.set_yticks([0, *powers] if counts else [*(-p for p in reversed(powers)), 0, *powers])
    ax.yaxis.set_minor_locator(ticker.NullLocator())
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    top = 2.5 * sizes.max()
    ax.set_ylim(-least / 4 if counts else min(-least, 2.5 * values.min()), top)
    plain(ax.yaxis)


def shares_by_layer(study, mu=MU):
    """Figure 5."""
    if reason := why_not(study, "tau"):
        return reason
    table = layer_table(study, mu)
    ats = shared(table, "tau", MOST_TAU - 1)
    mu, models = table["mu"].iloc[0], list(dict.fromkeys(table["model"]))
    figure, axes = style.grid([f"{m}, τ = {at:g}" for m in models for at in ats], len(ats), 2.2, width=2.6, sharex="row", sharey=True)
    legend = {}
    look = looks(table)
    for ax, (model, at) in zip(axes, [(m, at) for m in models for at in ats]):
        for T, part in table[(table["model"] == model) & (table["tau"] == at)].groupby("T"):
            (legend[f"{model}, T = {T}"],) = ax.plot(
                part["layer"], positive(part[SHARE]), markevery=max(1, len(part) // 8), **look[model, T]
            )
            band(ax, "layer", part, color=look[model, T]["color"])
        ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
        ax.set_yscale("log")
        plain(ax.yaxis)
    shown = table[table["tau"].isin(ats) & (table[SHARE] > 0)][SHARE]
    axes[0].set_ylim(shown.min() / 1.4, min(100, shown.max() * 1.4))
    for ax in axes[:: len(ats)]:
        ax.set_ylabel("recomputed  (%)")
    for ax in axes[-len(ats) :]:
        ax.set_xlabel("layer")
    style.legend_of_grid(axes[len(ats) - 1], legend)
    style.head(figure, f"Share of the causal scores recomputed by layer, μ = {mu:g}, one τ for all rows")
    return publish(
        study,
        "04-5-shares-by-layer",
        figure,
        table,
        f"Share of the causal scores recomputed in each layer, mean over heads, μ = {mu:g}; a few τ.",
        foot_words(table, table[SEQUENCES], "band"),
    )


def layer_table(study, mu=MU):
    tables = []
    for run in study.runs_of("tau"):
        at_mu = nearest(run.data["mu"].values, mu)
        share = 100 * heads(run, at_mu).recompute_rate.mean("head")
        for at in run.data["at"].values:
            values = share.sel(at=at).stack(each=("text", "sequence")).transpose("each", "layer").values
            found = mean_interval(values[~np.isnan(values).all(1)])
            if len(found.mean) and (found.mean > 0).any():
                tables.append(
                    pandas.DataFrame(
                        {
                            "model": run.model,
                            "T": run.T,
                            "mu": at_mu,
                            "tau": at,
                            "layer": run.data["layer"].values,
                            SHARE: found.mean,
                            **found.columns(),
                        }
                    )
                )
    return pandas.concat(tables, ignore_index=True)


def same_share(study):
    """Figure 6: the same share of every row, chosen by LAMP with either weights, by largest logits, at random."""
    if reason := why_not(study, "share", "base"):
        return reason
    table = share_table(study)
    table = table[table[SHARE] > 0]
    mus, rows = sorted(set(table["mu"])), list(dict.fromkeys(zip(table["model"], table["T"])))
    figure, axes = style.grid(
        [f"μ = {mu:g}" if row == rows[0] else "" for row in rows for mu in mus], len(mus), 2.1, width=2.2, sharex=True, sharey="row"
    )
    legend = {}
    for ax, ((model, T), mu) in zip(axes, [(row, mu) for row in rows for mu in mus]):
        own = table[(table["model"] == model) & (table["T"] == T) & (table["mu"] == mu)]
        for k, words in enumerate(CHOICES.values()):
            part = own[own["choice"] == words].sort_values(SHARE)
            if len(part):
                look = dict(
                    color=CHOICE_COLOURS[k],
                    marker=style.MARKERS[k],
                    linestyle=("-", "--", "-.", ":")[k],
                    markerfacecolor="none",
                    linewidth=(3.0, 2.0, 1.0, 1.4)[k],
                    markersize=(8, 6, 3.5, 4.5)[k],
                )
                (legend[words],) = ax.plot(part[SHARE], positive(part[GAIN]), **look)
                band(ax, SHARE, part, color=CHOICE_COLOURS[k])
        ax.scatter(PAPER.keys(), PAPER.values(), marker="*", s=60, facecolor="white", edgecolor=style.INK, zorder=4)
        share_axes(ax, table)
    legend["the paper's text"] = Line2D(
        [], [], linestyle="none", marker="*", markersize=9, markerfacecolor="white", markeredgecolor=style.INK
    )
    for ax in axes[-len(mus) :]:
        ax.set_xlabel("recomputed  (%)")
    for ax, (model, T) in zip(axes[:: len(mus)], rows):
        ax.set_ylabel(f"{model}, T = {T}\ngain in KL")
    style.legend_of_grid(axes[len(mus) - 1], legend)
    style.head(figure, "Gain in KL, the same share recomputed in every row")
    return publish(
        study,
        "04-6-same-share",
        figure,
        table,
        "Gain in KL where the same share of every row is recomputed, by what chooses it.",
        foot_words(table, table[SEQUENCES], "band", "of the logarithm"),
    )


CHOICE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#555555")


def share_table(study):
    """Gains where every row has the same share, by choice; rules that weigh nothing once."""
    table = gains(study.of("share"), ["mu", "rule", "weights", "at"])
    choice = [CHOICES.get((r, w if r == "lamp" else "absolute")) for r, w in zip(table["rule"], table["weights"])]
    table = table.assign(choice=choice).dropna(subset=["choice"])
    return table[(table["rule"] == "lamp") | (table["weights"] == "absolute") | ~table["weights"].eq("absolute").any()]


def masks_table(study):
    """Gain and share with masked entries left out or counted as zeros; the share of the causal entries, and of all T^2."""
    table = gains(study.of("masks"), ["mu", "mask", "at"])
    return table.assign(**{SQUARE: table[SHARE] * (table["T"] + 1) / (2 * table["T"])})


def masks(study):
    """Figure 7."""
    if reason := why_not(study, "masks", "base"):
        return reason
    table = masks_table(study)
    table = table[table[SHARE] > 0]
    shown = list(dict.fromkeys(zip(table["model"], table["T"], table["mu"])))
    figure, axes = style.grid(
        [f"{m}, T = {T}\nμ = {mu:g}" for m, T, mu in shown], min(3, len(shown)), 2.8, width=2.7, sharex=True, sharey=True
    )
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    legend = {}
    for ax, (model, T, mu) in zip(axes, shown):
        own = table[(table["model"] == model) & (table["T"] == T) & (table["mu"] == mu)]
        for k, (mask, part) in enumerate(own.groupby("mask", sort=False)):
            for column, of, filled in ((SHARE, "of the causal entries", True), (SQUARE, "of all T² entries", False)):
                part = part.sort_values(column)
                colour = CHOICE_COLOURS[k]
                look = dict(
                    color=colour,
                    marker="os"[k],
                    markersize=(7, 4)[k],
                    linewidth=(2.6, 1.2)[k],
                    linestyle=("-", "--")[k],
                    markerfacecolor=colour if filled else "white",
                )
                (legend[f"{'masked left out' if mask == 'exclude' else 'masked as zeros'}, share {of}"],) = ax.plot(
                    part[column], positive(part[GAIN]), **look
                )
        share_axes(ax, table, (SHARE, SQUARE))
        ax.set_xlabel("recomputed  (%)")
    for ax in axes[:: min(3, len(shown))]:
        ax.set_ylabel("gain in KL")
    style.legend_of_grid(axes[min(3, len(shown)) - 1], legend)
    style.head(figure, "Masked entries left out, or counted as entries with z = 0")
    return publish(
        study,
        "04-7-masks",
        figure,
        table,
        "Gain in KL with masked entries left out of a row, or counted as entries with z = 0; the same points against the "
        "share of the causal entries and against that of all T² entries.",
        foot_words(table),
    )


# Drawing helpers.


def shared(table, column, most):
    """Some of the values, from nothing recomputed to much, that every model and T has; of all values where none is in all."""
    each = [set(part[column]) for _, part in table.groupby(["model", "T"])]
    return spread(sorted(set.intersection(*each) or set.union(*each), reverse=True), most)


def share_axes(ax, table, columns=(SHARE,)):
    """Both logarithmic, percents and factors as plain numbers."""
    both_logarithmic(ax)
    ax.xaxis.set_major_locator(ticker.LogLocator(10, (1, 2, 5)))
    ax.xaxis.set_minor_locator(ticker.NullLocator())
    ax.set_xlim(min(table[[*columns]].min().min(), *PAPER) / 1.3, max(table[[*columns]].max().max(), *PAPER) * 1.3)
    ax.axhline(1, color=style.GREY, linewidth=0.9)


def both_logarithmic(ax):
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("log")
        axis.set_minor_formatter(ticker.NullFormatter())
        plain(axis)


def outside(ax, entries):
    ax.legend(entries.values(), entries.keys(), loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, handlelength=2.6)
