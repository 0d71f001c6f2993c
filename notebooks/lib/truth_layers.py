"""Figure 13 of notebook 02: whole layers alone low and alone exact, ranked by a published risk score and by sums over their parts."""

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from . import style
from .ground_truth import NO_NUMBER, spearman, why_not
from .intervals import SEQUENCES, bar, geometric_interval, interval_words, mean_interval
from .output import Sentence, publish
from .truth_parts import BAEK, BLUE, GREEN, ORANGE, covers_all
from .truth_ranks import shown

LOW, HIGH = "this layer alone low", "this layer alone exact"
RISK = "risk score"
LAYERS = ("truth/coarse/one_low_layer_kl", "truth/coarse/all_low_layers_kl")  # a result that has these has all of layers but the risk
COLOURS = {
    RISK: ORANGE,
    "sites, summed": BLUE,
    "heads' scores, summed": GREEN,
    "scores, summed": "#7A5C00",
    "gains of sites, summed": "#CC79A7",
    "layer alone low": style.INK,
}


def layer_truths(truth):
    """What is predicted, (sequence, setting, layer): KL with the layer alone low; what it alone exact takes off the KL of all low."""
    all_low = truth.get("truth/coarse/all_low_layers_kl")[..., None]
    return {LOW: truth.get("truth/coarse/one_low_layer_kl"), HIGH: all_low - truth.get("truth/coarse/one_high_layer_kl")}


def predictors(truth):
    """Of either truth: name to (sequence, setting, layer)."""
    truths = layer_truths(truth)
    parts = {
        "sites, summed": truth.get("truth/coarse/one_low_kl_site").sum(-1),
        "heads' scores, summed": truth.get("truth/coarse/one_low_kl").sum(-1),
    }
    if truth.has("truth/one_low_kl") and covers_all(truth):
        parts["scores, summed"] = np.nansum(truth.get("truth/one_low_kl"), (3, 4, 5))
    if truth.has("truth/coarse/risk"):
        parts = {RISK: truth.get("truth/coarse/risk")} | parts
    all_low = truth.get("truth/coarse/all_low_layers_kl")[..., None, None]
    gains = (all_low - truth.get("truth/coarse/one_high_kl_site")).sum(-1)
    return {LOW: parts, HIGH: parts | {"gains of sites, summed": gains, "layer alone low": truths[LOW]}}


def rank_table(truth):
    """Spearman's rho over layers, sequence by sequence."""
    table, truths = [], layer_truths(truth)
    for of, said in predictors(truth).items():
        for name, values in said.items():
            pairs = zip(values.reshape(-1, values.shape[-1]), truths[of].reshape(-1, values.shape[-1]))
            rho = np.array([spearman(a, b) for a, b in pairs]).reshape(values.shape[:2])
            interval = mean_interval(rho).cut(-1, 1)
            table += [
                {
                    "setting": setting,
                    "truth": of,
                    "predictor": name,
                    "Spearman [1]": interval.mean[s],
                    **interval.at(s).columns(),
                    "sequences with NaN or a constant side": int(len(rho) - interval.count[s]),
                }
                for s, setting in enumerate(truth.settings)
            ]
    return pandas.DataFrame(table)


def kl_table(truth):
    """Geometric means over sequences, layer by layer; of all layers low: layer -1. The risk score in its own column."""
    quantities = {
        f"{LOW} [nat]": truth.get("truth/coarse/one_low_layer_kl"),
        f"{HIGH} [nat]": truth.get("truth/coarse/one_high_layer_kl"),
        "sites alone low, summed [nat]": truth.get("truth/coarse/one_low_kl_site").sum(-1),
    }
    if truth.has("truth/coarse/risk"):
        quantities["risk score [1]"] = truth.get("truth/coarse/risk")
    found = {name: geometric_interval(values) for name, values in quantities.items()}
    layers = range(next(iter(quantities.values())).shape[-1])
    table = [
        {"setting": setting, "layer": layer}
        | {name: f.mean[s, layer] for name, f in found.items()}
        | {column: value for name, f in found.items() for column, value in f.at((s, layer)).columns(f"{name}, ").items()}
        for s, setting in enumerate(truth.settings)
        for layer in layers
    ]
    whole = geometric_interval(truth.get("truth/coarse/all_low_layers_kl"))
    return pandas.DataFrame(table), whole.mean


def draw_means(ax, part, name, colour, **marker):
    ax.plot(part["layer"], part[name], color=colour, **marker)
    for _, line in part.iterrows():
        bar(ax, line["layer"], line, f"{name}, ", vertical=True, color=colour, linewidth=1)


def draw_kl(ax, part, all_low):
    for name, marker, colour in (
        (f"{LOW} [nat]", "o", style.INK),
        (f"{HIGH} [nat]", "s", "#CC79A7"),
        ("sites alone low, summed [nat]", "^", BLUE),
    ):
        draw_means(ax, part, name, colour, marker=marker, markerfacecolor="white" if marker == "^" else colour)
    ax.axhline(all_low, color=style.GREY, linestyle=":", linewidth=1.2)
    ax.set_yscale("log")


def draw_ranks(ax, part):
    for k, line in part.iterrows():
        colour = COLOURS[line["predictor"]]
        bar(ax, k, line, color=colour, linewidth=1.4)
        ax.plot(line["Spearman [1]"], k, marker="o", color=colour, linestyle="none")
    ax.axvline(0, color=style.GREY, linewidth=0.8)
    ax.axvline(BAEK, color=ORANGE, linewidth=1.0, linestyle="--")
    ax.set_xlim(-1.05, 1.05)
    ax.set_yticks(range(len(part)), part["predictor"])
    ax.set_ylim(len(part) - 0.4, -0.6)


def layers(truth):
    """Figure 13."""
    if reason := why_not(truth, *LAYERS):
        return reason
    ranks, (kl, all_low), settings = rank_table(truth), kl_table(truth), shown(truth)
    if not kl[f"{LOW} [nat]"].notna().any():
        return Sentence(NO_NUMBER)
    counts = [len(ranks[ranks["truth"] == of]["predictor"].unique()) for of in (LOW, HIGH)]
    figure, axes = plt.subplots(
        3,
        1 + len(settings),
        figsize=(4.0 + 2.5 * len(settings), 4.6 + 0.2 * sum(counts)),
        squeeze=False,
        sharex="row",
        height_ratios=[2.4, *(0.5 + 0.2 * n for n in counts)],
    )
    for c, s in enumerate(settings):
        here = kl[kl["setting"] == truth.settings[s]]
        draw_kl(axes[0, c + 1], here, all_low[s])
        axes[0, c + 1].set_title(truth.settings[s])
        axes[0, c + 1].set_xlabel("layer")
        for r, of in ((1, LOW), (2, HIGH)):
            part = ranks[(ranks["truth"] == of) & (ranks["setting"] == truth.settings[s])].reset_index(drop=True)
            draw_ranks(axes[r, c + 1], part)
            axes[r, c + 1].set_title(f"against {of}" if c == 0 else "", fontsize=8.5, loc="left")
            if c > 0:
                axes[r, c + 1].set_yticklabels([])
        axes[2, c + 1].set_xlabel("Spearman over layers")
    axes[0, 1].set_ylabel("KL  (nat)")
    ax = axes[0, 0]
    if "risk score [1]" in kl:
        part = kl[kl["setting"] == truth.settings[0]]
        draw_means(ax, part, "risk score [1]", ORANGE, marker="o")
        ax.set_yscale("log")
        ax.set_title(RISK)
        ax.set_xlabel("layer")
    else:
        ax.axis("off")
    ax.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
    for below in axes[1:, 0]:
        below.axis("off")
    style.legend_of_grid(
        axes[0, -1],
        {
            LOW: Line2D([], [], color=style.INK, marker="o"),
            "its sites alone low, summed": Line2D([], [], color=BLUE, marker="^", markerfacecolor="white"),
            HIGH: Line2D([], [], color="#CC79A7", marker="s"),
            "all layers low": Line2D([], [], color=style.GREY, linestyle=":"),
            f"{BAEK}: Baek, risk score,\nGPT-2, another truth": Line2D([], [], color=ORANGE, linestyle="--"),
        },
    )
    style.head(figure, "Whole layers: the truth, a risk score and the sums over their parts")
    count = kl["layer"].nunique()
    return publish(
        truth,
        "02-13-layers",
        figure,
        pandas.concat([ranks, kl]),
        f"Above: KL of runs in which all sites of one layer are low and the rest exact, or the other way round; geometric means over"
        f" {len(truth.sequences)} sequences. Below: Spearman's rho over {count} layers with that KL, and"
        " with what the layer alone exact takes off the KL of all layers low; mean over sequences, intervals cut at -1 and 1. Dashed:"
        " the published mean of the risk score on GPT-2, against the error of the last hidden state that a patch of one layer to binary32"
        " takes off: another model, and another truth.",
        interval_words("bar", ranks[SEQUENCES]) + "; above: of the logarithm",
    )
