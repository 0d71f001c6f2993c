"""The figures of notebook 01: attention scores in PS(mu), and what recomputing a part of them buys.

Each function draws one figure from its table (tables.py) and saves both, or returns a sentence that says why it cannot.
"""
import html

import numpy as np
import pandas
from matplotlib import ticker
from matplotlib.lines import Line2D

from . import style
from .intervals import FIRST, SECOND, SEQUENCES, band, interval_words
from .output import NANS, publish
from .results import recorded
from .tables import (FLIPS, GAIN, KL, NO_BASELINE, RATE, baseline, by_text, first_tau, gain_table, head_table,
                     headline_table, headline_words, metric_table, middle, of_rule, rate_table, spread, symbol, titles, why_not)

MU_LABEL = "μ  (bits of the significand field, p = μ + 1)"
RATE_LABEL = "recomputed scores  (% of the causal entries)"
KL_LABEL = "Kullback–Leibler divergence  (nat)"
MOST_COLOURS = 6    # mu in one panel of figures 3 and 5
MOST_LINES = 8      # tau in one panel of figures 1 and 2
MOST_NUMBERED = 60  # cells of a heat map that still carry their number


def kl_against_mu(result):
    """Figure 1."""
    return why_not(result) or against_mu(result, "01-1-kl-against-mu", "kl", KL, 1, KL_LABEL,
                                         "KL divergence of the low-precision run from the reference")


def flips_against_mu(result):
    """Figure 2."""
    return why_not(result) or against_mu(result, "01-2-flips-against-mu", "flip_rate", FLIPS, 100, "argmax flips  (% of positions)",
                                         "Positions whose most probable next token changes")


def kl_against_rate(result):
    """Figure 3: what a recompute rate buys, LAMP and the other rules."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    return against_rate(result, "01-3-kl-against-rate", rate_table(result), KL, KL_LABEL,
                        "KL divergence against the share of scores recomputed")


def gain_against_rate(result):
    """Figure 5: the same as a factor."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    nothing = baseline(result)
    if nothing is None:
        return NO_BASELINE
    return against_rate(result, "01-5-gain-against-rate", gain_table(result, nothing), GAIN, "gain",
                        f"Gain: KL divergence ({nothing.words(result)}) / KL divergence of the rule, geometric mean")


def against_mu(result, name, metric, label, factor, axis_label, title):
    """A metric against mu, one line a tau, one panel a text."""
    rule, nothing = result.main_rule(), baseline(result)
    empty = nothing.tau if nothing and nothing.rate == 0 else None
    extra = [r for r in ("none", "all") if r in result.rules() and r != rule and (r == "all" or empty is None)]
    table = metric_table(result, metric, label, factor, [rule, *extra])
    shown = spread(list(result.data.tau.values), MOST_LINES)
    if "tau" in table:
        table = table[table["tau"].isin(shown)]
    figure, axes = style.panels(titles(result))
    counts = label == FLIPS  # 0 is a usual value there
    seen = (lambda values: values) if counts else positive
    legend = {}
    for ax, part in zip(axes, by_text(result, table)):
        for words, look, line in mu_lines(result, part, shown, rule, extra, empty):
            drawn, = ax.plot(line["mu"], seen(line[label]), clip_on=False, **look)
            legend.setdefault(words, drawn)
            band(ax, "mu", line, color=look["color"])
        say_if_empty(ax, part, label)
        if not counts:
            mark_zeros(ax, part["mu"][part[label] == 0], legend)
    (finish_counts if counts else finish_log)(axes, with_points(table, label))
    style.sparse_ticks(axes[0], result.data.mu.values)
    label_outer(axes, MU_LABEL, axis_label)
    style.legend_beside(axes, legend, f"rule {rule}" if result.has_rate and "tau" in result.varied else None)
    style.head(figure, f"{title}, against μ")
    missing = left_out(result.data.tau.values, shown, symbol(result))
    if counts:
        missing += " Shaded: from the smallest share that occurs down to 0 the axis is linear."
    return publish(result, name, figure, table, f"{title}: mean over positions and sequences.{missing}",
                   band_words(result, table, metric=metric))


def mu_lines(result, part, shown, rule, extra, empty):
    """(words, look, rows) of every line of a panel: nothing selected, then tau by tau, then everything recomputed."""
    own = of_rule(part, rule)
    taus = shown if "tau" in result.varied else [None]
    some = [t for t in taus if t is None or t != empty]
    colours = dict(zip(some, style.ordered_colours(len(some))))
    nothing = dict(color=style.INK, linestyle="--", marker="x", zorder=3)
    if "none" in extra:
        yield "none recomputed", nothing, first_tau(of_rule(part, "none"))
    for i, tau in enumerate(taus):
        line = own if tau is None else own[own["tau"] == tau]
        words = f"{symbol(result)} = {tau:g}" if tau is not None else (f"rule {rule}" if result.has_rate else "low precision")
        if tau is not None and tau == empty:
            yield f"{words} (none)", nothing, line
        else:
            yield words, dict(color=colours[tau], marker=style.MARKERS[i % len(style.MARKERS)]), line
    if "all" in extra:
        yield "all recomputed (floor)", dict(color=style.GREY, linestyle=":", linewidth=1.8), first_tau(of_rule(part, "all"))


def against_rate(result, name, table, label, axis_label, title):
    """`label` against the realised rate, one colour a mu, one line style and marker a rule, one panel a text."""
    mus = list(result.data.mu.values) if "mu" in result.varied else [None]
    shown = spread(mus, MOST_COLOURS)
    if mus != [None]:
        table = table[table["mu"].isin(shown)]
    floor = label == KL and "all" in result.rules() and len(result.rules()) > 1
    rules = [r for r in result.rules() if "rule" not in table or (r in set(table["rule"]) and not (floor and r == "all"))]
    colours = style.ordered_colours(len(shown))
    legend = {f"rule {rule}": Line2D([], [], color=style.INK, **style.of_rule(rule, style.INK)) for rule in rules}
    legend |= {f"μ = {mu:g}": Line2D([], [], color=c, linewidth=4) for mu, c in zip(shown, colours) if mu is not None}
    figure, axes = style.panels(titles(result), height=3.2)
    for ax, part in zip(axes, by_text(result, table)):
        for mu, colour in zip(shown, colours):
            for rule in rules:
                points = of_rule(part if mu is None else part[part["mu"] == mu], rule)
                ax.plot(points[RATE], positive(points[label]), color=colour, clip_on=False, zorder=3, **style.of_rule(rule, colour))
                band(ax, RATE, points, color=colour)
        if floor:
            level = first_tau(of_rule(part, "all"))[label].mean(skipna=False)
            if level == level:
                legend["all recomputed"] = ax.axhline(level, color=style.GREY, linestyle=":", linewidth=1.8)
        say_if_empty(ax, part, label)
        if label == GAIN:
            ax.axhline(1.0, color=style.GREY, linewidth=0.9)
        mark_zeros(ax, part[RATE][part[label] == 0], legend)
    axes[0].set_xlim(left=0)
    finish_log(axes, with_points(table, label))
    label_outer(axes, RATE_LABEL, axis_label)
    style.legend_beside(axes, legend)
    style.head(figure, title)
    return publish(result, name, figure, table, f"{title}. A line runs through the {symbol(result)} of the grid; "
                   f"rate: mean over layers, heads and sequences.{left_out(mus, shown, 'μ')}",
                   band_words(result, table, "of the logarithm" if label == GAIN else "", None if label == GAIN else "kl"))


def rate_by_head(result):
    """Figure 4: where the recomputed scores are."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    at = middle(result)
    rate, table = head_table(result, at)
    figure, axes = style.panels(titles(result), height=min(6.0, max(2.2, 0.34 * rate.sizes["layer"] + 0.6)))
    top = float(rate.max()) if float(rate.max()) > 0 else 1.0
    for ax, values in zip(axes, rate.values):
        image = ax.imshow(values, cmap="cividis", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        ax.grid(False)
        if values.size <= MOST_NUMBERED:
            number_cells(ax, values, top)
        for axis, count in ((ax.xaxis, values.shape[1]), (ax.yaxis, values.shape[0])):
            axis.set_major_locator(ticker.MaxNLocator(12, integer=True) if count > 12 else ticker.FixedLocator(range(count)))
    label_outer(axes, "head", "layer")
    figure.colorbar(image, ax=axes, label="% of the causal scores", pad=0.02)
    where = point_words(result, at)
    style.head(figure, f"Scores recomputed by layer and head: {where}")
    return publish(result, "01-4-rate-by-head", figure, table,
                   f"Share of the causal scores recomputed in each head, mean over sequences: {where}.")


def point_words(result, at):
    """"rule lamp, μ = 7, τ = 1.4", without what is not known."""
    mu, tau = result.data.mu.values[at["mu"]], result.data.tau.values[at["tau"]]
    known = [f"{name} = {value:g}" for name, value in (("μ", mu), (symbol(result), tau)) if value == value]
    return ", ".join([f"rule {result.main_rule()}", *known])


def number_cells(ax, values, top):
    for (layer, head), value in np.ndenumerate(values):
        if value == value:
            ax.text(head, layer, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color=style.ink_on("cividis", value / top))


class Headline:
    """The headline table, and its rows of the middle mu in words."""

    def __init__(self, result):
        self.table, mu = headline_table(result), result.data.mu.values[middle(result)["mu"]]
        self.words = [headline_words(result, row) for row in self.table.to_dict("records") if row["μ"] == mu]

    def _repr_html_(self):
        shown = self.table.to_html(index=False, border=0, float_format=lambda x: f"{x:.3g}", na_rep="–")
        return "".join(f"<p>{html.escape(words)}</p>" for words in self.words) + shown


def headline(result):
    if reason := why_not(result, needs_rate=True):
        return reason
    return Headline(result) if baseline(result) is not None else NO_BASELINE


# Drawing helpers.


def band_words(result, table, what="", metric=None):
    """metric: the one whose means the bands are of, where [stop] may have recorded them."""
    of = "sequences of each text" if "text" in result.varied else "sequences"
    return interval_words("band", table[SEQUENCES], of, what, metric is not None and recorded(result, metric))


def left_out(values, shown, name):
    return f" {len(values) - len(shown)} of {len(values)} {name} are not drawn." if len(shown) < len(values) else ""


def positive(values):
    """Values for a logarithmic axis: what is not above 0 becomes a gap. Zeros are marked apart, never moved."""
    return values.where(values > 0)


def mark_zeros(ax, at, legend):
    """A triangle on the lower edge for every value that is exactly 0 and so has no place on a logarithmic axis."""
    if len(at):
        mark = ax.scatter(at, [0] * len(at), marker="v", s=28, facecolor="white", edgecolor=style.INK, transform=ax.get_xaxis_transform(),
                          clip_on=False, zorder=4)
        legend.setdefault("exactly 0", mark)


def say_if_empty(ax, part, label):
    """A panel without a number says whether it is NaN that a run gave, or cells that are not finished."""
    if not part[label].notna().any():
        style.empty(ax, "KL is NaN at every point" if NANS in part and (part[NANS] > 0).all() else "no point is finished in every sequence")


def plain(axis):
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))


def with_points(table, label):
    """The means that a figure shows, and where they are of two sequences these too."""
    return pandas.concat([table[column] for column in (label, FIRST, SECOND) if column in table])


def finish_log(axes, values):
    """Logarithmic y around the positive values."""
    good = values[values > 0]
    for ax in axes:
        ax.set_yscale("log")
    if len(good):
        axes[0].set_ylim(good.min() / 2, good.max() * 2)
        if good.max() < 2e4 and good.min() > 1e-3:
            for ax in axes:
                plain(ax.yaxis)


def finish_counts(axes, values):
    """Logarithmic y with a 0: linear up to the smallest positive value, which is a few positions of all."""
    good = values[values > 0]
    least, most = (float(good.min()), float(good.max())) if len(good) else (1.0, 1.0)
    ticks = [0] + [m * 10.0**e for e in range(-6, 3) for m in (1, 2, 5) if least * 0.99 <= m * 10.0**e <= 100]
    for ax in axes:
        ax.set_yscale("symlog", linthresh=least, linscale=0.4)
        ax.yaxis.set_major_locator(ticker.FixedLocator(ticks))
        ax.yaxis.set_minor_locator(ticker.NullLocator())
        plain(ax.yaxis)
        style.axis_break(ax, 0, least)
    axes[0].set_ylim(0, most * 1.3)


def label_outer(axes, x, y):
    """The y label at the left of each row; the x label once where there is one row."""
    for ax in axes[::style.COLUMNS]:
        ax.set_ylabel(y)
    if len(axes) <= style.COLUMNS:
        axes[(len(axes) - 1) // 2].set_xlabel(x, x=0.5 if len(axes) % 2 else 1.1)
    else:
        for ax in axes:
            ax.set_xlabel(x)


style.use()
