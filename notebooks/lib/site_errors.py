"""Rounding errors by site (figures 6 to 8): how they grow over depth, forward against local error, and their distributions.

Forward error: the computed value against the reference's. Local error: against the exact function of the inputs that were computed, so
what the site itself adds. Both relative, componentwise; u is the unit roundoff of the site's own arithmetic.
"""
import numpy as np
import pandas

from . import style
from .output import Sentence, publish
from .results import open_errors, sites
from .softmax_lamp import positive
from .tables import mean_rate, middle, spread, symbol, why_not

GROWTH = ("resid_2", "scores")
DISTRIBUTIONS = ("scores", "softmax", "values", "resid_2", "ln_f", "logits")
KINDS = {  # Okabe and Ito
    "local": dict(color="#0072B2", marker="o", linestyle="-"), "forward": dict(color="#D55E00", marker="s", linestyle="--"),
}
MOST_MU = 6
NAN_COMPONENTS = "NaN components [1]"


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


def ends(result):
    """The first and the last tau: the least and the most recomputed."""
    taus = list(result.data.tau.values)
    return [taus[0], taus[-1]] if len(taus) > 1 else taus


def tau_words(result, tau):
    """With the share recomputed, mean over texts and mu, in two digits."""
    words = f"{symbol(result)} = {tau:g}" if tau == tau else "one selection"
    if not result.has_rate:
        return words
    rate = mean_rate(result).sel(rule=result.main_rule())
    rate = (rate.sel(tau=tau) if tau == tau else rate).mean(skipna=False).item()
    return f"{words} ({rate:.2g} % of the scores recomputed)" if rate == rate else words  # not finished: no mean


def error_growth(result, site):
    """Figure 6: forward error of a site against layer, one line a mu, by tau."""
    if reason := no_errors(result):
        return reason
    if site not in sites(result):
        return Sentence(f"Not drawn: this result has no errors of {site}.")
    at = dict(tau=ends(result), rule=result.main_rule())
    found = pooled(at_points(open_errors(result, site), at), "forward", ("mu", "tau", "layer"))
    mus = spread(list(result.data.mu.values), MOST_MU)
    rows = [{"site": site, "tau": tau, "mu": mu, "layer": int(layer), "rms relative error [u]": float(found["rms"].sel(here)),
             "median relative error [u]": float(found["median"].sel(here)), "u [1]": float(found["u"].sel(here)),
             NAN_COMPONENTS: float(found["nan"].sel(here))}
            for tau in at["tau"] for mu in mus for layer in found["rms"].layer.values
            for here in [dict(tau=tau, mu=mu, layer=layer)]]
    table, nan_words = told(pandas.DataFrame(rows))
    measures = ("rms relative error [u]", "median relative error [u]")
    figure, axes = style.grid([f"{m.split()[0]}, {tau_words(result, t)}" for m in measures for t in at["tau"]], len(at["tau"]), 2.4)
    legend = {}
    for i, (measure, tau) in enumerate((m, t) for m in measures for t in at["tau"]):
        for k, (mu, colour) in enumerate(zip(mus, style.ordered_colours(len(mus)))):
            line = table[(table["tau"] == tau) & (table["mu"] == mu)]
            drawn, = axes[i].plot(line["layer"], positive(line[measure]), color=colour, marker=style.MARKERS[k], clip_on=False)
            legend.setdefault(f"μ = {mu:g}", drawn)
        axes[i].set_yscale("log")
        axes[i].set_xticks(sorted(set(table["layer"])))
        if i % len(at["tau"]) == 0:
            axes[i].set_ylabel("relative error  (u of the site)")
        if i >= len(at["tau"]):
            axes[i].set_xlabel("layer")
    style.legend_of_grid(axes[len(at["tau"]) - 1], legend)
    style.head(figure, f"Forward error of {site} over depth")
    return publish(result, f"01-6-error-growth-{site}", figure, table,
                   f"Forward relative error of {site} by layer, in units of the site's u, pooled over texts, sequences, positions and "
                   "components. The rms is ruled by components near 0 (one that cancels has a large relative error); the median, from bins "
                   "of an octave, is what a usual component has; a line ends where half of the components are exact." + nan_words)


def forward_and_local(result):
    """Figure 7: forward and local error of every recorded site, in the order of the data."""
    if reason := no_errors(result):
        return reason
    mu, names = result.data.mu.values[middle(result)["mu"]], sites(result)
    at = dict(mu=[mu], tau=ends(result), rule=result.main_rule())
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
    figure, axes = style.grid([tau_words(result, t) for t in at["tau"]], 1, 2.5, width=7.2, sharey=True)
    legend = {}
    for ax, tau in zip(axes, at["tau"]):
        for shift, (kind, look) in zip((-0.13, 0.13), KINDS.items()):
            line = table[(table["tau"] == tau) & (table["error"] == kind)]
            x = np.arange(len(line)) + shift
            low, high = positive(line["median relative error [1]"]), positive(line["rms relative error [1]"])
            ax.vlines(x, low, high, color=look["color"], linewidth=1.2)
            legend[f"{kind}, median"] = ax.scatter(x, low, color=look["color"], marker=look["marker"], s=26, zorder=3)
            legend[f"{kind}, rms"] = ax.scatter(x, high, facecolor="white", edgecolor=look["color"], marker=look["marker"], s=26, zorder=3)
        ax.set_yscale("log")
        ax.set_ylabel("relative error  (1)")
        ax.set_xticks(range(len(names)))
        ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
    style.legend_of_grid(axes[0], legend)
    style.head(figure, f"Forward and local error of each site, μ = {mu:g}")
    return publish(result, "01-7-forward-and-local", figure, table,
                   f"Relative error at each site, in the order of the data, pooled over texts, sequences, layers and components, "
                   f"μ = {mu:g}. Forward: against the reference; local: what the site adds to the inputs it was given. Filled: median (missing "
                   "where half of the components are exact), hollow: rms, which components near 0 rule." + nan_words)


def error_bins(result):
    """Figure 8: the distribution of the relative errors of a few sites."""
    if reason := no_errors(result):
        return reason
    names = [s for s in DISTRIBUTIONS if s in sites(result)] or sites(result)[:6]
    mu, tau = result.data.mu.values[middle(result)["mu"]], ends(result)[0]
    at = dict(mu=[mu], tau=[tau], rule=result.main_rule())
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
            words = f"{kind}: {exact['components [%]'].sum():.3g} % exact"
            ax.text(0.98, 0.93 - 0.09 * row, words, transform=ax.transAxes, ha="right", fontsize=7.5, color=look["color"])
        ax.axvline(0, color=style.GREY, linewidth=0.9)
    if len(some):
        axes[0].set_xlim(np.log2(some.min()), np.log2(some.max()) + 1)
    for i, ax in enumerate(axes):
        ax.set_xlabel("log₂ (|relative error| / u)")
        if i % style.COLUMNS == 0:
            ax.set_ylabel("components  (% an octave)")
    style.legend_beside(axes, legend)
    style.head(figure, f"Distribution of the relative errors, μ = {mu:g}, {tau_words(result, tau)}")
    return publish(result, "01-8-error-bins", figure, table,
                   f"Relative errors in units of the site's u, in bins of an octave, as shares of all components, μ = {mu:g}, "
                   f"{tau_words(result, tau)}; u at the grey line; exact components (error 0) stand in words."
                   + (f" Left out: components that are NaN ({'; '.join(lost)})." if lost else ""))


def at_points(errors, at):
    """The errors at some points of the grid; an axis of one value that is not known (NaN) stays whole."""
    at = {d: v for d, v in at.items() if errors.sizes[d] > 1 or d == "rule"}
    return errors.sel(at).load()


def cut(values, tau):
    return float(values.sel(tau=tau) if values.sizes["tau"] > 1 else values.squeeze())
