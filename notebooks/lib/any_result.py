"""Any file of results as it is: its metrics, their axes, and the mean of a metric at the points of a figure.

A metric is a dataset of numbers over (text, sequence, axes of the grid, and axes of its own such as layer, head, position). Of what a figure
does not show, axes of the grid are cut at one value, the metric's own are averaged within each sequence, and means and intervals are over
sequences. Nothing that was not computed is a number here: `Metric` tells apart NaN that a run gave, NaN that stands for no value (where the
file's long_name says so), and what is pending, failed, or was not recorded (record.where).
"""
import dataclasses
import difflib
import functools
import html
import math
import pathlib

import h5py
import numpy as np
import pandas

from .intervals import Interval, mean_interval
from .results import DONE, check, head, is_grid_axis, origin, other_schema, progress, result_path

NUMBER, NAN, ABSENT = 0, 1, 2
REPLICATES = ("text", "sequence")
NAN_COLUMN, LEFT_OUT, MISSING = "sequences with NaN [1]", "values that are none (NaN), left out [1]", "cells not computed [1]"
MOST_VALUES = 40_000_000  # of a metric, read at once


class ViewError(Exception):
    """What was asked for cannot be shown: one sentence."""


@dataclasses.dataclass(frozen=True)
class Axis:
    name: str
    values: tuple
    long_name: str = ""

    @property
    def numeric(self):
        return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in self.values)

    def __len__(self):
        return len(self.values)

    def label(self, k):
        value = self.values[k]
        return f"{value:g}" if self.numeric else pathlib.PurePath(value).stem if self.name == "text" else str(value)

    def labels(self):
        found = [self.label(k) for k in range(len(self))]
        return found if len(set(found)) == len(found) else [str(v) for v in self.values]

    def find(self, word):
        """The index of a value, given as a word."""
        for k, value in enumerate(self.values):
            if str(word) in (self.label(k), str(value)) or (self.numeric and as_number(word) == value):
                return k
        raise ViewError(f"{self.name} has no value {word}; it has {few(self.labels())}")


@dataclasses.dataclass(frozen=True)
class Metric:
    path: str
    axes: dict  # name to Axis, in the order of the dataset
    units: str
    long_name: str
    none: float = math.nan  # the number that stands for no value, of flags that have one

    @property
    def name(self):
        return self.path.removeprefix("metrics/")

    @property
    def shape(self):
        return tuple(len(axis) for axis in self.axes.values())

    @property
    def partial(self):
        """NaN stands for "no value here", which the file says; else a NaN was computed."""
        return "NaN" in self.long_name or not math.isnan(self.none) or {"query", "component"} <= self.axes.keys()  # values of a site: a row has its causal entries only

    @property
    def label(self):
        return f"{self.name}  ({self.units})"

    def grid(self):
        return [d for d in self.axes if is_grid_axis(d)]

    def own(self):
        return [d for d in self.axes if not is_grid_axis(d) and d not in REPLICATES]

    def find(self, key):
        """The axis that a key names: whole, or its last part where that is enough."""
        found = [d for d in self.axes if d == key] or [d for d in self.axes if d.rsplit(".", 1)[-1] == key]
        if len(found) != 1:
            raise ViewError(f"{key} is no axis of {self.name}; its axes are {few(list(self.axes), 20)}")
        return found[0]


@dataclasses.dataclass(frozen=True, eq=False)
class AnyResult:
    path: pathlib.Path
    metrics: dict  # name to Metric
    status: dict   # "metrics", "reference": (dimensions, array)
    config: dict
    provenance: dict
    notes: tuple
    shown: object  # what results.head needs
    other: str     # what to say of its schema, where that is another

    def find(self, key):
        """The metric that a word names: its name, its path, or the end of one."""
        key = key.strip("/")
        found = ([m for m in self.metrics.values() if key in (m.name, m.path)]
                 or [m for m in self.metrics.values() if m.path.endswith("/" + key)])
        found = [m for m in found if m.path.count("/") == min(f.path.count("/") for f in found)]  # the one nearest to the root
        if len(found) == 1:
            return found[0]
        close = [m.name for m in found] or difflib.get_close_matches(key, self.metrics, 4, 0.4) or list(self.metrics)
        raise ViewError(f"{key} is {'several metrics' if found else 'no metric'} of this result; {'they are' if found else 'there are'} {few(close)}")

    def _repr_html_(self):
        grid = " × ".join(self.shown.grid) or "one cell a sequence"
        rows = [*(row for row in head(self.shown) if row[0] != "grid"), ("grid", grid), *(("note", note) for note in self.notes)]
        cells = (f"<tr><th>{html.escape(k)}</th><td style='text-align:left'>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{''.join(cells)}</table>"


def few(words, most=8):
    return ", ".join(words[:most]) + (f", .. ({len(words)})" if len(words) > most else "")


def as_number(word):
    try:
        return float(word)
    except ValueError:
        return math.nan


def open_any(path=None):
    """The result file `path`, by default the one that LAMP_RESULT names."""
    path = result_path(path)
    check(path)
    provenance, config = origin(path)
    with h5py.File(path, "r") as f:
        metrics, skipped = all_metrics(f)
        status = {group: (dims_of(f[f"{group}/status"]), f[f"{group}/status"][()]) for group in ("metrics", "reference") if f"{group}/status" in f}
    done = status["metrics"][1]
    notes = progress(done)
    other = other_schema(path)
    if other:
        notes.append(f"{other[0].upper()}{other[1:]}. What cannot be read is said in the figure's place.")
    if not metrics:
        notes.append("No dataset of this file is a metric with named axes.")
    if skipped:
        notes.append(f"Not read, since their axes have no names or other lengths: {few(skipped)}.")
    return AnyResult(path, metrics, status, config, provenance, tuple(notes), Shown(path, config, provenance, metrics.get("kl"), done), other)


class Shown:
    """What the head of a page is made of."""

    def __init__(self, path, config, provenance, kl, done):
        self.path, self.config, self.provenance = path, config, provenance
        axes = kl.axes if kl else {}
        self.varied = frozenset({"text"} & axes.keys())
        self.sizes = {"sequence": len(axes.get("sequence", [0])), "text": len(axes.get("text", [0]))}
        self.data = self
        self.grid = [f"{len(axes[d])} {d}" for d in (kl.grid() if kl else ())]


def dims_of(dataset):
    """Names of the dimensions; None where one has no scale."""
    if any(len(d) != 1 for d in dataset.dims):
        return None
    return tuple(d[0].name.rsplit("/", 1)[-1] for d in dataset.dims)


def all_metrics(f):
    """Name to Metric, those of /metrics first; and the paths of numbers whose axes cannot be told."""
    found, skipped, scales = {}, [], {}

    def axis(dataset, k, name):
        scale = dataset.dims[k][0]
        if scale.name not in scales:
            values = scale[()].tolist()
            scales[scale.name] = Axis(name, tuple(v.decode() if isinstance(v, bytes) else v for v in values), attribute(scale, "long_name"))
        return scales[scale.name]

    def visit(path, node):
        if not isinstance(node, h5py.Dataset) or path.startswith(("provenance/", "selected/")) or h5py.h5ds.is_scale(node.id):
            return
        if node.dtype.kind not in "fiu" or node.ndim == 0 or is_no_quantity(path, node):
            return
        dims = dims_of(node)
        axes = {d: axis(node, k, d) for k, d in enumerate(dims)} if dims and len(set(dims)) == len(dims) else {}
        metric = Metric(path, axes, attribute(node, "units"), attribute(node, "long_name"), flag_of_none(node))
        if not axes or metric.shape != node.shape:
            skipped.append("/" + path)
        elif not any(d.startswith("byte") for d in axes):
            found[metric.name] = metric

    f.visititems(visit)
    first = ("kl", "flip_rate", "cross_entropy", "recompute_rate")
    order = sorted(found, key=lambda n: (n not in first, first.index(n) if n in first else 0, not found[n].path.startswith("metrics/")))
    return {name: found[name] for name in order}, skipped


def is_no_quantity(path, node):
    """Names of things in the form of numbers: a status, token ids, sets as bits. No mean of them says anything."""
    return path.rsplit("/", 1)[-1] in ("status", "min_set", "lamp_set") or attribute(node, "long_name").startswith("token id")


def flag_of_none(node):
    meanings = attribute(node, "flag_meanings").split()
    return float(node.attrs["flag_values"][meanings.index("none")]) if "none" in meanings else math.nan


def attribute(node, name):
    value = node.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def done_mask(result, metric):
    """Whether what belongs to each (text, sequence, point of the grid) was finished, over those dimensions of the metric; None: no such."""
    dims, status = result.status.get("reference" if metric.path.startswith("reference/") else "metrics", (None, None))
    own = [d for d in metric.axes if d in REPLICATES or is_grid_axis(d)]
    if dims is None or not set(own) <= {*dims} or "sequence" not in own:
        return own, None
    done = (status == DONE).any(tuple(k for k, d in enumerate(dims) if d not in own))  # a metric that an axis does not change: of any of its cells
    left = [d for d in dims if d in own]
    return own, done.transpose([left.index(d) for d in own])


def recorded_mask(result, metric, dims):
    """Whether record.where asks for the metric, over `dims`, by axis: True, or an array that broadcasts."""
    where = result.config.get("record", {}).get("where", {})
    mask = True
    if metric.path.startswith(("errors/", "activations/")):
        for key in where:
            if key in dims:
                own = np.isin(np.arange(len(metric.axes[key])), recorded_values(result, metric, key))
                mask = mask & own.reshape([-1 if d == key else 1 for d in dims])
    return mask


def recorded_values(result, metric, d):
    """Indices of the values of an axis at which the metric was recorded."""
    where = result.config.get("record", {}).get("where", {})
    values = metric.axes[d].values
    asked = where.get(d) if metric.path.startswith(("errors/", "activations/")) else None
    found = [k for k, v in enumerate(values) if asked is None or any(same_value(v, a) for a in asked)]
    return found or list(range(len(values)))


def same_value(value, asked):
    if isinstance(value, (int, float)) and isinstance(asked, (int, float)):
        return value == asked
    return str(value).lower() in (str(asked).lower(), pathlib.PurePath(str(asked)).name.lower())


def read(result, metric, at):
    """(values, state, dims) of a metric cut at `at`: state tells NUMBER, NAN (the run gave it, or, of a partial metric, there is none) and
    ABSENT (not finished, failed, not recorded)."""
    cut = tuple(at.get(d, slice(None)) for d in metric.axes)
    dims = tuple(d for d in metric.axes if d not in at)
    size = math.prod(len(metric.axes[d]) for d in dims)
    if size > MOST_VALUES:
        raise ViewError(f"{metric.name} has {size:,} values here, too many at once; cut an axis, --at KEY=VALUE: {few(list(dims))}")
    own, done = done_mask(result, metric)
    with h5py.File(result.path, "r") as f:
        values = np.asarray(f[metric.path][cut], float)
    values = np.where(values == metric.none, np.nan, values)
    there = np.ones(values.shape, bool)
    if done is not None:
        done = done[tuple(at.get(d, slice(None)) for d in own)]
        there &= done.reshape([len(metric.axes[d]) if d in own else 1 for d in dims])
    full = recorded_mask(result, metric, list(metric.axes))
    if full is not True:
        full = np.broadcast_to(full, metric.shape)[cut]
        there &= full
    state = np.where(there, np.where(np.isnan(values), NAN, NUMBER), ABSENT).astype(np.uint8)
    return np.where(there, values, np.nan), state, dims


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """A metric at the points of some axes: Interval and counts over `dims`."""
    dims: tuple
    axes: dict
    interval: Interval
    nan: np.ndarray      # sequences whose value is NaN, computed; of a partial metric: values left out
    missing: np.ndarray  # sequences whose cell was not computed
    partial: bool
    replicated: bool     # the metric has sequences

    def table(self, column):
        """One row a point."""
        places = np.indices(self.interval.mean.shape).reshape(len(self.dims), -1) if self.dims else np.zeros((0, 1), int)
        rows = {d: [self.axes[d].values[k] for k in place] for d, place in zip(self.dims, places)}
        rows |= {f"index of {d}": place for d, place in zip(self.dims, places)}
        rows |= {name: np.asarray(values).reshape(-1) for name, values in ({column: self.interval.mean} | self.interval.columns()).items()}
        rows |= {LEFT_OUT if self.partial else NAN_COLUMN: self.nan.reshape(-1), MISSING: self.missing.reshape(-1)}
        return pandas.DataFrame(rows)


def points(result, metric, keep, at):
    """Means over sequences at every point of the axes `keep`; at: the others of the grid, and what else is cut, by index."""
    return points_of(metric, *read(result, metric, at), [d for d in keep if d not in at])


def points_of(metric, values, state, dims, keep):
    """The same of what was read."""
    replicates = [d for d in dims if d in REPLICATES and d not in keep]
    inner = [d for d in dims if d not in keep and d not in replicates]
    order = [dims.index(d) for d in (*replicates, *keep, *inner)]
    shape = [len(metric.axes[d]) for d in keep]
    count = math.prod(len(metric.axes[d]) for d in replicates)
    values, state = (a.transpose(order).reshape(count, *shape, -1) for a in (values, state))
    missing = (state == ABSENT).any(-1)
    if metric.partial:
        some = state == NUMBER
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(some, values, 0).sum(-1) / some.sum(-1)
        lost = (state == NAN).sum((0, -1))
    else:
        with np.errstate(invalid="ignore"):  # infinity less infinity
            each = values.mean(-1)
        lost = (np.isnan(each) & ~missing).sum(0)
    started = ~missing.reshape(count, -1).all(1)
    each, missing = each[started], missing[started]
    each = np.where(missing.any(0), np.nan, each)  # no two points of a line are means over different sequences
    empty = np.full(shape, np.nan)
    found = mean_interval(each, leave_out=metric.partial) if len(each) else Interval(empty, empty, empty, np.zeros(shape), empty, empty)
    unstarted = int((~started).sum())
    return Points(tuple(keep), metric.axes, found, lost, missing.sum(0) + unstarted, metric.partial, bool(replicates))
