"""The law of notebook 04: the gain in KL is the sum of z^2 over what is left low of it, or how far from it (figure 3)."""

import numpy as np
import pandas
from matplotlib import ticker
from matplotlib.lines import Line2D

from . import style
from .intervals import HIGH_END, LOW_END
from .output import publish
from .real_model import CONCENTRATION, EXPLAINED, GAIN, SHARE, gains, heads, nearest, points, why_not
from .real_model_figures import MU, both_logarithmic, foot_words
from .real_model_tables import publish_table


def law_table(study):
    """One row a point of a grid that recomputes something: gain, sum z^2 over what is left low of it, and the quotient of both."""
    cells = study.cells[(study.cells[SHARE] > 0)].copy()
    cells["low"] = cells["base"] * cells["softmax_square_low"]
    cells["all"] = cells["kl"] * cells["softmax_square"]
    tables = []
    for kind, part in cells[cells["kind"] != "kept"].groupby("kind", sort=False):
        by = ["mu", "rule", "weights", "mask", "at"]
        table = gains(part, by).assign(kind=kind)
        table[CONCENTRATION] = points(part, by, "softmax_square_low", "softmax_square", "x")["x"]
        off = points(part, by, "all", "low", "x")
        table[EXPLAINED], table["explained, " + LOW_END], table["explained, " + HIGH_END] = off["x"], off[LOW_END], off[HIGH_END]
        tables.append(table)
    table = pandas.concat(tables, ignore_index=True)
    return table[np.isfinite(table[GAIN]) & np.isfinite(table[CONCENTRATION])]


def off_table(table, by):
    """How far gains are from the law: the geometric mean of the quotient, and the factor that it is off by in the mean."""
    logs = table.assign(log=np.log(table[EXPLAINED]), size=np.abs(np.log(table[EXPLAINED])))
    found = (
        logs.groupby(by, sort=False)
        .agg(points=("log", "size"), mean=("log", "mean"), off=("size", "mean"), most=("size", "max"))
        .reset_index()
    )
    return found.assign(**{c: np.exp(found[c]) for c in ("mean", "off", "most")})


def law(study):
    """Figure 3: the gain against what the concentration of softmax says it is."""
    if reason := why_not_law(study):
        return reason
    table = law_table(study)
    models = list(dict.fromkeys(table["model"]))
    mus = sorted(set(table["mu"]))
    colours = dict(zip(mus, style.ordered_colours(len(mus))))
    figure, axes = style.grid(models, len(models), 3.4, width=3.1, sharex=True, sharey=True)
    least, most = (f(table[[GAIN, CONCENTRATION]].values) for f in (np.min, np.max))
    legend = {}
    for ax, model in zip(axes, models):
        ax.plot([least, most], [least, most], color=style.GREY, linewidth=1)
        for mu in mus:
            for rule in dict.fromkeys(table["rule"]):
                part = table[(table["model"] == model) & (table["mu"] == mu) & (table["rule"] == rule)]
                marker = style.of_rule(rule, colours[mu]) | dict(linestyle="none", color=colours[mu], markersize=4.5, alpha=0.85)
                ax.plot(part[CONCENTRATION], part[GAIN], **marker)
                legend[f"rule {rule}"] = Line2D(
                    [], [], **marker | dict(color=style.INK, markerfacecolor=style.INK if style.RULES.get(rule, "??x")[2] else "white")
                )
        both_logarithmic(ax)
        ax.set_xlabel("Σz² / Σz² left low")
    axes[0].set_ylabel("gain in KL")
    legend |= {f"μ = {mu:g}": Line2D([], [], color=c, linewidth=4) for mu, c in colours.items()}
    legend["gain = Σz² / Σz² left low"] = Line2D([], [], color=style.GREY, linewidth=1)
    style.legend_of_grid(axes[-1], legend)
    style.head(figure, "Gain in KL against Σz² / Σz² left low")
    return publish(
        study,
        "04-3-law",
        figure,
        table,
        "Gain in KL against the sum of z² over all softmax entries over the sum of those left low, pooled over layers, heads and rows; one"
        " point a grid point of every result (μ, τ or rate, rule, weights, masks), geometric mean over sequences.",
        foot_words(table),
    )


def why_not_law(study):
    reasons = [why_not(study, kind, "base", "softmax_square") for kind in ("tau", "share", "masks")]
    return None if None in reasons else reasons[0]


def shown_run(study, kind="tau"):
    """The result of the longest rows of the largest model."""
    runs = study.runs_of(kind)
    return max((r for r in runs if r.model == runs[0].model), key=lambda r: r.T)


def by_head(study, mu=MU, at=1.5):
    """Figure 3b: in which heads the scores are recomputed, and in which most of the sum of z^2 is left low."""
    if reason := why_not(study, "tau", "softmax_square"):
        return reason
    run = shown_run(study)
    mu, at = nearest(run.data["mu"].values, mu), nearest(run.data["at"].values, at)
    data = heads(run, mu, at)
    share = 100 * data.recompute_rate.mean(("text", "sequence"))
    low = 100 * data.softmax_square_low.sum(("text", "sequence")) / data.softmax_square.sum(("text", "sequence"))
    table = (
        pandas.DataFrame({SHARE: share.to_series(), "sum z^2 left low [%]": low.to_series()})
        .reset_index()
        .assign(model=run.model, T=run.T, mu=mu, tau=at)
    )
    figure, axes = style.grid(
        ["scores recomputed", "Σz² left low"], 2, min(6.0, max(2.2, 0.2 * share.sizes["layer"])), width=2.9, sharey=True
    )
    for ax, values, label in zip(axes, (share, low), ("% of the causal scores", "% of the head's Σz²")):
        image = ax.imshow(values.transpose("layer", "head"), cmap="cividis", vmin=0, aspect="auto", interpolation="nearest")
        ax.grid(False)
        ax.set_xlabel("head")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(12, integer=True))
        figure.colorbar(image, ax=ax, label=label, pad=0.02)
    axes[0].set_ylabel("layer")
    style.head(figure, f"{run.model}, T = {run.T}, μ = {mu:g}, τ = {at:g}")
    return publish(
        study,
        "04-3-by-head",
        figure,
        table,
        f"By layer and head at one point, {run.model}, T = {run.T}, μ = {mu:g}, τ = {at:g}: share of the causal "
        "scores recomputed; share of the sum of z² that is left low. All sequences.",
        foot_words(table),
    )


def law_words(study):
    """How far the law is off, by model and mu and by rule."""
    if reason := why_not_law(study):
        return reason
    table = law_table(study)
    parts = [
        off_table(table[table["rule"] != "random"], ["model", "mu"]).assign(of="all rules but random"),
        off_table(table[table["rule"] == "random"], ["model", "mu"]).assign(of="random"),
        off_table(table[(table["rule"] == "lamp") & (table["kind"] == "tau")], ["model", "T", "mu"]).assign(of="LAMP, one τ"),
        off_table(table[(table["rule"] == "lamp") & (table["kind"] == "share")], ["model", "T", "mu", "weights"]).assign(
            of="LAMP, same share"
        ),
    ]
    found = pandas.concat(parts, ignore_index=True)
    found = found[["of", "model", *(c for c in ("T", "mu", "weights") if c in found), "points", "mean", "off", "most"]]
    found = found.rename(columns={"mean": EXPLAINED, "off": "off by a factor, in the mean [1]", "most": "off by a factor, at most [1]"})
    return publish_table(
        study,
        "04-3-law-by-mu",
        found,
        found,
        "Gain over Σz² / Σz² left low: geometric mean over the points of figure 3; and the factor by which a point is off, in the "
        "geometric mean and at most.",
    )
