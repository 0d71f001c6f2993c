"""The figures of notebook 01: attention scores in PS(mu), and what recomputing a part of them buys.

Each figure is two steps: a table (one row a point, units in the column names) and its drawing; the table is the CSV.
"""
import numpy as np
import pandas
from matplotlib import ticker
from matplotlib.lines import Line2D

from . import style
from .output import Sentence, publish
from .results import mean_rate, sequence_interval, sequence_mean

KL, FLIPS, RATE = "kl [nat]", "flip rate [%]", "recompute rate [%]"
MU_LABEL = "μ  (bits of the significand field, p = μ + 1)"
RATE_LABEL = "recomputed scores  (% of the causal entries)"
LOW_END, HIGH_END = "95 % interval, low", "95 % interval, high"
MOST_COLOURS = 6      # mu in one panel of figures 3 and 5
MOST_NUMBERED = 60    # cells of a heat map that still carry their number


# ---- tables ------------------------------------------------------------------------------------------------------------------


def rows(arrays, varied):
    """The arrays (name: values over (text, mu, tau, rule)) as a table; without the columns of axes that the file does not have."""
    table = pandas.DataFrame({name: a.transpose("text", "mu", "tau", "rule").to_series() for name, a in arrays.items()}).reset_index()
    return table.drop(columns=[d for d in ("text", "mu", "tau", "rule") if d not in varied])


def without_bounds(table):
    """Without the rules that are no choice: none and all."""
    return table[~table["rule"].isin(["none", "all"])] if "rule" in table else table


def metric_table(result, name, label, factor, rules):
    values = result.data[name].sel(rule=rules) * factor
    low, high = sequence_interval(result, values)
    return rows({label: sequence_mean(result, values), LOW_END: low, HIGH_END: high}, {"mu", *result.varied})


def mean_arrays(result):
    """KL (nat) and recompute rate (%), over (text, mu, tau, rule)."""
    return sequence_mean(result, result.data.kl), 100 * sequence_mean(result, mean_rate(result))


def nothing_selected(result):
    """KL over (text, mu) of the runs that recompute nothing, and the tau they have: a tau at which nothing is selected, else rule
    none (then the tau is None). (None, None): there are no such runs."""
    kl = sequence_mean(result, result.data.kl)
    if result.has_rate:
        rate = mean_rate(result).sel(rule=result.main_rule())
        empty = (rate == 0).any(("text", "sequence", "mu")) & ~(rate > 0).any(("text", "sequence", "mu"))
        for tau in result.data.tau.values[empty.values]:
            return kl.sel(rule=result.main_rule(), tau=tau).drop_vars(["rule", "tau"]), tau
    if "none" in result.rules():
        return kl.sel(rule="none").isel(tau=0).drop_vars(["rule", "tau"]), None
    return None, None


# ---- words -------------------------------------------------------------------------------------------------------------------


def symbol(result):
    return "τ" if result.strength == "tau" else "rate"


def titles(result):
    return [str(t) for t in result.data.text.values] if "text" in result.varied else ["all sequences"]


def middle(result):
    """The point that is shown where only one is, the middle of each axis: indices along mu, tau and rule."""
    return dict(mu=(result.data.sizes["mu"] - 1) // 2, tau=result.data.sizes["tau"] // 2, rule=result.rules().index(result.main_rule()))


def point_words(result, at):
    """"μ = 7, τ = 1.4", without what is not known (the config selects nothing)."""
    mu, tau = result.data.mu.values[at["mu"]], result.data.tau.values[at["tau"]]
    return ", ".join([*([f"μ = {mu:g}"] if mu == mu else []), *([f"{symbol(result)} = {tau:g}"] if tau == tau else [])])


def why_not(result, needs_mu=True, needs_rate=False):
    """A sentence when the figure cannot be drawn, else None."""
    if needs_mu and "mu" not in result.varied:
        return Sentence("Not drawn: the grid of this result does not vary μ (an axis arithmetic.NAME.mu).")
    if needs_rate and not result.has_rate:
        return Sentence("Not drawn: this result has no recompute_rate; its config selects no scores (no [lamp.scores]).")
    if not (result.data.status == 1).any():
        return Sentence("Not drawn: no cell of this result is finished.")
    return None


# ---- figures -----------------------------------------------------------------------------------------------------------------


def kl_against_mu(result):
    if reason := why_not(result):
        return reason
    return against_mu(result, "01-1-kl-against-mu", "kl", KL, 1, "Kullback–Leibler divergence  (nat)",
                      "KL divergence of the low-precision run from the reference")


def flips_against_mu(result):
    if reason := why_not(result):
        return reason
    return against_mu(result, "01-2-flips-against-mu", "flip_rate", FLIPS, 100, "argmax flips  (% of positions)",
                      "Positions whose most probable next token changes")


def against_mu(result, name, metric, label, factor, axis_label, title):
    """Figures 1 and 2: a metric against mu, one line a tau, one panel a text."""
    rule = result.main_rule()
    _, empty = nothing_selected(result)
    extra = [r for r in ("none", "all") if r in result.rules() and r != rule and (r == "all" or empty is None)]
    table = metric_table(result, metric, label, factor, [rule, *extra])
    figure, axes = style.panels(titles(result))
    legend = {}
    for ax, part in zip(axes, by_text(result, table)):
        zeros = []
        for words, look, line, band in mu_lines(result, part, rule, extra, empty):
            drawn, = ax.plot(line["mu"], positive(line[label]), label=words, **look)
            legend.setdefault(words, drawn)
            if band:
                ax.fill_between(line["mu"], positive(line[LOW_END]), positive(line[HIGH_END]), color=look["color"], alpha=0.13, linewidth=0)
            zeros += list(line["mu"][line[label] == 0])
        mark_zeros(ax, zeros, legend, "exactly 0")
    finish_log(axes, table[label])
    style.sparse_ticks(axes[0], result.data.mu.values)
    label_outer(axes, MU_LABEL, axis_label)
    style.legend_beside(axes, [(handle, words) for words, handle in legend.items()], f"rule {rule}" if result.has_rate and "tau" in result.varied else None)
    figure.suptitle(f"{title}, against μ", x=0.01, ha="left", fontsize=11)
    interval = table[LOW_END].notna().any()
    return publish(result, name, figure, table, f"{title}: mean over positions and sequences"
                   + (", band: 95 % bootstrap interval over sequences." if interval else "."))


def mu_lines(result, part, rule, extra, empty):
    """(words, look, rows, band) of every line of a panel: nothing selected, then tau by tau, then everything recomputed."""
    own = part[part["rule"] == rule] if "rule" in part else part
    taus = list(result.data.tau.values) if "tau" in result.varied else [None]
    colours = dict(zip([t for t in taus if t is None or t != empty], style.ordered_colours(len(taus) - (empty in taus))))
    nothing = dict(color=style.INK, linestyle="--", marker="x", zorder=3)
    if "none" in extra:
        yield "none recomputed", nothing, first_tau(part[part["rule"] == "none"]), False
    for i, tau in enumerate(taus):
        line = own if tau is None else own[own["tau"] == tau]
        words = f"{symbol(result)} = {tau:g}" if tau is not None else (f"rule {rule}" if result.has_rate else "low precision")
        if tau is not None and tau == empty:
            yield f"{words} (none)", nothing, line, True
        else:
            yield words, dict(color=colours[tau], marker=style.MARKERS[i % len(style.MARKERS)]), line, len(taus) <= 8
    if "all" in extra:
        yield "all recomputed (floor)", dict(color=style.GREY, linestyle=":", linewidth=1.8), first_tau(part[part["rule"] == "all"]), False


def kl_against_rate(result):
    """Figure 3: what a recompute rate buys, LAMP and the other rules."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    kl, rate = mean_arrays(result)
    none, _ = nothing_selected(result)
    return against_rate(result, "01-3-kl-against-rate", rows({RATE: rate, KL: kl}, result.varied), KL, "Kullback–Leibler divergence  (nat)",
                        "KL divergence against the share of scores recomputed", level=none)


def gain_against_rate(result):
    """Figure 5: the same as a factor."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    kl, rate = mean_arrays(result)
    none, _ = nothing_selected(result)
    if none is None:
        return Sentence("Not drawn: no cell of this grid recomputes nothing (rule none, or tau = 2), so there is nothing to compare with.")
    gain = none / kl.where(kl > 0)
    label = "gain = kl of none / kl"
    return against_rate(result, "01-5-gain-against-rate", without_bounds(rows({RATE: rate, label: gain}, result.varied)), label, "KL of none recomputed / KL",
                        "Factor by which recomputing divides the KL divergence", line=1.0)


def against_rate(result, name, table, label, axis_label, title, level=None, line=None):
    """Figures 3 and 5: `label` against the realised rate, one colour a mu, one line style and marker a rule, one panel a text.
    `level`: KL (text, mu) with nothing recomputed, which has no place on the logarithmic rate axis; ticks at the left show it."""
    mus = list(result.data.mu.values) if "mu" in result.varied else [None]
    shown = [mus[i] for i in sorted({round(x) for x in np.linspace(0, len(mus) - 1, min(MOST_COLOURS, len(mus)))})]
    if mus != [None]:
        table = table[table["mu"].isin(shown)]
    rules = [r for r in result.rules() if r not in ("none", "all")] or result.rules()
    colours = style.ordered_colours(len(shown))
    figure, axes = style.panels(titles(result), height=3.2)
    for t, (ax, part) in enumerate(zip(axes, by_text(result, table))):
        for mu, colour in zip(shown, colours):
            for rule in rules:
                points = part
                points = points if mu is None else points[points["mu"] == mu]
                points = points if "rule" not in points else points[points["rule"] == rule]
                linestyle, marker, filled = style.RULES.get(rule, ("-", "*", True))
                ax.plot(positive(points[RATE]), positive(points[label]), color=colour, linestyle=linestyle, marker=marker,
                        markerfacecolor=colour if filled else "white")
            if level is not None:
                value = float(level.isel(text=t) if mu is None else level.isel(text=t).sel(mu=mu))
                if value > 0:
                    ax.plot([0, 0.07], [value, value], color=colour, linewidth=2.5, solid_capstyle="butt", transform=ax.get_yaxis_transform())
        if "all" in result.rules() and label == KL:
            floor = positive(part[part["rule"] == "all"][label]).mean()
            ax.axhline(floor, color=style.GREY, linestyle=":", linewidth=1.8)
        if line is not None:
            ax.axhline(line, color=style.GREY, linewidth=0.9)
        ax.set_xscale("log")
    rate_axis(axes[0], table[RATE])
    finish_log(axes, table[label])
    label_outer(axes, RATE_LABEL, axis_label)
    style.legend_beside(axes, rate_legend(result, shown, colours, rules, level is not None, label == KL))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    left_out = f" {len(mus) - len(shown)} of {len(mus)} μ are not drawn." if len(shown) < len(mus) else ""
    return publish(result, name, figure, table, f"{title}; a line runs through the {symbol(result)} of the grid. Rate: mean over layers, heads and sequences."
                   + (" Bars at the left: nothing recomputed." if level is not None else "") + left_out)


def rate_legend(result, mus, colours, rules, level, floor):
    entries = []
    for rule in rules:
        linestyle, marker, filled = style.RULES.get(rule, ("-", "*", True))
        entries.append((Line2D([], [], color=style.INK, linestyle=linestyle, marker=marker, markerfacecolor=style.INK if filled else "white"), rule))
    entries += [(Line2D([], [], color=c, linewidth=4), f"μ = {m:g}") for m, c in zip(mus, colours) if m is not None]
    if level:
        entries.append((Line2D([], [], color=style.GREY, linestyle="none", marker="_", markersize=10, markeredgewidth=2.5), "none recomputed"))
    if floor and "all" in result.rules():
        entries.append((Line2D([], [], color=style.GREY, linestyle=":", linewidth=1.8), "all recomputed"))
    return entries


def rate_by_head(result):
    """Figure 4: where the recomputed scores are."""
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    at = middle(result)
    rate = 100 * sequence_mean(result, result.data.recompute_rate.isel(at))
    point = {d: rate[d].item() for d in at}
    rate = rate.transpose("text", "layer", "head").drop_vars(at)
    figure, axes = style.panels(titles(result), height=heat_map_height(rate))
    top = float(rate.max()) if float(rate.max()) > 0 else 1.0
    for ax, values in zip(axes, rate.values):
        image = ax.imshow(values, cmap="cividis", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        ax.grid(False)
        if values.size <= MOST_NUMBERED:
            number_cells(ax, values, top)
        for axis, count in ((ax.xaxis, values.shape[1]), (ax.yaxis, values.shape[0])):
            axis.set_major_locator(ticker.MaxNLocator(min(count, 12), integer=True) if count > 12 else ticker.FixedLocator(range(count)))
    label_outer(axes, "head", "layer")
    figure.colorbar(image, ax=axes, label="% of the causal scores", pad=0.02)
    where = f"rule {point['rule']}, {point_words(result, at)}"
    figure.suptitle(f"Scores recomputed by layer and head: {where}", x=0.01, ha="left", fontsize=11)
    table = rate.to_series().rename(RATE).reset_index()
    table = table.assign(**point)
    if "text" not in result.varied:
        table = table.drop(columns="text")
    return publish(result, "01-4-rate-by-head", figure, table, f"Share of the causal scores recomputed in each head, mean over sequences: {where}.")


def heat_map_height(rate):
    return min(6.0, max(2.2, 0.34 * rate.sizes["layer"] + 0.6))


def number_cells(ax, values, top):
    for (layer, head), value in np.ndenumerate(values):
        if value == value:
            ax.text(head, layer, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color=style.ink_on("cividis", value / top))


# ---- headline numbers --------------------------------------------------------------------------------------------------------


def headline_table(result):
    """One row a text and mu at the middle tau: the share recomputed, KL without and with it, and the factors of each rule."""
    kl, rate = mean_arrays(result)
    none, _ = nothing_selected(result)
    main, tau = result.main_rule(), middle(result)["tau"]
    flips = 100 * sequence_mean(result, result.data.flip_rate)
    table = []
    for t, text in enumerate(titles(result)):
        for m, mu in enumerate(result.data.mu.values):
            row = {"text": text, "μ": mu, symbol(result): result.data.tau.values[tau]}
            at = dict(text=t, mu=m, tau=tau)
            row[f"recomputed by {main} (%)"] = float(rate.isel(at).sel(rule=main))
            base = float(none.isel(text=t, mu=m))
            row["KL, none recomputed (nat)"] = base
            for rule in [r for r in result.rules() if r not in ("none", "all")]:
                value = float(kl.isel(at).sel(rule=rule))
                row[f"KL divided by, {rule}"] = base / value if value > 0 else np.inf if value == 0 and base > 0 else np.nan
            row[f"flips, {main} (%)"] = float(flips.isel(at).sel(rule=main))
            table.append(row)
    return pandas.DataFrame(table)


class Headline:
    """The table, and its first row of the middle mu in words."""

    def __init__(self, result, table):
        self.table, self.words = table, [headline_words(result, row) for row in table.to_dict("records") if row["μ"] == result.data.mu.values[middle(result)["mu"]]]

    def _repr_html_(self):
        shown = self.table.to_html(index=False, border=0, float_format=lambda x: f"{x:.3g}", na_rep="–")
        return "".join(f"<p>{words}</p>" for words in self.words) + shown


def headline_words(result, row):
    main, tau = result.main_rule(), row[symbol(result)]
    factors = {k.removeprefix("KL divided by, "): v for k, v in row.items() if k.startswith("KL divided by, ")}
    others = "; ".join(f"{rule}, the same number: {value:.3g}" for rule, value in factors.items() if rule != main)
    if not known(row):
        return f"At μ = {row['μ']:g} on {row['text']}: not finished."
    return (f"At μ = {row['μ']:g} on {row['text']}, rule {main} with {symbol(result)} = {tau:g} recomputes {row[f'recomputed by {main} (%)']:.3g} % of the scores "
            f"and divides the KL divergence by {factors[main]:.3g}" + (f" ({others})." if others else "."))


def known(row):
    return all(v == v for v in row.values() if isinstance(v, float))


def headline(result):
    if reason := why_not(result, needs_mu=True, needs_rate=True):
        return reason
    if nothing_selected(result)[0] is None:
        return Sentence("No headline numbers: no cell of this grid recomputes nothing (rule none, or tau = 2), so there is nothing to compare with.")
    return Headline(result, headline_table(result))


# ---- drawing helpers ---------------------------------------------------------------------------------------------------------


def by_text(result, table):
    return [table[table["text"] == t] for t in result.data.text.values] if "text" in result.varied else [table]


def first_tau(part):
    return part[part["tau"] == part["tau"].iloc[0]] if "tau" in part and len(part) else part


def positive(values):
    """Values for a logarithmic axis: what is not above 0 becomes a gap. Zeros are marked apart, never moved."""
    return values.where(values > 0)


def mark_zeros(ax, at, legend, words):
    """A triangle on the lower edge for every value that is exactly 0 and so has no place on a logarithmic axis."""
    if at:
        mark = ax.scatter(at, [0] * len(at), marker="v", s=28, facecolor="white", edgecolor=style.INK, transform=ax.get_xaxis_transform(), clip_on=False,
                          zorder=4)
        legend.setdefault(words, mark)


def finish_log(axes, values):
    """Logarithmic y over whole decades around the positive values, with every decade (or second, third, ..) labelled."""
    good = values[values > 0]
    for ax in axes:
        ax.set_yscale("log")
    if len(good):
        low, high = np.floor(np.log10(good.min()) - 0.1), np.ceil(np.log10(good.max()) + 0.05)
        axes[0].set_ylim(10.0**low, 10.0**high)
        if low >= -3 and high <= 3:
            for ax in axes:
                ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: f"{y:g}"))


def rate_axis(ax, rates):
    """Plain numbers at 1, 2, 5 of every decade; at 1 alone where there are many decades."""
    good = rates[rates > 0]
    decades = np.log10(good.max() / good.min()) if len(good) else 1
    ax.xaxis.set_major_locator(ticker.LogLocator(10, subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=20))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    if len(good):
        ax.set_xlim(good.min() / 1.25, min(good.max() * 1.25, 130))


def label_outer(axes, x, y):
    """The x label once a row is long enough to share it, the y label at the left of each row."""
    for i, ax in enumerate(axes):
        if i % 3 == 0:
            ax.set_ylabel(y)
    if len(axes) <= 3:
        axes[(len(axes) - 1) // 2].set_xlabel(x, x=0.5 if len(axes) % 2 else 1.1)
    else:
        for ax in axes:
            ax.set_xlabel(x)


style.use()
