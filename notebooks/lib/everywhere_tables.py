"""The tables of notebook 06: sets chosen ahead, error weights, low arithmetics one product at a time, and what the network writes."""

import functools

import h5py
import numpy as np
import pandas

from .everywhere import ACTIVATIONS, CHANGE, FLIPS, FUNCTIONS, GAIN, KL, MACS, means, why_not, with_base
from .everywhere_figures import at_mu
from .intervals import HIGH_END, LOW_END
from .output import Sentence
from .real_model_plans import written
from .real_model_tables import publish_table, words

RULES = ("none", "lamp", "first-terms", "previous-token", "previous-layer", "key-mean", "random")
RECALL = "recall of LAMP's set [%]"
BITS = np.array([bin(k).count("1") for k in range(256)], np.uint8)


def told(row, name):
    return words(row[name], row[f"{name}, {LOW_END}"], row[f"{name}, {HIGH_END}"])


@functools.lru_cache(maxsize=None)
def recalls(run):
    """{(tau, rule): % of the scores in LAMP's sets that the rule's sets hold}, over all rows, heads and layers, sequences alike. Each in its own
    pass: LAMP's set is that of the pass in which LAMP selects, so low scores differ a little below the first layer."""
    with h5py.File(run.path, "r") as f:
        if "selected/scores" not in f:
            return {}
        sets = f["selected/scores"]
        dims = [d.label for d in sets.dims]
        tau, rule = dims.index("lamp.scores.tau"), dims.index("lamp.scores.rule")
        taus, rules = ([v.decode() if isinstance(v, bytes) else v for v in f["metrics"][dims[k]][()]] for k in (tau, rule))
        found = {}
        for t, tau_ in enumerate(taus):
            shares = {name: [] for name in rules}
            for place in np.ndindex(*sets.shape[:tau]):  # text, sequence
                own = {name: sets[(*place, t, rules.index(name))] for name in rules}
                wanted = int(BITS[own["lamp"]].sum())
                for name in rules:
                    shares[name].append(int(BITS[own[name] & own["lamp"]].sum()) / wanted if wanted else np.nan)
            found |= {(tau_, name): 100 * float(np.mean(values)) for name, values in shares.items()}
    return found


def ahead(study):
    """Table 7: is looking ahead worth it?"""
    if reason := why_not(study, "ahead"):
        return reason
    cells = study.of("ahead")
    cells = cells.join(
        cells[cells["rule"] == "none"].set_index(["model", "T", "text", "sequence", "tau"])[KL].rename("base"),
        on=["model", "T", "text", "sequence", "tau"],
    )
    table = means(cells, ["model", "T", "mu", "tau", "rule"], [KL, MACS], ("base", KL))
    found = {(run.model, run.T): recalls(run) for run in study.runs_of("ahead")}
    table[RECALL] = [found[m, T].get((tau, rule), np.nan) for m, T, tau, rule in zip(table["model"], table["T"], table["tau"], table["rule"])]
    table = table.sort_values(["model", "tau", "rule"], key=lambda c: c.map(RULES.index) if c.name == "rule" else c, ignore_index=True)
    shown = pandas.DataFrame([
        {"model": row["model"], "T": row["T"], "τ": row["tau"], "rule": row["rule"], "recall  (%)": row[RECALL], "gain in KL": told(row, GAIN)}
        for _, row in table.iterrows() if row["rule"] != "none"
    ])
    caption = (
        f"Rules that choose before the low scores are there, as many in each row as LAMP; μ = {table['mu'].iloc[0]:g}, scores alone low."
        " Recall: of LAMP's own set in the pass in which LAMP selects. Gain: KL with nothing recomputed / KL, geometric mean, 95 % interval."
    )
    return publish_table(study, "06-7-ahead", table, shown, caption)


def weights(study):
    """Table 8: error weights at each product."""
    if reason := why_not(study, "weights"):
        return reason
    cells = study.of("weights")
    table = means(cells, ["model", "T", "mu", "site", "rate", "weights"], [KL, MACS])
    shown = table.assign(KL_=[told(row, KL) for _, row in table.iterrows()])
    shown = shown.pivot(index=["model", "T", "site", "rate"], columns="weights", values="KL_").reset_index()
    shown = shown.sort_values(["model", "rate", "site"], key=lambda c: c.map(list(FUNCTIONS).index) if c.name == "site" else c)
    caption = (
        f"KL (nat) of LAMP by error weights, one product in PS({table['mu'].iloc[0]:g}). At an activation `dot` is the rule of El Arar, Filip,"
        " Mary and Riccietti: the condition numbers of the inner product and of the activation, multiplied."
    )
    return publish_table(study, "06-8-weights", table, shown, caption)


def arithmetics(study):
    """Table 9: one product alone with short operands."""
    if reason := why_not(study, "alone"):
        return reason
    cells = study.of("alone").query("low == 'short'")
    if not len(cells):
        return Sentence("Not drawn: no result of one product with short operands is finished.")
    cells = with_base(cells, ["site", "operands"])
    best = {site: "value-aware" if "value-aware" in set(part["rule"]) else "lamp" for site, part in cells.groupby("site")}
    cells = cells[cells["rule"] == cells["site"].map(best)]
    table = means(cells, ["model", "T", "site", "operands", "rate", "rule"], [KL, MACS], ("base", KL))
    rows = []
    for (model, T, operands), part in table.groupby(["model", "T", "operands"], sort=False):
        row = {"model": model, "T": T, "operands": operands}
        for site in FUNCTIONS:
            own = part[part["site"] == site].sort_values("rate")
            if len(own):
                low, last = own.iloc[0], own.iloc[-1]
                row["activation" if site in ACTIVATIONS else site] = f"{low[KL]:.2g}, gain {last[GAIN]:.2g}"
        rows.append(row)
    largest = table["rate"].max()
    caption = (
        f"KL (nat) with one product on short operands, added up in binary32, and the gain where {100 * largest:g} % of each row are recomputed"
        " in binary32; at the activation by rule value-aware."
    )
    return publish_table(study, "06-9-operands", table, pandas.DataFrame(rows), caption)


def best_shares(options, most):
    """Of {site: [(rate, % redone, KL), ..]} one choice a site: the one of least sum of KL whose sum of % redone is at most `most`."""
    chosen = [((), 0.0, 0.0)]  # (rates, redone, KL), every choice of the sites so far that no other beats in both
    for points in options.values():
        found = sorted((redone + r, kl + k, (*rates, rate)) for rates, redone, kl in chosen for rate, r, k in points if redone + r <= most)
        chosen, least = [], np.inf
        for redone, kl, rates in found:
            if kl < least:
                chosen.append((rates, redone, kl))
                least = kl
    if not chosen:  # every choice redoes more
        return {}, np.nan, np.nan
    return dict(zip(options, chosen[-1][0])), chosen[-1][1], chosen[-1][2]


def allocation(study):
    """Table 4b: shares by product instead of the same share everywhere, chosen as if effects add, and measured."""
    if reason := why_not(study, "alone") or why_not(study, "together"):
        return reason
    cells = study.of("alone").query("low == 'low'")
    cells = cells[cells["site"].isin(FUNCTIONS) & (cells["rule"] == np.where(cells["site"].isin(ACTIVATIONS), "value-aware", "lamp"))]
    every = study.of("together").query("low == 'low'")
    every = every[every["activation's rule"] == "value-aware"]
    rows = []
    for model in study.models():
        own, mu = at_mu(cells[cells["model"] == model])
        same = every[(every["model"] == model) & (every["mu"] == mu)]
        if not len(own) or not len(same):
            continue
        alone = means(own, ["model", "T", "site", "rate"], [KL, MACS])
        options = {site: list(part[["rate", MACS, KL]].itertuples(index=False, name=None)) for site, part in alone.groupby("site")}
        options = {site: options[site] for site in FUNCTIONS if site in options}
        for _, row in means(same, ["model", "T", "mu", "rate"], [KL, MACS]).iterrows():
            if row["rate"] > 0 and (alone["rate"] == row["rate"]).any():
                rates, redone, kl = best_shares(options, row[MACS])
                if not rates:
                    continue
                rows.append({
                    "model": model, "T": row["T"], "mu": mu, "rate everywhere": row["rate"], f"everywhere, {MACS}": row[MACS],
                    f"everywhere, {KL}": row[KL], "shares by product": ", ".join(f"{s} {100 * r:g} %" for s, r in rates.items()),
                    f"by product, {MACS}": redone, f"by product, predicted {KL}": kl, f"by product, {KL}": measured(study, model, mu, rates),
                })
    if not rows:
        return Sentence("Not drawn: there is no model with results of each product alone and of all together.")
    table = pandas.DataFrame(rows)
    shown = pandas.DataFrame([
        {"model": r["model"], "the same share": f"{100 * r['rate everywhere']:g} %: {r[f'everywhere, {MACS}']:.3g} % of all MACs, KL"
         f" {r[f'everywhere, {KL}']:.3g}", "shares by product": f"{r['shares by product']}: {r[f'by product, {MACS}']:.3g} % of all MACs",
         "KL predicted": r[f"by product, predicted {KL}"], "KL measured": r[f"by product, {KL}"]} for r in rows
    ])
    caption = (
        f"μ = {table['mu'].iloc[0]:g}. Of the shares that each product was run with alone, those whose KL sum to least within the same"
        " multiply-accumulates redone, as if effects add; and what that choice costs where it was run (nat)."
    )
    return publish_table(study, "06-4-allocation", table, shown, caption)


def measured(study, model, mu, rates):
    """The mean KL of the result whose shares these are; NaN without one."""
    for run in study.runs_of("allocated"):
        lamp = run.config["lamp"]
        if run.model == model and all(lamp.get(s, {}).get("rate") == r for s, r in rates.items()):
            cells = run.cells()
            return means(cells[cells["mu"] == mu], ["model", "mu"], [KL])[KL].iloc[0] if (cells["mu"] == mu).any() else np.nan
    return np.nan


def quality(study):
    """Table 3b: KL, flips and perplexity where all are low."""
    if reason := why_not(study, "together"):
        return reason
    cells = study.of("together").query("low == 'low'")
    cells = cells[cells["activation's rule"] == "value-aware"]
    if not len(cells):
        return Sentence("Not drawn: no result of all products in PS(μ), with the rule value-aware at the activation, is finished.")
    table = means(cells, ["model", "T", "mu", "rate"], [KL, FLIPS, CHANGE, MACS])
    shown = pandas.DataFrame([
        {"model": r["model"], "T": r["T"], "μ": r["mu"], "of each row  (%)": 100 * r["rate"], "of all MACs  (%)": r[MACS], "KL  (nat)": told(r, KL),
         "flips  (%)": told(r, FLIPS), "perplexity change  (%)": told(r, CHANGE)}
        for _, r in table.sort_values(["model", "mu", "rate"]).iterrows()
    ])
    return publish_table(study, "06-3-quality", table, shown, "All six products in PS(μ), LAMP at each, value-aware at the activation.")


def continuations(study):
    """What the network writes with all six products low."""
    if reason := why_not(study, "text"):
        return reason
    runs = study.runs_of("text")
    rates = [run.config.get("lamp", {}).get("scores", {}).get("rate", 0) for run in runs]
    names = [f"{100 * rate:g} % by LAMP" if rate else "nothing redone" for rate in rates]
    return written(study, runs, "06-10-continuations", [lambda plan, n=n: f"{plan.replace('arithmetic.low.mu = ', 'μ = ')}, {n}" for n in names])
