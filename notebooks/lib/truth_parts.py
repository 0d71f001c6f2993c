"""Figures 6 to 9 of notebook 02: optimality gaps of rows, additivity, heads and layers against the sums of their scores, the bound."""

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from . import style
from .ground_truth import NO_NUMBER, FORMS, look, spearman, top, why_not
from .intervals import HIGH_END, SEQUENCES, bar, exponentials, geometric_interval, interval_words, mean_interval, ratio_interval
from .output import Sentence, publish
from .truth_ranks import rules_axis, shown

BAEK = 0.362  # Baek, AISTATS 2026: mean Spearman of a risk score of GPT-2's layers with single-layer precision patches
BEYOND = "beyond 1 + 4 max |dy|"
SMALL_ERROR, ROUNDING = -6, 2.0**-50  # log2 of |dy| up to which first order must hold; of sums of probabilities
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
ADDITIVE = {
    "sum of one-low KL": ("truth/one_low_kl", "o", BLUE),
    "half the variance of the summed logit changes": ("truth/half_variance_of_sum", "s", GREEN),
    "KL, all low": ("truth/all_low_kl", "D", ORANGE),
}
GAP_TICKS = (1, 1.5, 2, 3, 5, 10, 30, 100, 1000)
ALIKE = 1e-6  # relative spread of layer scores below which their order says nothing: sums of softmax are 1 up to rounding


def best_of_size(truth):
    """best_error_rel with the last axis (query, size): of rows of at most subset_limit scores."""
    return truth.get("truth/local/best_error_rel")


def gap_tables(truth):
    """Of the rows of which LAMP recomputes some and not all scores: pairs (LAMP's size, least size that is as good), counted, and by rule
    the error over the least error of as large a set."""
    best, size = best_of_size(truth), truth.get("selection/lamp/size")
    n = np.arange(1, size.shape[-1] + 1)
    partial = (size > 0) & (size < n) & ~np.isnan(best[..., 0])
    error = truth.get("selection/lamp/local_rel")
    with np.errstate(invalid="ignore"):
        least = np.where(partial, np.argmax(best <= error[..., None], -1), np.nan)
    sizes = []
    for s, setting in enumerate(truth.settings):
        pairs, counts = np.unique(np.stack([size[:, s][partial[:, s]], least[:, s][partial[:, s]]]), axis=1, return_counts=True)
        sizes += [
            {"setting": setting, "size of LAMP's set": int(a), "least size that is as good": int(b), "rows": int(c)}
            for (a, b), c in zip(pairs.T, counts)
        ]
    at = np.where(partial, size, 0).astype(int)
    least_error = np.take_along_axis(best, np.minimum(at, best.shape[-1] - 1)[..., None], -1)[..., 0]
    ratios = []
    for rule in truth.rules:
        own = truth.get(f"selection/{rule}/local_rel")
        kept = partial & (least_error > 0) & (own > 0) & np.isfinite(own)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(kept, np.log(own / least_error), 0.0)
        count = kept.sum((2, 3, 4))
        found = exponentials(mean_interval(logs.sum((2, 3, 4)) / np.where(count > 0, count, np.nan)))
        ratios += [
            {
                "setting": setting,
                "rule": rule,
                "error / least error [1]": found.mean[s],
                **found.at(s).columns(),
                "rows": int(count[:, s].sum()),
            }
            for s, setting in enumerate(truth.settings)
        ]
    return pandas.DataFrame(sizes), pandas.DataFrame(ratios)


def optimality_gaps(truth):
    """Figure 6."""
    if reason := why_not(truth, "truth/local/best_error_rel", "selection/lamp/local_rel"):
        return reason
    sizes, ratios = gap_tables(truth)
    if sizes.empty:
        return Sentence("Not drawn: of no row that has all its sets evaluated LAMP recomputes some scores and not all.")
    settings = shown(truth)
    most = int(max(sizes["size of LAMP's set"].max(), sizes["least size that is as good"].max()))
    figure, axes = plt.subplots(
        2,
        len(settings),
        figsize=(2.4 + 2.7 * len(settings), 3.6 + 0.21 * len(truth.rules)),
        squeeze=False,
        sharey="row",
        sharex="row",
        height_ratios=[2.5, 0.21 * len(truth.rules) + 0.4],
    )
    image, norm = None, plt.matplotlib.colors.LogNorm(1, max(2, sizes["rows"].max()))
    for c, s in enumerate(settings):
        part = sizes[sizes["setting"] == truth.settings[s]]
        field = np.full((most + 1, most + 1), np.nan)
        field[part["size of LAMP's set"], part["least size that is as good"]] = part["rows"]
        ax = axes[0, c]
        image = ax.imshow(field, origin="lower", cmap="cividis_r", norm=norm, interpolation="nearest", aspect="auto")
        ax.grid(False)
        ax.plot([-0.5, most + 0.5], [-0.5, most + 0.5], color=ORANGE, linewidth=1)
        ax.set_title(truth.settings[s])
        ax.set_xlabel("least size that is as good")
        ax.xaxis.set_major_locator(plt.MaxNLocator(integer=True, nbins=6))
        ax.yaxis.set_major_locator(plt.MaxNLocator(integer=True, nbins=6))
        ax = axes[1, c]
        part = ratios[ratios["setting"] == truth.settings[s]].reset_index(drop=True)
        for k, line in part.iterrows():
            colour = look(line["rule"])["color"]
            bar(ax, k, line, color=colour)
            ax.plot(line["error / least error [1]"], k, marker="o", color=colour, linestyle="none")
        ax.axvline(1, color=style.GREY, linewidth=0.8)
        ax.set_xscale("log")
        ax.minorticks_off()
        ax.set_xticks(GAP_TICKS, [f"{x:g}" for x in GAP_TICKS])
        ax.set_xlim(0.9, 1.1 * max(2.0, np.nanmax(ratios[HIGH_END].fillna(ratios["error / least error [1]"]))))
        ax.set_xlabel("error / least error of that size")
        rules_axis(ax, truth.rules)
    axes[0, 0].set_ylabel("size of LAMP's set")
    figure.colorbar(image, ax=axes[0, -1], label="rows", pad=0.02)
    style.head(figure, "How far from the best set of the row")
    rows = int(sizes["rows"].sum() / len(truth.settings))
    return publish(
        truth,
        "02-6-optimality-gaps",
        figure,
        pandas.concat([sizes, ratios]),
        f"All 2^n sets of the rows of at most {best_of_size(truth).shape[-1] - 1} scores of which LAMP recomputes some and not all ({rows}"
        " rows a setting). Above: the least size whose largest relative error of softmax is at most that of LAMP's set; on the line none"
        " is smaller. Below: the error of each rule's set of LAMP's size over the least error of that size, geometric mean over rows, then"
        f" {len(truth.sequences)} sequences.",
        interval_words("bar", ratios[SEQUENCES], what="of the logarithm"),
    )


def additivity_table(truth):
    """The three numbers of every setting, and the ratios between them as paired logarithms."""
    three = {}
    for name, (path, _, _) in ADDITIVE.items():
        values = truth.get(path)
        three[name] = np.nansum(values, tuple(range(2, values.ndim))) if values.ndim > 2 else values
    first, second, third = three.values()
    found = {name: geometric_interval(values) for name, values in three.items()}
    found |= {"interaction: second / first": ratio_interval(second, first), "nonlinearity: third / second": ratio_interval(third, second)}
    table = []
    for name, interval in found.items():
        table += [
            {
                "setting": setting,
                "quantity": name,
                "unit": "nat" if name in ADDITIVE else "1",
                "geometric mean": interval.mean[s],
                **interval.at(s).columns(),
            }
            for s, setting in enumerate(truth.settings)
        ]
    return pandas.DataFrame(table)


def covers_all(truth):
    """Whether the truth has every score of every row."""
    kl = truth.get("truth/one_low_kl")
    length = kl.shape[-1]
    return int((~np.isnan(kl[0, 0])).sum()) == kl.shape[2] * kl.shape[3] * length * (length + 1) // 2


def additivity(truth):
    """Figure 7."""
    if reason := why_not(truth, *(path for path, _, _ in ADDITIVE.values())):
        return reason
    if not covers_all(truth):
        return Sentence("Not drawn: the truth of this result covers a part of the scores, so their sums mean nothing.")
    table = additivity_table(truth)
    figure, axes = plt.subplots(1, 2, figsize=(3.2 + 1.5 * len(truth.settings), 3.6), squeeze=False)
    at = np.arange(len(truth.settings))
    for k, (name, (_, marker, colour)) in enumerate(ADDITIVE.items()):
        part = table[table["quantity"] == name]
        bars(axes[0, 0], at + 0.16 * (k - 1), part, marker, colour, name)
    for k, (name, marker, colour) in enumerate(
        (("interaction: second / first", "^", "#CC79A7"), ("nonlinearity: third / second", "v", style.INK))
    ):
        bars(axes[0, 1], at + 0.16 * (k - 0.5), table[table["quantity"] == name], marker, colour, name)
    axes[0, 1].axhline(1, color=style.GREY, linewidth=0.8)
    for ax, label in zip(axes[0], ("KL  (nat)", "ratio")):
        ax.set_yscale("log")
        ax.set_ylabel(label)
        ax.set_xticks(at, truth.settings, rotation=0 if len(truth.settings) < 5 else 25)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14 if len(truth.settings) < 5 else -0.28), fontsize=7.5)
    style.head(figure, "Is the truth additive?")
    return publish(
        truth,
        "02-7-additivity",
        figure,
        table,
        f"Geometric means over {len(truth.sequences)} sequences. From the first to the second number:"
        " interaction of the scores' logit changes; from the second to the third: nonlinearity, and errors made on errors.",
        interval_words("bar", table[SEQUENCES], what="of the logarithm"),
    )


def bars(ax, x, part, marker, colour, label):
    for at, (_, line) in zip(x, part.iterrows()):
        bar(ax, at, line, vertical=True, color=colour, linewidth=1.2)
    ax.plot(x, part["geometric mean"], marker=marker, color=colour, linestyle="none", label=label)


def layer_scores(truth):
    """What is said of layers and heads: name to (sequence, setting, layer, head) sums of what is said of their scores."""
    found = {"one-low, summed": np.nansum(truth.get("truth/one_low_kl"), (4, 5))} if covers_all(truth) else {}
    for rule in truth.rules:
        values = truth.get(f"selection/{rule}/priority")
        whole = int((~np.isnan(values[0, 0])).sum()) == values.shape[2] * values.shape[3] * values.shape[-1] * (values.shape[-1] + 1) // 2
        if whole and rule not in (
            "random",
            "window",
            "block-mean",
            "page-bound",
            "largest-logit",
            "one-low",
        ):  # theirs are no sizes of an effect
            found[rule] = np.nansum(values, (4, 5))
    return found


def grain_table(truth):
    """Spearman of those sums with layers and heads alone low, sequence by sequence."""
    heads, sites = truth.get("truth/coarse/one_low_kl"), truth.get("truth/coarse/one_low_kl_site")
    names = truth.scale("truth/coarse/site")
    truths = {
        "heads": heads.reshape(*heads.shape[:2], -1),
        "layers, scores low": sites[..., names.index("scores")],
        "layers, all sites, summed": sites.sum(-1),
    }
    table = []
    for rule, values in layer_scores(truth).items():
        for grain, true in truths.items():
            said = values.reshape(true.shape) if grain == "heads" else values.sum(-1)
            spread = (said.max(-1) - said.min(-1)) <= ALIKE * np.abs(said).max(-1)
            rho = np.array(
                [[np.nan if spread[i, s] else spearman(said[i, s], true[i, s]) for s in range(true.shape[1])] for i in range(len(true))]
            )
            interval = mean_interval(rho).cut(-1, 1)
            table += [
                {
                    "setting": setting,
                    "score": rule,
                    "grain": grain,
                    "Spearman [1]": interval.mean[s],
                    **interval.at(s).columns(),
                    "sequences with a constant side": int(len(rho) - interval.count[s]),
                }
                for s, setting in enumerate(truth.settings)
            ]
    return pandas.DataFrame(table)


def grains(truth):
    """Figure 8."""
    if reason := why_not(truth, "truth/one_low_kl", "truth/coarse/one_low_kl_site"):
        return reason
    table, settings = grain_table(truth), shown(truth)
    if table.empty:
        return Sentence("Not drawn: the truth of this result covers a part of the scores, so layers have no sums.")
    scores, names = list(dict.fromkeys(table["score"])), list(dict.fromkeys(table["grain"]))
    figure, axes = plt.subplots(
        len(names),
        len(settings),
        figsize=(2.6 + 2.5 * len(settings), 0.9 + len(names) * (0.5 + 0.19 * len(scores))),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for (r, grain), (c, s) in ((a, b) for a in enumerate(names) for b in enumerate(settings)):
        ax, part = axes[r, c], table[(table["grain"] == grain) & (table["setting"] == truth.settings[s])].reset_index(drop=True)
        for k, line in part.iterrows():
            colour = look(line["score"])["color"]
            if line["sequences"] == 0:
                ax.text(0, k, "all alike", fontsize=6.5, va="center", ha="center", color=style.GREY)
                continue
            bar(ax, k, line, color=colour, linewidth=1.2)
            ax.plot(line["Spearman [1]"], k, marker="o", color=colour, linestyle="none")
        ax.axvline(0, color=style.GREY, linewidth=0.8)
        if r > 0:
            ax.axvline(BAEK, color=ORANGE, linewidth=1.0, linestyle="--")
        rules_axis(ax, scores)
        ax.set_title((truth.settings[s] + "\n" if r == 0 else "") + grain, fontsize=8.5)
        ax.set_xlim(-1.05, 1.05)
    for ax in axes[-1]:
        ax.set_xlabel("Spearman over heads or layers")
    style.legend_of_grid(axes[0, -1], {f"{BAEK}: Baek, a layer risk\nscore, GPT-2": Line2D([], [], color=ORANGE, linestyle="--")})
    style.head(figure, "Heads and layers: the truth against the sums over their scores")
    layers, heads = truth.get("truth/coarse/one_low_kl").shape[2:]
    return publish(
        truth,
        "02-8-grains",
        figure,
        table,
        f"Spearman's rho over {layers * heads} heads or {layers} layers, mean over {len(truth.sequences)} sequences, intervals cut"
        " at -1 and 1. Truth: KL with the head's, or the layer's, scores alone low; below, the sum over the layer's sites, each alone low,"
        " stands in for patching the whole layer."
        + (" LAMP's own priority is a probability and sums to 1 over a row: of it layers are all alike." if "lamp" in truth.rules else ""),
        interval_words("bar", table[SEQUENCES]),
    )


def bound_table(truth):
    """Rows whose error exceeds cost(S) max |dy_j| / w_j, by the largest |dy_j| left, in bins of powers of two; of all settings.
    Beyond: by more than a factor 1 + 4 max |dy_j|, over the whole row, and ROUNDING; the cost is of the low row's softmax."""
    error, table = np.abs(truth.get("truth/score_error")), []
    whole = np.nan_to_num(error).max(-1)
    for rule in (r for r in FORMS if r in truth.rules):
        size = truth.get(f"selection/{rule}/size")
        priority = truth.get(f"selection/{rule}/priority")
        left = np.where(top(priority, size) | np.isnan(priority), 0.0, error).max(-1)
        cost, largest, real = (truth.get(f"selection/{rule}/{name}") for name in ("cost", "largest_error", "error"))
        bad = truth.get(f"selection/{rule}/violations") > 0
        with np.errstate(invalid="ignore"):  # infinite costs, where nothing low is left
            beyond = bad & ~(real <= cost * largest * (1 + 4 * whole) + ROUNDING)
        known = ~np.isnan(real)
        bins = np.where(left > 0, 2.0 ** np.floor(np.log2(np.where(left > 0, left, 1.0))), 0.0)
        for b in np.unique(bins[known]):
            inside = known & (bins == b)
            table.append({
                "rule": rule,
                "largest |dy| from [1]": b,
                "rows": int(inside.sum()),
                "violations": int(bad[inside].sum()),
                BEYOND: int(beyond[inside].sum()),
            })
    return pandas.DataFrame(table)


def bound_check(truth):
    """Figure 9."""
    if reason := why_not(truth, "truth/score_error"):
        return reason
    if not set(FORMS) & set(truth.rules):
        return Sentence(f"Not drawn: this result ranks none of the forms of LAMP with a bound ({', '.join(FORMS)}).")
    table = bound_table(truth)
    if not len(table):
        return Sentence(NO_NUMBER)
    rules = list(dict.fromkeys(table["rule"]))
    figure, axes = plt.subplots(1, len(rules), figsize=(1.4 + 2.9 * len(rules), 3.8), sharex=True, sharey=True, squeeze=False)
    for ax, rule in zip(axes[0], rules):
        part = table[(table["rule"] == rule) & (table["largest |dy| from [1]"] > 0)]
        x = np.log2(part["largest |dy| from [1]"]) + 0.5
        ax.bar(x, 100 * part["violations"] / part["rows"], width=0.9, color="#9ECAE1")
        ax.bar(x, 100 * part[BEYOND] / part["rows"], width=0.9, color="#08519C")
        for at, bad, rows in zip(x, part["violations"], part["rows"]):
            ax.text(at, 100 * bad / rows + 1.5, f"{bad} of {rows}", rotation=90, ha="center", va="bottom", fontsize=6)
        ax.axvline(SMALL_ERROR, color=ORANGE, linestyle="--", linewidth=1)
        ax.set_title(rule)
        ax.set_xlabel("log2 of the largest |dy| left low")
    axes[0, 0].set_ylabel("rows whose error exceeds\nthe bound  (%)")
    axes[0, 0].set_ylim(0, 125)
    axes[0, 0].set_yticks(range(0, 101, 20))
    style.legend_of_grid(
        axes[0, -1],
        {
            "within a factor\n1 + 4 max |dy|": Patch(color="#9ECAE1"),
            "by more": Patch(color="#08519C"),
            "left of it, by more\nis a fault": Line2D([], [], color=ORANGE, linestyle="--"),
        },
    )
    style.head(figure, "Does the cost bound the error?")
    zero = table[(table["largest |dy| from [1]"] == 0) & (table["rule"] == rules[0])]["rows"].sum()
    return publish(
        truth,
        "02-9-bound-check",
        figure,
        table,
        "Error of the row's softmax (largest relative error; 1-norm for normwise1) against cost(S) times the largest |dy_j| / w_j left"
        " low, all rows of all settings and sequences. The bound is of first order, and rows of one or two meet it with equality: up to a"
        f" factor 1 + 4 max |dy| of the whole row and {ROUNDING:.0e} is told apart. {zero} rows of {rules[0]} have no error left and are"
        " not shown.",
    )
