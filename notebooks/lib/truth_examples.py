"""Figures 5 and 10 of notebook 02: single heads, and the rows where LAMP's set and the true one differ most."""

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap

from . import style
from .ground_truth import top, why_not
from .output import Sentence, publish
from .truth_failures import CLASSES, Rows, why_no_rows
from .truth_parts import BLUE, GREEN, ORANGE

PALE = ListedColormap(plt.get_cmap("Greys")(np.linspace(0, 0.62, 256)))  # dark marks are seen on all of it
MOST_ROWS = 4


def heads_by_agreement(truth, s):
    """(layer, head) of the first sequence with the least, the middle and the most agreement of LAMP's set with the true one."""
    jaccard = truth.get("selection/lamp/jaccard")[0, s]
    count = (~np.isnan(jaccard)).sum(-1)
    mean = np.where(count > 0, np.nansum(jaccard, -1) / np.where(count > 0, count, 1), np.nan)
    order = [
        tuple(map(int, np.unravel_index(k, mean.shape))) for k in np.argsort(mean, axis=None, kind="stable") if not np.isnan(mean.flat[k])
    ]
    return [(order[k], mean[order[k]]) for k in sorted({0, len(order) // 2, len(order) - 1})] if order else []


def attention_maps(truth):
    """Figure 5."""
    if reason := why_not(truth, "truth/one_low_kl", "selection/lamp_set", "selection/lamp/jaccard"):
        return reason
    s = len(truth.settings) // 2
    heads = heads_by_agreement(truth, s)
    kl, score, chosen = (truth.get(f"{n}")[0, s] for n in ("truth/one_low_kl", "truth/score", "selection/lamp_set"))
    size = truth.get("selection/lamp/size")[0, s]
    if not heads or np.isnan(kl).any(-1).all(-1).any():
        return Sentence("Not drawn: the truth of this result covers no whole head.")
    figure, axes = plt.subplots(1, len(heads), figsize=(1.4 + 4.0 * len(heads), 4.7), squeeze=False)
    table, names = [], ("both", "LAMP alone", "truth alone")
    for ax, ((layer, head), mean) in zip(axes[0], heads):
        y = score[layer, head]
        z = np.exp(y - np.nanmax(y, -1, keepdims=True))
        z /= np.nansum(z, -1, keepdims=True)
        image = ax.imshow(
            np.log10(np.where(z > 1e-4, z, 1e-4)) + np.where(np.isnan(z), np.nan, 0), cmap=PALE, vmin=-4, vmax=0, interpolation="nearest"
        )
        lamp, true = chosen[layer, head] > 0.5, top(kl[layer, head], size[layer, head])
        for marks, name, colour, marker in (
            (lamp & true, names[0], "#009E73", "o"),
            (lamp & ~true, names[1], "#0072B2", "s"),
            (true & ~lamp, names[2], "#D55E00", "X"),
        ):
            i, j = np.nonzero(marks)
            hollow = marker == "s"
            ax.plot(
                j,
                i,
                linestyle="none",
                marker=marker,
                markersize=min(6.5, 140 / len(z)),
                color=colour,
                label=name,
                markerfacecolor="none" if hollow else colour,
                markeredgecolor=colour if hollow else "white",
                markeredgewidth=1.3 if hollow else 0.5,
            )
        for i, j in zip(*np.nonzero(lamp | true)):
            table.append({
                "layer": layer,
                "head": head,
                "query": i,
                "key": j,
                "probability [1]": z[i, j],
                "one-low KL [nat]": kl[layer, head, i, j],
                "set": names[0 if lamp[i, j] and true[i, j] else 1 if lamp[i, j] else 2],
            })
        ax.set_title(f"layer {layer}, head {head}: Jaccard {mean:.2f}")
        ax.set_xlabel("key")
        ax.grid(False)
    axes[0, 0].set_ylabel("query")
    axes[0, -1].legend(loc="upper right", title="set", facecolor="white", framealpha=1, frameon=True)
    figure.colorbar(image, ax=axes, label="log10 of the probability (white: at most 1e-4)", shrink=0.75, pad=0.01)
    text, number = truth.sequences[0]
    style.head(figure, f"Attention of the reference, LAMP's sets and the true ones  ({truth.settings[s]}; {text}, sequence {number})")
    return publish(
        truth,
        "02-5-attention-maps",
        figure,
        pandas.DataFrame(table),
        "Of each row as many scores as LAMP recomputes: LAMP's, and those with the largest one-low KL. "
        "The heads in which these agree least, in the middle, and most (mean Jaccard index over rows).",
    )


def worst_rows(truth):
    """Figure 10: of the setting in the middle, the rows whose sets differ most in KL, one of each head."""
    if reason := why_no_rows(truth):
        return reason
    rows, s = Rows(truth), len(truth.settings) // 2
    loss, taken = rows.loss[:, s], []
    for at in np.argsort(-loss, axis=None, kind="stable"):
        place = tuple(map(int, np.unravel_index(at, loss.shape)))
        if loss[place] > 0 and place[1:3] not in [p[1:3] for p in taken]:
            taken.append(place)
        if len(taken) == MOST_ROWS:
            break
    if not taken:
        return Sentence("Not drawn: LAMP's set and the true one agree in every row.")
    score = truth.get("truth/score")[:, s]
    figure, axes = plt.subplots(3, len(taken), figsize=(1.6 + 3.2 * len(taken), 6.2), sharex="col", squeeze=False)
    table, legend = [], {}
    for c, place in enumerate(taken):
        n = place[-1] + 1
        y, dy, kl = (values[place][:n] for values in (score, rows.error[:, s], rows.kl[:, s]))
        lamp, true = rows.lamp[:, s][place][:n], rows.true[:, s][place][:n]
        z = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
        kind = rows.kind[:, s][place]
        text, number = truth.sequences[place[0]]
        axes[0, c].set_title(
            f"{text} {number}: layer {place[1]}, head {place[2]}, query {place[3]}\n"
            + (CLASSES[kind] if kind >= 0 else "")
            + ("; bias" if rows.bias[:, s][place] else ""),
            fontsize=8,
        )
        key = np.arange(n)
        for ax, values in zip(axes[:, c], (z, dy, kl)):
            for marks, name, colour, hatch in (
                (lamp & true, "in both sets", GREEN, ""),
                (lamp & ~true, "LAMP alone", BLUE, "//"),
                (true & ~lamp, "truth alone", ORANGE, ".."),
                (~lamp & ~true, "in neither", "#BBBBBB", ""),
            ):
                if values is kl:
                    ax.plot(key[marks], values[marks], linestyle="none", color=colour, marker={"//": "s", "..": "X"}.get(hatch, "o"))
                    continue
                drawn = ax.bar(key[marks], values[marks], width=0.8, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3)
                if name not in legend and marks.any():
                    legend[name] = drawn
        axes[2, c].set_yscale("log")
        axes[1, c].axhline(0, color=style.GREY, linewidth=0.8)
        axes[1, c].axhline(dy.mean(), color=style.INK, linewidth=0.9, linestyle="--")
        axes[2, c].set_xlabel("key")
        table += [
            {
                "text": text,
                "sequence": number,
                "layer": place[1],
                "head": place[2],
                "query": place[3],
                "key": int(j),
                "score [1]": y[j],
                "probability [1]": z[j],
                "error of the score [1]": dy[j],
                "one-low KL [nat]": kl[j],
                "in LAMP's set": int(lamp[j]),
                "in the true set": int(true[j]),
            }
            for j in key
        ]
    for ax, words in zip(axes[:, 0], ("probability", "error of the score\n(dashed: mean)", "one-low KL  (nat)")):
        ax.set_ylabel(words)
    style.legend_of_grid(axes[0, -1], legend, "the score is")
    style.head(figure, f"Rows where LAMP's set costs most against the true one  ({truth.settings[s]})")
    return publish(
        truth,
        "02-10-worst-rows",
        figure,
        pandas.DataFrame(table),
        "The rows with the largest sum of one-low KL that the true set has and LAMP's has not, at most one of each head. "
        "Scores themselves are in the table.",
    )
