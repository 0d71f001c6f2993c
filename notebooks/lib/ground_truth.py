"""A result with ground truth as plain arrays (sequence, setting, ..), and the statistics of notebook 02. The unit is the sequence.

A setting is a point of the grid that the truth depends on: axes under `lamp` do not change it. Sequences of all texts stand in one
dimension; those that have not finished every setting are left out, and `Truth.notes` says so.
"""

import dataclasses
import functools
import html
import os
import pathlib

import h5py
import numpy as np
import xarray

from .output import Sentence
from .results import DONE, check, head, is_grid_axis, origin, result_path, uniform
from .style import MARKERS

KINDS = {  # what a rule looks at: colour, rules
    "forms of LAMP": ("#0072B2", ("lamp", "lamp-relative", "lamp-dot", "lamp-normwise1", "value-aware")),
    "baselines": ("#888888", ("largest-logit", "window", "block-mean", "page-bound", "random")),
    "know the errors": ("#D55E00", ("error", "z-error", "k-error")),
    "know derivatives": ("#009E73", ("first-order", "first-order-bound", "first-order-high", "fisher", "fisher-error")),
    "the truth itself": ("#000000", ("local", "one-low", "one-high")),
}
FORMS = ("lamp", "lamp-relative", "lamp-dot", "lamp-normwise1")  # with a cost that bounds an error of softmax
NO_NUMBER = "Not drawn: the ground truth of this result has no number here, only NaN."
E_LOGIT = 2.0**-47.5  # e, error of a log-probability in binary64, measured: study 02, noise-floor.csv
NOISE_FLOOR = ((2**0.5 + 2) / 2 * E_LOGIT) ** 2  # where the error of a KL computed in binary64, sqrt(2 KL) e + e^2 / 2, is the KL


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    path: pathlib.Path
    data: xarray.Dataset  # status and kl, for the head of the page
    varied: frozenset
    config: dict
    provenance: dict
    notes: tuple
    settings: list  # words
    sequences: list  # (text, sequence) of those that are used
    used: np.ndarray  # which of all sequences of all texts these are

    @property
    def name(self):
        return str(self.config.get("title", "")) or self.path.name

    @functools.cached_property
    def rules(self):
        """In the order of KINDS."""
        with h5py.File(self.path) as f:
            there = [name for name, node in f.get("selection", {}).items() if isinstance(node, h5py.Group)]
        return [r for _, rules in KINDS.values() for r in rules if r in there]

    def has(self, name):
        with h5py.File(self.path) as f:
            return name in f

    def get(self, name):
        """(sequence, setting, ..) of the dataset; the rest of its dimensions as they are."""
        with h5py.File(self.path) as f:
            values, dims = f[name][()], [d[0].name.rsplit("/", 1)[-1] for d in f[name].dims]
        own = dims.index("sequence") + 1
        grid = sum(is_grid_axis(d) for d in dims)
        tail = values.shape[own + grid :]
        values = values.reshape(int(np.prod(values.shape[:own])), -1, *tail)
        return values[self.used]

    def scale(self, name):
        with h5py.File(self.path) as f:
            return [x.decode() if isinstance(x, bytes) else x for x in f[name][()].tolist()]

    def _repr_html_(self):
        rows = [*head(self), ("settings", "; ".join(self.settings)), *(("note", note) for note in self.notes)]
        cells = (f"<tr><th>{html.escape(k)}</th><td style='text-align:left'>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{''.join(cells)}</table>"


def open_truth(path=None):
    """The result file `path`, by default the one that LAMP_RESULT names; without settings where it has no ground truth."""
    path = result_path(path)
    check(path)
    provenance, config = origin(path)
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf", decode_times=False)[["kl", "status"]]
    data, varied, _, _ = uniform(metrics, config, "kl", {})
    with h5py.File(path) as f:
        if "truth" not in f:
            return Truth(
                path=path,
                data=data,
                varied=varied,
                config=config,
                provenance=provenance,
                notes=(),
                settings=[],
                sequences=[],
                used=np.array([]),
            )
        dims = [d[0].name.rsplit("/", 1)[-1] for d in f["truth/all_low_kl"].dims]
        axes = {d: f[f"truth/{d}"][()].tolist() for d in dims if is_grid_axis(d)}
        status = f["metrics/status"]
        first = tuple(0 if is_grid_axis(d) and d not in axes else slice(None) for d in (d[0].name.rsplit("/", 1)[-1] for d in status.dims))
        done = status[()][first] == DONE
        texts = [t.decode() for t in f["truth/text"][()]] if "text" in dims else [""]
    done = done.reshape(len(texts) * done.shape[dims.index("sequence")], -1)
    used = done.all(1)
    count = len(used) // len(texts)
    names = [(pathlib.PurePath(t).stem, s) for t in texts for s in range(count)]
    notes = (
        [] if used.all() else [f"{int((~used).sum())} of {len(used)} sequences have not finished every setting: left out of all figures."]
    )
    return Truth(
        path=path,
        data=data,
        varied=varied,
        config=config,
        provenance=provenance,
        notes=tuple(notes),
        settings=setting_names(axes, config),
        sequences=[n for n, u in zip(names, used) if u],
        used=used,
    )


def setting_names(axes, config):
    """Of every point, in the order of the file."""

    def words(axis, value):
        value = value.decode() if isinstance(value, bytes) else value
        if axis.endswith(".mu"):
            return f"μ = {value:g}"
        return str(value) if axis.startswith("plan.") else f"{axis.split('.')[-1]} {value}"

    if not axes:
        mu = config.get("arithmetic", {}).get(config.get("plan", {}).get("scores", ""), {}).get("mu")
        return [f"μ = {mu:g}" if mu is not None else str(config.get("plan", {}).get("scores", "scores"))]
    names = [""]
    for axis, values in axes.items():
        names = [", ".join(filter(None, (name, words(axis, v)))) for name in names for v in values]
    return names


def open_other():
    """The result that LAMP_OTHER names, if it has ground truth; else None."""
    other = os.environ.get("LAMP_OTHER")
    found = open_truth(pathlib.Path(other)) if other else None
    return found if found and found.settings else None


def why_not(truth, *names):
    """A sentence where a figure would be, or None."""
    if not truth.settings:
        return Sentence("Not drawn: this result has no ground truth; its config has no [truth].")
    if not truth.sequences:
        return Sentence("Not drawn: no sequence of this result has finished every setting.")
    missing = [name for name in names if not truth.has(name)]
    if missing:
        return Sentence(f"Not drawn: this result has no /{missing[0]}; its [truth] does not ask for it.")
    return None


def row_mean(values, where=True):
    """(sequence, setting): mean over layer, head, query of what is not NaN."""
    kept = ~np.isnan(values) & where
    axes = tuple(range(2, values.ndim))
    count = kept.sum(axes)
    return np.where(kept, values, 0.0).sum(axes) / np.where(count > 0, count, np.nan)


def places(priority):
    """Place of each value in the ranking of the last axis, from 0: descending, of equal ones the lower index first; NaN: infinity."""
    order = np.argsort(-priority, axis=-1, kind="stable")
    place = np.empty_like(priority)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(order.shape[-1], dtype=float), order.shape), -1)
    return np.where(np.isnan(priority), np.inf, place)


def top(priority, size):
    """Marks of the first `size` (..) of that ranking. A size of NaN marks nothing."""
    return places(priority) < np.asarray(size)[..., None]


def average_ranks(x):
    """Ranks from 1 on, of equal values the mean."""
    x = np.asarray(x, float)
    return np.array([(x < v).sum() + ((x == v).sum() + 1) / 2 for v in x])


def spearman(x, y):
    """Rank correlation; NaN where either side has a NaN or is constant, and for n < 3."""
    if len(x) < 3 or np.isnan(x).any() or np.isnan(y).any():
        return np.nan
    a, b = average_ranks(x) - (len(x) + 1) / 2, average_ranks(y) - (len(y) + 1) / 2
    scale = np.sqrt((a @ a) * (b @ b))
    return a @ b / scale if scale > 0 else np.nan


def look(rule):
    """Colour, marker and line style of a rule: the colour says what it knows, the others which it is."""
    lines = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
    for colour, rules in KINDS.values():
        if rule in rules:
            k = rules.index(rule)
            return dict(color=colour, marker=MARKERS[k], linestyle=lines[k], markerfacecolor=colour if k % 2 == 0 else "white")
    return dict(color="#000000", marker="x", linestyle="-")
