"""Rounding errors by site (figures 6 to 8): how they grow over depth, forward against local error, and their distributions.

Forward error: the computed value against the reference's. Local error: against the exact function of the inputs that were computed, so
what the site itself adds. Both relative, componentwise; u is the unit roundoff of the site's own arithmetic.
"""
import dataclasses

import numpy as np
import pandas

from . import style
from .intervals import SEQUENCES, band, geometric_interval, interval_words
from .output import Sentence, publish
from .results import open_errors, sites
from .softmax_lamp import positive
from .tables import mean_rate, spread, symbol, why_not

GROWTH = ("resid_2", "scores")
DISTRIBUTIONS = ("scores", "softmax", "values", "resid_2", "ln_f", "logits")
KINDS = {"local": dict(color=style.SERIES[0], marker="o", linestyle="-"), "forward": dict(color=style.SERIES[1], marker="s", linestyle="--")}
MOST_MU = 6
NAN_COMPONENTS = "NaN components [1]"
RMS, MEDIAN, MEAN = "rms relative error [u]", "median relative error [u]", "{}, geometric mean over sequences [u]"


def no_errors(result):
    if not sites(result):
        return Sentence("Not drawn: this result has no errors by site (its config has no record.errors).")
    return why_not(result, needs_mu=False)


def pooled(errors, kind, keep):
    """Over all finished cells, texts, sequences and what else `keep` does not name: rms [u], u, shares of the bins, median [u], and the
    number of components that are NaN, which are in none of these.

    The median is that of the bins, interpolated in log2 within its octave; 0 where half of the components are exact."""
    lost = [d for d in errors[f"{kind}_count"].dims if d not in keep]
    count = errors[f"{kind}_count"]

    def rms(name):
        squares = (count * errors[f"{kind}_rms_{name}"] ** 2).where(count > 0).sum(lost)
        return np.sqrt(squares / count.sum(lost).where(lambda n: n > 0))

    bins = errors[f"{kind}_bins"].sum(lost)
    shares = bins / bins.sum("bin").where(lambda n: n > 0)
    return dict(rms=rms("u"), u=rms("rel") / rms("u"), shares=shares, median=median(shares), nan=errors[f"{kind}_nan"].sum(lost))


def told(table):
    """The table, without the column of NaN components where there are none, and what to say where there are."""
    count = int(table[NAN_COMPONENTS].sum())
    if not count:
        return table.drop(columns=NAN_COMPONENTS), ""
    return table, f" Left out: components that are NaN, {count} over the rows of the table (column “{NAN_COMPONENTS}”)."


def median(shares):
    edges = shares["bin"].values
    below = shares.cumsum("bin")
    at = (below < 0.5).sum("bin").clip(max=len(edges) - 1)
    inside = (0.5 - (below - shares).isel(bin=at)) / shares.isel(bin=at)
    values = (edges[at.values] * 2.0**inside.fillna(0)).where(edges[at.values] > 0, 0.0)
    return values.where(shares.sum("bin") > 0).drop_vars("bin")


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Where the errors of a site are: record.where may name some points of the grid, and cells may be unfinished."""
    rule: str
    taus: list  # the least and the most recomputed
    mus: list

    def mu(self):
        return self.mus[(len(self.mus) - 1) // 2]


def recorded_at(result, site):
    """Recorded, or the sentence that says that no finished cell has errors of the site."""
    count = open_errors(result, site).forward_count
    there = (count.fillna(0) > 0).any([d for d in count.dims if d not in ("mu", "tau", "rule")]).load()
    rules = [r for r in [result.main_rule(), *result.rules()] if there.sel(rule=r).any()]
    if not rules:
        where = result.config.get("record", {}).get("where", {})
        asked = f" (record.where: {', '.join(f'{k} = {v}' for k, v in where.items())})" if where else ""
        return Sentence(f"Not drawn: no finished cell of this result has errors of {site}{asked}.")
    own = there.sel(rule=rules[0])
    taus, mus = ([v for v, some in zip(own[d].values, own.any(other).values) if some] for d, other in (("tau", "mu"), ("mu", "tau")))
    return Recorded(rules[0], [taus[0], taus[-1]] if len(taus) > 1 else taus, mus)


def ends(result):
    """The first and the last tau: the least and the most recomputed."""
    taus = list(result.data.tau.values)
    return [taus[0], taus[-1]] if len(taus) > 1 else taus


def mu_words(mu):
    return f", μ = {mu:g}" if mu == mu else ""


def tau_words(result, tau, rule=None):
    """With the share recomputed, mean over texts and mu, in two digits."""
    words = f"{symbol(result)} = {tau:g}" if tau == tau else "one selection" if result.config.get("lamp") else "nothing recomputed"
    if not result.has_rate:
        return words
    rate = mean_rate(result).sel(rule=rule or result.main_rule())
    rate = (rate.sel(tau=tau) if tau == tau else rate).mean(skipna=False).item()
    return f"{words} ({rate:.2g} % of the scores recomputed)" if rate == rate else words  # not finished: no mean


def error_growth(result, site):
    """Figure 6: forward error of a site against layer, one line a mu, by tau."""
    if reason := no_errors(result):
        return reason
    if site not in sites(result):
        return Sentence(f"Not drawn: this result has no errors of {site}.")
    recorded = recorded_at(result, site)
    if isinstance(recorded, Sentence):
        return recorded
    at = dict(tau=recorded.taus, rule=recorded.rule)
    errors = at_points(open_errors(result, site), at)
    found, each = pooled(errors, "forward", ("mu", "tau", "layer")), pooled(errors, "forward", ("text", "sequence", "mu", "tau", "layer"))
    mus = spread(recorded.mus, MOST_MU)
    rows = [{"site": site, "tau": tau, "mu": mu, "layer": int(layer), RMS: float(found["rms"].sel(here)), MEDIAN: float(found["median"].sel(here)),
             "u [1]": float(found["u"].sel(here)), NAN_COMPONENTS: float(found["nan"].sel(here))}
            | over_sequences("rms", each["rms"].sel(here)) | over_sequences("median", each["median"].sel(here))
            for tau in at["tau"] for mu in mus for layer in found["rms"].layer.values
            for here in [{d: v for d, v in dict(tau=tau, mu=mu, layer=layer).items() if v == v}]]
    table, nan_words = told(pandas.DataFrame(rows))
    measures = ("rms", "median")
    figure, axes = style.grid([f"{m}, {tau_words(result, t, recorded.rule)}" for m in measures for t in at["tau"]], len(at["tau"]), 2.4, width=3.6)
    legend = {}
    for i, (measure, tau) in enumerate((m, t) for m in measures for t in at["tau"]):
        for k, (mu, colour) in enumerate(zip(mus, style.ordered_colours(len(mus)))):
            line = table[(table["tau"].isna() if tau != tau else table["tau"] == tau) & (table["mu"].isna() if mu != mu else table["mu"] == mu)]
            drawn, = axes[i].plot(line["layer"], positive(line[MEAN.format(measure)]), color=colour, marker=style.MARKERS[k], clip_on=False)
            band(axes[i], "layer", line, f"{measure}, ", color=colour)
            legend.setdefault(f"μ = {mu:g}" if mu == mu else "low precision", drawn)
        if (table[MEAN.format(measure)] > 0).any():
            axes[i].set_yscale("log")
        if not (line_of(table, tau)[MEAN.format(measure)] > 0).any():
            style.empty(axes[i], f"no {measure} above 0 here")
        axes[i].set_xticks(sorted(set(table["layer"])))
        if i % len(at["tau"]) == 0:
            axes[i].set_ylabel("|relative error| / u")
        if i >= len(at["tau"]):
            axes[i].set_xlabel("layer")
    style.legend_of_grid(axes[len(at["tau"]) - 1], legend)
    style.head(figure, f"Forward error of {site} over depth; {unit_words(table, site)}")
    return publish(result, f"01-6-error-growth-{site}", figure, table,
                   f"Forward relative error of {site} by layer, in units of the unit roundoff of the site's arithmetic ({unit_words(table, site, math=False)}): "
                   "rms and median over the positions and components of each sequence, geometric mean over sequences (in the table also pooled). The "
                   "rms is ruled by components near 0 (one that cancels has a large relative error); the median, from bins of an octave, is what a "
                   "usual component has; a line ends where in some sequence half of the components are exact." + nan_words,
                   interval_words("band", table["rms, " + SEQUENCES], what="of the logarithm"))


def line_of(table, tau):
    return table[table["tau"].isna() if tau != tau else table["tau"] == tau]


def over_sequences(measure, each):
    """Columns of the geometric mean over sequences of all texts, of those that have the point."""
    values = each.values.ravel()
    values = values[~np.isnan(values)]
    found = geometric_interval(values if len(values) else np.array([np.nan]))
    return {MEAN.format(measure): float(found.mean)} | {name: float(v) for name, v in found.columns(f"{measure}, ").items()}


def unit_words(table, site, math=True):
    """What u is: one number, that of PS(mu), or one that the table has."""
    exponents = np.log2(table["u [1]"])
    if exponents.isna().any() or (np.abs(exponents - exponents.round()) > 1e-6).any():
        return f"u: unit roundoff at {site}, in the table"
    if exponents.round().nunique() == 1:
        power = f"{int(exponents.round().iloc[0])}"
    elif (exponents.round() == -(table["mu"] + 1)).all():
        power = "-(μ+1)" if math else "-(μ + 1)"
    else:
        return f"u: unit roundoff at {site}, in the table"
    return f"u = $2^{{{power}}}$" if math else f"u = 2^{power}"


def forward_and_local(result):
    """Figure 7: forward and local error of every recorded site, in the order of the data."""
    if reason := no_errors(result):
        return reason
    names = sites(result)
    recorded = recorded_at(result, names[0])
    if isinstance(recorded, Sentence):
        return recorded
    mu = recorded.mu()
    at = dict(mu=[mu], tau=recorded.taus, rule=recorded.rule)
    rows = []
    for site in names:
        errors = at_points(open_errors(result, site), at)
        for kind in KINDS:
            found = pooled(errors, kind, ("tau",))
            for tau in at["tau"]:
                u, median, rms, nan = (cut(found[name], tau) for name in ("u", "median", "rms", "nan"))
                rows.append({"site": site, "tau": tau, "mu": mu, "error": kind, "median relative error [1]": median * u,
                             "rms relative error [1]": rms * u, "u [1]": u, NAN_COMPONENTS: nan})
    table, nan_words = told(pandas.DataFrame(rows))
    figure, axes = style.grid([tau_words(result, t, recorded.rule) for t in at["tau"]], 1, 2.5, width=7.2, sharey=True)
    legend = {}
    for ax, tau in zip(axes, at["tau"]):
        for shift, (kind, look) in zip((-0.13, 0.13), KINDS.items()):
            line = line_of(table, tau)
            line = line[line["error"] == kind]
            x = np.arange(len(line)) + shift
            if not (line["rms relative error [1]"] > 0).any():
                continue
            low, high = positive(line["median relative error [1]"]), positive(line["rms relative error [1]"])
            ax.vlines(x, low, high, color=look["color"], linewidth=1.2)
            legend[f"{kind}, median"] = ax.scatter(x, low, color=look["color"], marker=look["marker"], s=26, zorder=3)
            legend[f"{kind}, rms"] = ax.scatter(x, high, facecolor="white", edgecolor=look["color"], marker=look["marker"], s=26, zorder=3)
        if (line_of(table, tau)["rms relative error [1]"] > 0).any():
            ax.set_yscale("log")
        else:
            style.empty(ax, "no error above 0 here")
        ax.set_ylabel("|relative error|  (1)")
        ax.set_xticks(range(len(names)))
        ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    style.legend_of_grid(axes[0], legend)
    style.head(figure, f"Forward and local error of each site{mu_words(mu)}")
    return publish(result, "01-7-forward-and-local", figure, table,
                   f"Relative error at each site, in the order of the data, pooled over texts, sequences, layers and components"
                   f"{mu_words(mu)}; so no interval. Forward: against the reference; local: what the site adds to the inputs it was given. Filled: median (missing "
                   "where half of the components are exact), hollow: rms, which components near 0 rule." + nan_words)


def error_bins(result):
    """Figure 8: the distribution of the relative errors of a few sites."""
    if reason := no_errors(result):
        return reason
    names = [s for s in DISTRIBUTIONS if s in sites(result)] or sites(result)[:6]
    recorded = recorded_at(result, names[0])
    if isinstance(recorded, Sentence):
        return recorded
    mu, tau = recorded.mu(), recorded.taus[0]
    at = dict(mu=[mu], tau=[tau], rule=recorded.rule)
    tables, lost = [], []
    for site in names:
        errors = at_points(open_errors(result, site), at)
        for kind in KINDS:
            found = pooled(errors, kind, ())
            shares, nan = 100 * found["shares"], int(found["nan"])
            lost += [f"{kind} of {site}: {nan}"] if nan else []
            tables.append(pandas.DataFrame({"site": site, "error": kind, "mu": mu, "tau": tau, "lower edge [u]": shares["bin"].values,
                                            "components [%]": shares.values}))
    table = pandas.concat(tables)
    figure, axes = style.panels(names, height=2.3)
    some = table[(table["components [%]"] >= 0.01) & (table["lower edge [u]"] > 0)]["lower edge [u]"]
    legend = {}
    for ax, site in zip(axes, names):
        for row, (kind, look) in enumerate(KINDS.items()):
            bins = table[(table["site"] == site) & (table["error"] == kind)]
            exact, rest = bins[bins["lower edge [u]"] == 0], bins[bins["lower edge [u]"] > 0]
            x, y = np.log2(rest["lower edge [u]"].values), rest["components [%]"].values
            drawn = ax.stairs(y, [*x, x[-1] + 1], color=look["color"], linestyle=look["linestyle"], linewidth=1.4)
            legend.setdefault(kind, drawn)
            share = exact["components [%]"].sum(min_count=1)  # NaN where nothing was computed, which is not 0
            words = f"{kind}: {share:.3g} % exact" if share == share else f"{kind}: not computed"
            ax.text(0.98, 0.93 - 0.09 * row, words, transform=ax.transAxes, ha="right", fontsize=7.5, color=look["color"])
        ax.axvline(0, color=style.GREY, linewidth=0.9)
    if len(some):
        axes[0].set_xlim(np.log2(some.min()), np.log2(some.max()) + 1)
    for i, ax in enumerate(axes):
        ax.set_xlabel("log₂ (|relative error| / u)")
        if i % style.COLUMNS == 0:
            ax.set_ylabel("components  (% an octave)")
    style.legend_beside(axes, legend)
    style.head(figure, f"Distribution of the relative errors{mu_words(mu)}, {tau_words(result, tau, recorded.rule)}")
    return publish(result, "01-8-error-bins", figure, table,
                   f"Relative errors in units of the site's u, in bins of an octave, as shares of all components{mu_words(mu)}, "
                   f"{tau_words(result, tau, recorded.rule)}; pooled over texts, sequences and layers, so no interval; u at the grey line; exact components (error 0) stand in words."
                   + (f" Left out: components that are NaN ({'; '.join(lost)})." if lost else ""))


def at_points(errors, at):
    """The errors at some points of the grid; an axis of one value that is not known (NaN) stays whole."""
    at = {d: v for d, v in at.items() if d == "rule" or not np.isnan(v).any()}
    return errors.sel(at).load()


def cut(values, tau):
    return float(values.sel(tau=tau) if tau == tau else values.squeeze())
