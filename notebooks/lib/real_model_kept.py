"""Which sum says what a gain is (figure 3c of notebook 04): of z^2 alone, or with the size of the scores, of results that keep softmax and scores.

In PS(mu) the error of a score is relative: a score y_j near 0 has a small one. To first order softmax makes z_i (delta_ij - z_j) e_j of an
error e_j, so a row that is one entry feels nothing of it, though its z^2 is 1.
"""

import h5py
import numpy as np
import pandas
from matplotlib.lines import Line2D

from . import style
from .output import Sentence, publish
from .real_model import GAIN, SEQUENCE, SHARE, gains, points, short
from .real_model_figures import both_logarithmic, foot_words, looks
from .results import DONE

SUMS = {
    "Σz²": lambda z, y: z**2,
    "Σ(zy)²": lambda z, y: (z * y) ** 2,
    "Σ(z(1−z))²": lambda z, y: (z * (1 - z)) ** 2,
    "Σ(z(1−z)y)²": lambda z, y: (z * (1 - z) * y) ** 2,
}


def kept_cells(run):
    """The cells of a run with columns `all NAME` and `low NAME` for each of SUMS: the sum over all entries of the pass that recomputes nothing,
    and over those of them that the cell leaves low."""
    cells, T = run.cells().reset_index(drop=True), run.T
    causal = np.tril(np.ones((T, T), bool))
    sums = {f"{which} {name}": np.full(len(cells), np.nan) for name in SUMS for which in ("all", "low")}
    with h5py.File(run.path, "r") as f:
        dims = [d[0].name.rsplit("/", 1)[-1] for d in f["metrics/kl"].dims]
        names = {d: d if d in SEQUENCE else short(d) for d in dims}
        labels = {d: [v.decode() if isinstance(v, bytes) else v for v in f[f"metrics/{d}"][()].tolist()] for d in dims}

        def place(row):
            return tuple(labels[d].index(row[names[d]]) if names[d] else 0 for d in dims)

        for _, group in cells.groupby([*SEQUENCE, "mu"], sort=False):
            nothing = group[group[SHARE] == 0]
            kept = next(
                (p for p in map(place, nothing.to_dict("records")) if np.isfinite(f["activations/softmax/run"][p][..., 0, 0]).all()), None
            )
            if kept is None:
                continue
            z, y = (np.where(causal, f[f"activations/{site}/run"][kept], 0.0) for site in ("softmax", "scores"))
            for name, of in SUMS.items():
                w = of(z, y)
                for k, row in group.iterrows():
                    low = np.unpackbits(f["selected/scores"][place(row)], axis=-1, count=T, bitorder="little") == 0
                    sums[f"all {name}"][k], sums[f"low {name}"][k] = w.sum(), w.sum(where=low)
    return cells.assign(**sums)


def kept_table(study):
    """One row a point that recomputes something: gain, and of each of SUMS what it says the gain is."""
    by, tables = ["mu", "rule", "weights", "at"], []
    for run in study.runs_of("kept"):
        cells = kept_cells(run)
        cells = cells[cells[SHARE] > 0]
        table = gains(cells, by).assign(kind="share" if "lamp.scores.rate" in run.config.get("grid", {}) else "tau")
        for name in SUMS:
            table[f"{name} / left low [1]"] = points(cells, by, f"low {name}", f"all {name}", "x")["x"]
        tables.append(table)
    return pandas.concat(tables, ignore_index=True)


def kept_off(table):
    """By sum, and rule lamp or not: how far the gain is from it, as a factor."""
    rows = []
    for (model, T, lamp), part in table.assign(lamp=table["rule"] != "random").groupby(["model", "T", "lamp"], sort=False):
        for name in SUMS:
            logs = np.log(part[GAIN] / part[f"{name} / left low [1]"])
            rows.append(
                {
                    "model": model,
                    "T": T,
                    "rules": "LAMP" if lamp else "random",
                    "sum": name,
                    "points": len(logs),
                    "mean": np.exp(logs.mean()),
                    "off": np.exp(np.abs(logs).mean()),
                    "most": np.exp(np.abs(logs).max()),
                }
            )
    return pandas.DataFrame(rows)


def why_not_kept(study):
    if not study.runs_of("kept"):
        return Sentence("Not drawn: none of these results keeps softmax, scores and selected sets (record.activations, record.selected).")
    if not any((run.data.status == DONE).any() for run in study.runs_of("kept")):
        return Sentence("Not drawn: no cell of the results that keep softmax and scores is finished.")
    return None


def sums(study):
    """Figure 3c."""
    if reason := why_not_kept(study):
        return reason
    table = kept_table(study)
    columns = [f"{name} / left low [1]" for name in SUMS]
    figure, axes = style.grid([f"{name} / left low" for name in SUMS], 4, 2.7, width=2.3, sharex=True, sharey=True)
    least, most = (f(table[[GAIN, *columns]].values) for f in (np.nanmin, np.nanmax))
    legend = {}
    for ax, column in zip(axes, columns):
        ax.plot([least, most], [least, most], color=style.GREY, linewidth=1)
        for (model, T), look in looks(table).items():
            for (kind, rule), part in table[(table["model"] == model) & (table["T"] == T)].groupby(["kind", "rule"]):
                face = "white" if rule == "random" else look["color"]
                edge = style.INK if kind == "share" else look["color"]
                ax.plot(part[column], part[GAIN], linestyle="none", marker=look["marker"], markerfacecolor=face, markeredgecolor=edge)
            legend[f"{model}, T = {T}"] = Line2D([], [], linestyle="none", **look)
        both_logarithmic(ax)
        ax.set_xlabel("what the sum says")
    axes[0].set_ylabel("gain in KL")
    for words, face, edge in (
        ("LAMP, one τ", style.GREY, style.GREY),
        ("LAMP, same share", style.GREY, style.INK),
        ("random", "white", style.GREY),
    ):
        legend[words] = Line2D([], [], linestyle="none", marker="o", markerfacecolor=face, markeredgecolor=edge)
    style.legend_of_grid(axes[-1], legend)
    mus = ", ".join(f"{mu:g}" for mu in sorted(set(table["mu"])))
    style.head(figure, f"Which sum says what the gain is, μ = {mus}")
    return publish(
        study,
        "04-3-sums",
        figure,
        table,
        "Gain in KL against four sums over all softmax entries over the same of those left low, z and y of the pass that "
        "recomputes nothing; geometric means over sequences.",
        foot_words(table),
    )
