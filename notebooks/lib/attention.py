"""The attention map of one head with the set that was recomputed: from a result that recorded both, or from arrays."""
import h5py
import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from . import style
from .any_figures import or_sentence
from .any_result import REPLICATES, ViewError, dims_of
from .output import publish
from .results import is_grid_axis

style.use()
FRAMES = (("white", 2.6), ("black", 1.1))  # black on white: seen on every colour, by every eye
LEAST = 1e-3  # smaller probabilities have the darkest colour


def recorded(result, layer, head, **at):
    """(probabilities (query, key), NaN where there is no entry, and the set as bool) of a head. at: index along the other axes, 0 where absent."""
    with h5py.File(result.path, "r") as f:
        for name, key in (("activations/softmax/run", 'record.activations = ["softmax"]'), ("selected/scores", "record.selected = true")):
            if name not in f:
                raise ViewError(f"the result has no {name}; its config needs {key}")
        dims = dims_of(f["selected/scores"])
        at = at | {"layer": layer, "head": head}
        place = tuple(at.get(d, 0) for d in dims if d in (*REPLICATES, "layer", "head") or is_grid_axis(d))
        z = f["activations/softmax/run"][place]
        chosen = np.unpackbits(f["selected/scores"][place], axis=-1, bitorder="little")[:, : len(z)].astype(bool)
    return np.where(np.tril(np.ones(z.shape, bool)), z, np.nan), chosen


def draw(ax, z, chosen):
    """The map on `ax`; returns its image. z, chosen: (query, key)."""
    norm = plt.matplotlib.colors.LogNorm(LEAST, 1)
    ax.grid(False)
    image = ax.imshow(np.ma.masked_invalid(np.maximum(z, LEAST)), cmap="cividis", norm=norm, interpolation="nearest")
    query, key = np.nonzero(chosen)
    size = (0.62 * ax.get_window_extent().width / ax.figure.dpi * 72 / len(z)) ** 2
    for color, width in FRAMES:
        ax.scatter(key, query, marker="s", s=size, facecolor="none", edgecolor=color, linewidth=width)
    ax.set(xlabel="key", ylabel="query", xlim=(-0.5, len(z) - 0.5), ylim=(len(z) - 0.5, -0.5))
    return image


def legend(ax, share):
    mark = Line2D([], [], marker="s", linestyle="none", markersize=6, markerfacecolor="none", markeredgecolor=FRAMES[-1][0], markeredgewidth=FRAMES[-1][1])
    ax.legend([mark], [f"recomputed ({share:.1%} of the scores)"], loc="upper right", fontsize=8)


@or_sentence
def head_map(result, layer, head, **at):
    """Attention of one head, query against key, on a logarithmic scale; the recomputed scores are framed."""
    z, chosen = recorded(result, layer, head, **at)
    figure, ax = plt.subplots(figsize=(5.6, 4.6))
    image = draw(ax, z, chosen)
    legend(ax, chosen.sum() / np.isfinite(z).sum())
    bar = figure.colorbar(image, ax=ax, label="attention probability of the run (1)", extend="min")
    bar.ax.grid(False)
    style.head(figure, f"Layer {layer}, head {head}: attention and the recomputed scores")
    query, key = np.nonzero(np.isfinite(z))
    table = pandas.DataFrame({"query": query, "key": key, "probability [1]": z[query, key], "recomputed [1]": chosen[query, key].astype(int)})
    return publish(result, "00-4-head-map", figure, table, f"Attention of layer {layer}, head {head}, of one sequence: rows are queries, columns keys; "
                   f"framed: scores that were recomputed. Probabilities below {LEAST:g} have the darkest colour.")
