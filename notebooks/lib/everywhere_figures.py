"""The figures of notebook 06: LAMP in front of every nonlinear function, one at a time and all at once.

Each function draws one figure from a Study (everywhere.py) and saves it with its numbers, or returns a sentence that says why it cannot.
"""

import numpy as np
import pandas
from matplotlib import pyplot as plt

from . import style
from .everywhere import ACTIVATIONS, COST, FUNCTIONS, GAIN, KL, MACS, RULE_NAMES, means, quantised, why_not, with_base
from .intervals import SEQUENCES, bar, geometric_interval, interval_words
from .output import Sentence, publish
from .real_model import nearest
from .softmax_lamp import positive

style.use()
MU = 7  # where one mu is shown
SITE_LOOKS = {  # colour and marker; an activation has one of each network
    "scores": ("#D55E00", "o"),
    "values": ("#7A5C00", "v"),
    "attn_proj": ("#009E73", "s"),
    "mlp_fc": ("#CC79A7", "D"),
    "gate": ("#CC79A7", "D"),
    "mlp_proj": ("#0072B2", "^"),
    "logits": ("#000000", "P"),
}
PLAIN = "#888888"  # products that no function follows
RULE_LOOKS = {"lamp": ("#0072B2", "-", "o"), "value-aware": ("#D55E00", "-", "D"), "random": ("#777777", "--", "s")}
OPERAND_LOOKS = {
    "binary16": ("#009E73", "^"),
    "bfloat16": ("#0072B2", "o"),
    "mxfp8-e4m3": ("#CC79A7", "D"),
    "e4m3fn": ("#D55E00", "s"),
}
MACS_LABEL = "redone, of all multiply-accumulates  (%)"


def at_mu(cells, mu=MU):
    """The cells of the mu nearest to the one that is shown, and which that is."""
    mus = sorted(set(cells["mu"].dropna()))
    shown = nearest(mus, mu) if mus else np.nan
    return cells[cells["mu"] == shown] if mus else cells, shown


def words_of(mark, table, name, what=""):
    words = interval_words(mark, table[f"{name}, {SEQUENCES}"], "sequences of all texts", what)
    return words + (f". {quantised(table)}" if quantised(table) else "")


def line(ax, x, table, name, color, **look):
    """A line with the interval at each point."""
    (drawn,) = ax.plot(table[x], positive(table[name]), color=color, **look)
    for _, row in table.iterrows():
        bar(ax, row[x], row, f"{name}, ", vertical=True, color=color, linewidth=2.4, alpha=0.3)
    return drawn


def alone(study):
    """Figure 1: which product hurts most by itself."""
    if reason := why_not(study, "alone"):
        return reason
    cells = study.of("alone")
    cells = cells[(cells["low"] == "low") & (cells[MACS] == 0) & (cells["rule"].isin(["lamp"]))]
    if not len(cells):
        return Sentence("Not drawn: no cell with one product in PS(μ) and nothing recomputed.")
    table = means(cells, ["model", "T", "site", "mu"], [KL], of=geometric_interval)
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    figure, axes = style.grid([f"{m}, T = {T}" for m, T in models], len(models), 3.2, width=3.3, sharey=True)
    legend = {}
    for ax, (model, T) in zip(axes, models):
        own = table[(table["model"] == model) & (table["T"] == T)]
        for site in sorted(set(own["site"]), key=lambda s: list(FUNCTIONS).index(s) if s in FUNCTIONS else 99):
            color, marker = SITE_LOOKS.get(site, (PLAIN, "x"))
            drawn = line(ax, "mu", own[own["site"] == site].sort_values("mu"), KL, color, marker=marker)
            name = "mlp_fc, gate" if site in ACTIVATIONS else site
            legend[f"{name}: {FUNCTIONS[site]}" if site in FUNCTIONS else "no function that LAMP knows: qkv, or q, k, v, up"] = drawn
        ax.set_yscale("log")
        ax.set_xlabel("μ  (bits after the first)")
    axes[0].set_ylabel("KL  (nat), geometric mean")
    style.legend_of_grid(axes[-1], legend, "in PS(μ), all else binary32")
    style.head(figure, "What one product in low precision costs")
    caption = "KL with one product in PS(μ) and nothing recomputed, geometric mean over the sequences."
    return publish(study, "06-1-alone", figure, table, caption, words_of("bar", table, KL, "of the logarithm"))


def gains(study):
    """Figure 2: what a share of each product gains, by rule."""
    if reason := why_not(study, "alone"):
        return reason
    cells, mu = at_mu(study.of("alone").query("low == 'low'"))
    cells = with_base(cells[cells["site"].isin(FUNCTIONS)], ["site"])
    cells = cells[cells[MACS] > 0]
    if not len(cells):
        return Sentence("Not drawn: nothing is recomputed in any cell of one product in PS(μ).")
    table = means(cells, ["model", "T", "site", "rule", "rate"], [KL, MACS], ("base", KL))
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    sites = list(dict.fromkeys(s if s not in ACTIVATIONS else "activation" for s in FUNCTIONS if s in set(table["site"])))
    figure, axes = plt.subplots(
        len(models), len(sites), figsize=(1.4 + 1.6 * len(sites), 0.7 + 2.1 * len(models)), sharex=True, sharey="row", squeeze=False
    )
    legend = {}
    for row, (model, T) in zip(axes, models):
        for ax, site in zip(row, sites):
            own = table[(table["model"] == model) & (table["T"] == T)]
            own = own[own["site"].isin(ACTIVATIONS if site == "activation" else [site])]
            for rule in (r for r in RULE_LOOKS if r in set(own["rule"])):
                color, dash, marker = RULE_LOOKS[rule]
                part = own[own["rule"] == rule].sort_values("rate").assign(share=lambda t: 100 * t["rate"])
                drawn = line(ax, "share", part, GAIN, color, linestyle=dash, marker=marker)
                legend[RULE_NAMES[rule]] = drawn
            ax.axhline(1, color=style.GREY, linewidth=0.8, zorder=0)
            ax.set_xscale("log")
            ax.set_yscale("log")
            if ax in axes[0]:
                ax.set_title("/".join(s for s in ACTIVATIONS if s in set(table["site"])) if site == "activation" else site)
            if ax in axes[-1]:
                ax.set_xlabel("recomputed  (%)")
        row[0].set_ylabel(f"{model}, T = {T}\ngain in KL")
    style.legend_of_grid(axes[0, -1], legend)
    style.head(figure, f"What recomputing a share of one product gains, μ = {mu:g}")
    caption = (
        f"Gain in KL (nothing recomputed / the share of each row recomputed) where one product is in PS({mu:g}) and all else in binary32,"
        " geometric mean over the sequences."
    )
    return publish(study, "06-2-gains", figure, table, caption, words_of("bar", table, GAIN, "of the logarithm"))


def together(study):
    """Figure 3: all products low at once; KL against what is redone, and against cost."""
    if reason := why_not(study, "together"):
        return reason
    cells = study.of("together")
    column = "activation's rule"
    cells = cells[cells[column] == "value-aware"] if "value-aware" in set(cells[column]) else cells
    table = means(cells, ["model", "T", "low", "mu", "operands", "rate"], [KL, MACS, COST], of=geometric_interval)
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    figure, axes = plt.subplots(len(models), 2, figsize=(9.6, 0.7 + 2.9 * len(models)), sharey="row", squeeze=False)
    for (left, right), (model, T) in zip(axes, models):
        own = table[(table["model"] == model) & (table["T"] == T)]
        mus = sorted(set(own.loc[own["low"] == "low", "mu"]))
        for mu, color in zip(mus, style.ordered_colours(len(mus))):
            part = own[(own["low"] == "low") & (own["mu"] == mu)].sort_values(MACS)
            line(left, MACS, part, KL, color, marker="o", label=f"PS({mu:g})")
        for operands, (color, marker) in OPERAND_LOOKS.items():
            part = own[(own["low"] == "short") & (own["operands"] == operands)].sort_values(COST)
            if len(part):
                line(left, MACS, part, KL, color, marker=marker, linestyle="--", label=f"{operands} operands")
                line(right, COST, part, KL, color, marker=marker, linestyle="--")
        for ax in (left, right):
            ax.set_yscale("log")
        left.set_xscale("symlog", linthresh=1)
        left.set_xlim(left=0)
        left.set_ylabel(f"{model}, T = {T}\nKL  (nat)")
        left.set_title("accumulators PS(μ), or short operands" if left is axes[0, 0] else "")
        right.set_title("short operands, accumulated in binary32" if right is axes[0, 1] else "")
        handles, names = left.get_legend_handles_labels()
        style.legend_of_grid(right, dict(zip(names, handles)))
    axes[-1, 0].set_xlabel(MACS_LABEL)
    axes[-1, 1].set_xlabel("cost  (all-high plan = 1; $p_a p_b + p_{acc}$ a multiply-accumulate)")
    style.head(figure, "All six products low at once, LAMP at each of them, the same share of every row")
    caption = (
        "KL (geometric mean) against the multiply-accumulates that are redone, and against the cost of all products. LAMP with relative weights at every"
        " product; at the activation by rule value-aware where it was run."
    )
    return publish(study, "06-3-together", figure, table, caption, words_of("bar", table, KL, "of the logarithm"))


def subset_cells(run):
    """The KL of every finished cell of a run over subsets: (names, {(text, sequence, subset): KL}), a subset those whose axis has its second
    value. Names are sites, whose rules are the axes, or numbers of layers, where the axes are a site's arithmetic in a layer."""
    axes = [d for d in run.data.kl.dims if d.startswith(("lamp.", "plan.layer."))]
    sites = [a.split(".")[1] if a.startswith("lamp.") else int(a.split(".")[2]) for a in axes]
    data = run.data.transpose("text", "sequence", *axes)
    found = {}
    for place in np.ndindex(*data.kl.shape):
        if data.status.values[place] == 1:
            marks = place[2:]
            found[(*place[:2], frozenset(s for s, mark in zip(sites, marks) if mark))] = float(data.kl.values[place])
    return sites, found


def site_of_layers(run):
    """The product that is low in some layers; "" of another run."""
    named = {d.split(".")[3] for d in run.data.kl.dims if d.startswith("plan.layer.")}
    return named.pop() if len(named) == 1 else ""


def layers(study):
    """Figure 1b: in which layer a product hurts."""
    if reason := why_not(study, "layers"):
        return reason
    rows = []
    for run in study.runs_of("layers"):
        numbers, found = subset_cells(run)
        for layer in numbers:
            kl = np.array([value for (*_, own), value in found.items() if own == frozenset([layer])])
            interval = geometric_interval(kl[:, None] if len(kl) else np.full((1, 1), np.nan))
            row = {"model": run.model, "T": run.T, "site": site_of_layers(run), "layer": layer, KL: interval.mean[0]}
            rows.append(row | {f"{KL}, {c}": v[0] for c, v in interval.columns().items()})
    table = pandas.DataFrame(rows).sort_values(["model", "T", "site", "layer"], ignore_index=True)
    models = sorted(set(zip(table["model"], table["T"])), key=lambda m: study.models().index(m[0]))
    figure, axes = style.grid([f"{m}, T = {T}" for m, T in models], len(models), 3.0, width=3.3, sharex=False, sharey=True)
    legend = {}
    for ax, (model, T) in zip(axes, models):
        own = table[(table["model"] == model) & (table["T"] == T)]
        for site in (s for s in FUNCTIONS if s in set(own["site"])):
            color, marker = SITE_LOOKS[site]
            legend["mlp_fc, gate" if site in ACTIVATIONS else site] = line(ax, "layer", own[own["site"] == site], KL, color, marker=marker)
        ax.set_yscale("log")
        ax.set_xlabel("layer")
        style.sparse_ticks(ax, sorted(set(own["layer"])))
    axes[0].set_ylabel("KL  (nat), geometric mean")
    style.legend_of_grid(axes[-1], legend, f"in PS({study.runs_of('layers')[0].config['arithmetic']['low']['mu']:g}) in one layer")
    style.head(figure, "In which layer a product in low precision costs most")
    caption = "KL with one product of one layer in low precision, all else in binary32, geometric mean over the sequences."
    return publish(study, "06-1-layers", figure, table, caption, words_of("bar", table, KL, "of the logarithm"))


def sums(study):
    """One row for every subset of two products and more that are low together, of every result: KL, and the sum of what each costs alone."""
    rows = []
    for run in study.runs_of("subsets") + study.runs_of("layers"):
        sites, found = subset_cells(run)
        site = site_of_layers(run)
        for subset in dict.fromkeys(key[2] for key in found):
            if len(subset) < 2:
                continue
            each = [(kl, sum(found.get((*at, frozenset([s])), np.nan) for s in subset)) for (*at, own), kl in found.items() if own == subset]
            kl, alone_ = np.array(each).T
            names = (f"{site} in layers " if site else "") + " ".join(f"{s}" for s in sites if s in subset)
            what = "layers" if site else "subset"
            row = {"model": run.model, "T": run.T, "what": what, "sites": names, "products": len(subset), KL: kl.mean()}
            rows.append(row | {"sum of KL alone [nat]": alone_.mean(), "KL / sum [1]": np.exp(np.log(kl / alone_).mean())})
    cells = study.cells
    if len(study.runs_of("together")) and len(study.runs_of("alone")):
        single = cells[(cells["part"] == "alone") & (cells["low"] == "low") & cells["site"].isin(FUNCTIONS)]
        single = single[single["rule"] == np.where(single["site"].isin(ACTIVATIONS), "value-aware", "lamp")]
        parts = single.groupby(["model", "T", "mu", "rate", "text", "sequence"])[KL].agg(["sum", "count"])
        every = cells[(cells["part"] == "together") & (cells["low"] == "low") & (cells["activation's rule"] == "value-aware")].copy()
        every["rate"] = every["rate"].astype(float)
        every = every.join(parts, on=["model", "T", "mu", "rate", "text", "sequence"])
        every = every[every["count"] == every["products"]]
        for (model, T, mu, rate, products), part in every.groupby(["model", "T", "mu", "rate", "products"]):
            row = {"model": model, "T": T, "what": "all with LAMP", "sites": f"mu = {mu:g}, rate = {rate:g}", "products": products}
            row |= {KL: part[KL].mean(), "sum of KL alone [nat]": part["sum"].mean()}
            rows.append(row | {"KL / sum [1]": np.exp(np.log(part[KL] / part["sum"]).mean())})
    return pandas.DataFrame(rows)


def additivity(study):
    """Figure 4: whether the effects add."""
    if reason := why_not(study, "subsets"):
        return reason
    table = sums(study)
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    several = list(dict.fromkeys(m for m, _ in models))
    figure, axes = style.grid(several, len(several), 3.2, width=3.4, sharex=False, sharey=False)
    for ax, model in zip(axes, several):
        own = table[table["model"] == model]
        for what, color, marker, label in (
            ("layers", "#888888", ".", "one product, subsets of layers"),
            ("subset", "#0072B2", "o", "subsets of the products"),
            ("all with LAMP", "#D55E00", "D", "all products, LAMP at each (μ, rate)"),
        ):
            part = own[own["what"] == what]
            if len(part):
                ax.plot(part["sum of KL alone [nat]"], part[KL], linestyle="none", color=color, marker=marker, alpha=0.7, label=label)
        ends = np.array([own[KL].min() / 2, own[KL].max() * 2])
        ax.plot(ends, ends, color=style.GREY, linewidth=0.9, zorder=0)
        for factor in (0.8, 1.25):
            ax.plot(ends, factor * ends, color=style.GREY, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("sum of the KL of each alone  (nat)")
    axes[0].set_ylabel("KL of all together  (nat)")
    axes[0].legend(loc="upper left")
    style.head(figure, "Do the effects add?")
    caption = "KL of products low together against the sum of what each costs alone; the line is equality, dotted a factor of 1.25."
    return publish(study, "06-4-additivity", figure, table, caption, "points: means over sequences" + (
        f". {quantised(table)}" if quantised(table) else ""))


def guards(study):
    """Figure 5: which product to guard where all are low."""
    if reason := why_not(study, "guards"):
        return reason
    rows = []
    for run in study.runs_of("guards"):
        sites, found = subset_cells(run)
        for site in sites:
            for name, one, other in (
                ("this one guarded alone [gain, 1]", frozenset(), frozenset([site])),
                ("this one left out [loss, 1]", frozenset(sites) - {site}, frozenset(sites)),
            ):
                ratios = [
                    np.log(found[(*at, one)] / found[(*at, other)]) for *at, own in found if own == one and (*at, other) in found
                ]
                rows.append({"model": run.model, "T": run.T, "site": site, "what": name, "ratio": np.exp(np.mean(ratios)) if ratios else np.nan})
    table = pandas.DataFrame(rows)
    table = table.pivot(index=["model", "T", "site"], columns="what", values="ratio").reset_index()
    names = study.models()
    order = sorted(range(len(table)), key=lambda k: (names.index(table["model"][k]), list(FUNCTIONS).index(table["site"][k])))
    table = table.iloc[order].reset_index(drop=True)
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    figure, axes = style.grid([f"{m}, T = {T}" for m, T in models], len(models), 2.6, width=3.6, sharex=True, sharey=False)
    legend = {}
    for ax, (model, T) in zip(axes, models):
        own = table[(table["model"] == model) & (table["T"] == T)]
        for k, (_, row) in enumerate(own.iterrows()):
            for column, color, marker, words in (
                ("this one guarded alone [gain, 1]", "#0072B2", "o", "guarded alone: KL without / with"),
                ("this one left out [loss, 1]", "#D55E00", "D", "left out of six: KL without / with"),
            ):
                ax.plot([1, row[column]], [k, k], color=color, linewidth=1, alpha=0.4)
                (legend[words],) = ax.plot(row[column], k, color=color, marker=marker, linestyle="none")
        ax.set_yticks(range(len(own)), own["site"])
        ax.set_ylim(len(own) - 0.5, -0.5)
        ax.axvline(1, color=style.GREY, linewidth=0.8)
        ax.set_xscale("log")
        ax.set_xticks([1, 2, 5, 10, 20], minor=False)
        ax.set_xticks([], minor=True)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(0.85, 1.3 * np.nanmax(table.iloc[:, 3:]))
        ax.set_xlabel("factor in KL")
    style.legend_of_grid(axes[-1], legend, f"LAMP on {100 * study.runs_of('guards')[0].config['lamp']['scores']['rate']:g} % of each row")
    style.head(figure, "All six products low: which guard is worth it?")
    caption = "What LAMP at one product changes in KL where no other is guarded, and where all others are; geometric mean over sequences."
    return publish(study, "06-5-guards", figure, table, caption, quantised(table))


def fallback(study):
    """Figure 6: rows that fall back against a larger share of every row."""
    if reason := why_not(study, "fallback"):
        return reason
    cells = study.of("fallback")
    mu = float(cells["mu"].iloc[0])
    table = means(cells, ["model", "T", "site", "mu", "fallback.tolerance"], [KL, MACS, "fallback"], of=geometric_interval)
    table = table.assign(what="fallback")
    rates = study.of("alone")
    rates = rates[(rates["low"] == "low") & (rates["mu"] == mu) & (rates["rule"] == "lamp") & rates["site"].isin(set(cells["site"]))]
    if len(rates):
        rates = means(rates, ["model", "T", "site", "mu", "rate"], [KL, MACS], of=geometric_interval).assign(what="rate")
        table = pandas.concat([table, rates])
    models = list(dict.fromkeys(zip(table["model"], table["T"])))
    sites = [s for s in FUNCTIONS if s in set(table["site"])]
    figure, axes = plt.subplots(len(models), len(sites), figsize=(1.6 + 2.4 * len(sites), 0.6 + 2.3 * len(models)), squeeze=False)
    legend = {}
    for ax, site in zip(axes[0], sites):
        ax.set_title(site)
    for ax in axes[-1]:
        ax.set_xlabel("redone, of all  (%)")
    for row, (model, T) in zip(axes, models):
        for ax, site in zip(row, sites):
            own = table[(table["model"] == model) & (table["T"] == T) & (table["site"] == site)]
            for what, words, color, marker in (
                ("rate", "LAMP, the same share of every row", "#0072B2", "o"),
                ("fallback", "3 % of every row, and whole rows\nwhose bound exceeds a tolerance", "#D55E00", "D"),
            ):
                part = own[own["what"] == what].sort_values(MACS)
                if len(part):
                    legend[words] = line(ax, MACS, part, KL, color, marker=marker)
            ax.set_yscale("log")
        row[0].set_ylabel(f"{model}, T = {T}\nKL  (nat)")
    style.legend_of_grid(axes[0, -1], legend)
    style.head(figure, f"Falling back by rows, one product in PS({mu:g})")
    caption = (
        "KL (geometric mean) against the multiply-accumulates redone, with the same share of every row, and with rows that fall back besides."
    )
    return publish(study, "06-6-fallback", figure, table, caption, words_of("bar", table, KL, "of the logarithm"))

