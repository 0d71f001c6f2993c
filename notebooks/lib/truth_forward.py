"""Figures 14 and 15 of notebook 02: forward selection, and how far a KL in binary64 is to be believed."""

import pathlib

import numpy as np
import pandas
from matplotlib import pyplot as plt

from . import style
from .ground_truth import look, why_not
from .intervals import SEQUENCES, band, interval_words, ratio_interval
from .output import Sentence, publish
from .truth_ranks import CURVES, shown

style.use()
FORWARD = {  # dataset, look
    "forward selection": ("truth/forward/kl", dict(color="#CC79A7", linewidth=2.0)),
    "one-high, ranked once": ("truth/forward/single_kl", dict(color="#CC79A7", linewidth=1.2, linestyle=(0, (4, 2)))),
}
NOISE = pathlib.Path(__file__).resolve().parents[2] / "experiments/studies/02-ground-truth/noise-floor.csv"
COUNT, LEFT = "scores recomputed [1]", "KL over that with none"
ERRORS = ["error [nat]", "floor [nat]"]


def forward_table(truth):
    """KL over that with nothing recomputed, against the number of scores recomputed: by forward selection, by the first of its rankings,
    and by rules at budgets that are pooled over the pass."""
    table, steps, none = [], truth.scale("truth/forward/step"), truth.get("truth/all_low_kl")[..., None]

    def add(rule, counts, kl):
        found = ratio_interval(kl[..., : len(counts)], none)
        for s, setting in enumerate(truth.settings):
            for k, count in enumerate(counts):
                line = {"setting": setting, "rule": rule, COUNT: count, f"{LEFT} [1]": found.mean[s, k]}
                table.append(line | found.at((s, k)).columns(f"{LEFT}, "))

    for rule, (dataset, _) in FORWARD.items():
        add(rule, steps, truth.get(dataset))
    layers, heads, length = truth.get("truth/score").shape[2:5]
    for rule in truth.rules:
        counts = np.ceil(np.array(truth.scale(f"selection/{rule}/rate")) * (layers * heads * length * (length + 1) // 2) - 1e-9).astype(int)
        few = counts <= len(steps)
        add(rule, counts[few], truth.get(f"selection/{rule}/curve_error")[..., few])
    return pandas.DataFrame(table)


def forward_selection(truth):
    """Figure 14."""
    if reason := why_not(truth, "truth/forward/kl"):
        return reason
    table, settings = forward_table(truth), shown(truth)
    figure, axes = style.panels([truth.settings[s] for s in settings], height=3.6)
    legend = {}
    for ax, s in zip(axes, settings):
        part = table[table["setting"] == truth.settings[s]]
        for rule, (_, look_of) in FORWARD.items():
            line = part[part["rule"] == rule]
            band(ax, COUNT, line, f"{LEFT}, ", color=look_of["color"])
            (legend[rule],) = ax.plot(line[COUNT], line[f"{LEFT} [1]"], **look_of)
        for rule in (r for r in CURVES if r in truth.rules and r != "one-high"):
            line = part[part["rule"] == rule].sort_values(COUNT)
            (legend[rule],) = ax.plot(line[COUNT], line[f"{LEFT} [1]"], **look(rule))
        legend["none recomputed"] = ax.axhline(1, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("scores recomputed")
        ax.xaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("KL over that with none recomputed")
    style.legend_beside(axes, legend, "scores chosen by")
    style.head(figure, "Is a ranking the limit? Forward selection: all scores ranked again after each")
    return publish(
        truth,
        "02-14-forward-selection",
        figure,
        table,
        "Forward selection recomputes, again and again, the score that lowers the KL most beside those before it; dashed: by the first"
        " of these rankings, not renewed. Rules: budgets pooled over the pass, at the same number of scores; their intervals are in the"
        " table. Everything else in the reference arithmetic, other scores low. Geometric mean of the ratios of"
        f" {len(truth.sequences)} sequences, each of its own.",
        interval_words("band", table[f"{LEFT}, {SEQUENCES}"], what="of the logarithm"),
    )


def floor(kl, e):
    """Error of a KL whose logits, and so their change, are off by e."""
    return np.sqrt(2 * kl) * e + e * e / 2


def over_floor(truth, e):
    """(setting, quantity) to what each score has over its rounding error: one-low KL; and what recomputing it alone takes off the KL.
    Without rows of one, where nothing changes."""
    found = {}
    for s, setting in enumerate(truth.settings):
        if truth.has("truth/one_low_kl"):
            kl = truth.get("truth/one_low_kl")[:, s, ..., 1:, :]
            found[setting, "one-low KL"] = (kl / floor(kl, e))[~np.isnan(kl)]
        if truth.has("truth/one_high_kl"):
            kl, low = truth.get("truth/one_high_kl")[:, s, ..., 1:, :], truth.get("truth/all_low_kl")[:, s, None, None, None, None]
            found[setting, "gain of one-high"] = (np.abs(low - kl) / (floor(low, e) + floor(kl, e)))[~np.isnan(kl)]
    return {key: ratio for key, ratio in found.items() if len(ratio)}


def noise_floor(truth, path=NOISE):
    """Figure 15. The error is measured once, for study 02, and its file says how; the shares are this result's."""
    if reason := why_not(truth):
        return reason
    if not path.exists():
        return Sentence(f"Not drawn: {path.name} of study 02 is not there (lamp_truth_noise of tests/analysis/truth makes it).")
    measured = pandas.read_csv(path, comment="#")
    error, e = (measured["kl"] - measured["kl_exact"]).abs(), measured["e"].max()
    figure, (ax, shares) = plt.subplots(1, 2, figsize=(9.6, 3.7))
    for mu, colour, marker in zip(sorted(set(measured["mu"])), style.ordered_colours(measured["mu"].nunique()), style.MARKERS):
        here = measured["mu"] == mu
        ax.plot(measured["kl_exact"][here], error[here], linestyle="none", marker=marker, markersize=3.5, color=colour, label=f"μ = {mu:g}")
    kl = np.geomspace(min(measured["kl_exact"].min(), e * e / 100), measured["kl_exact"].max() * 3, 200)
    ax.plot(kl, floor(kl, e), color=style.INK, label=f"√(2 KL) e + e²/2, e = {e:.1e}")
    ax.plot(kl, kl, color=style.GREY, linewidth=0.9, linestyle=":", label="the KL itself")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("one-low KL at 204 bits  (nat)")
    ax.set_ylabel("error of the KL in binary64  (nat)")
    ax.legend(loc="upper left", fontsize=7)
    table = measured.assign(error=error, floor=floor(measured["kl_exact"], measured["e"]))
    table.columns = ["μ", "layer", "head", "query", "key", *(f"{c} [nat]" for c in ("KL, binary64", "KL, 204 bits")), "e [1]", *ERRORS]
    rows, settings = [], shown(truth)
    colours = dict(zip(settings, style.ordered_colours(len(settings))))
    for (setting, quantity), ratio in over_floor(truth, e).items():
        rows.append({"setting": setting, "quantity": quantity, "scores": len(ratio), "below the floor [%]": 100 * np.mean(ratio < 1)})
        if truth.settings.index(setting) in settings:
            shares.plot(
                np.maximum(np.sort(ratio), 1e-2),
                np.arange(1, len(ratio) + 1) / len(ratio),
                drawstyle="steps-post",
                color=colours[truth.settings.index(setting)],
                linestyle="-" if quantity == "one-low KL" else (0, (4, 2)),
                label=f"{quantity}, {setting}: {rows[-1]['below the floor [%]']:.2g} % below",
            )
    shares.axvline(1, color=style.INK, linewidth=0.9)
    shares.set_xscale("log")
    shares.set_ylim(-0.02, 1.02)
    shares.set_xlabel("over its rounding error")
    shares.set_ylabel("share of the scores of this result")
    if shares.get_legend_handles_labels()[1]:
        shares.legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
    else:
        style.empty(shares, "no score of this result\nhas a KL that is a number")
    style.head(figure, "How small a KL is still a number: binary64 against 204 bits")
    return publish(
        truth,
        "02-15-noise-floor",
        figure,
        pandas.concat([table, pandas.DataFrame(rows)]),
        f"Left: {len(measured)} scores of gpt2-tiny alone low, spread over layers and over KL; e: error of the log-probabilities of the"
        " reference in binary64, root mean square. Right: cumulative shares of the scores of this result (rows of one left out), by their"
        " KL, and by what recomputing them alone takes off the KL, over the error of that; below 1 it is no number to rank by.",
    )
