"""The figures of notebook 00: any metric over any axes of any result, its distribution, and its map over heads and layers."""
import functools

import numpy as np
import pandas
from matplotlib import pyplot as plt
from matplotlib import ticker

from . import style
from .any_result import ABSENT, LEFT_OUT, MISSING, NAN, NAN_COLUMN, NUMBER, ViewError, few, points, read
from .intervals import FIRST, SECOND, band, bar, interval_words, mean_interval
from .output import Sentence, publish
from .results import ResultError
from .view import default_index, make_view, options, view_of

style.use()
STEPS = 80         # of a distribution
LEAST_SHARE = 0.002  # of the positive values, below the first step of a logarithmic axis
MOST_NUMBERED = 80  # cells of a map that carry their number
LOG_FROM = 20      # y is logarithmic where the largest positive value is this many times the smallest
UNSHOWABLE = (KeyError, ValueError, IndexError, TypeError, OSError, AttributeError, RuntimeError)


def or_sentence(draw):
    """A request that cannot be, and a file of a schema that this was not written for, end in a sentence. Any other error is one of ours."""
    @functools.wraps(draw)
    def drawn(result, **words):
        try:
            return draw(result, **words)
        except (ViewError, ResultError) as error:
            return Sentence(f"Not drawn: {error}.")
        except UNSHOWABLE as error:
            if result.other:
                return Sentence(f"Not drawn: {result.other} ({error}).")
            raise
    return drawn


def contents(result):
    """What the file holds: one row a metric."""
    rows = [{"metric": m.name, "unit": m.units, "meaning": m.long_name, "axes": " × ".join(f"{d} ({len(a)})" for d, a in m.axes.items())}
            for m in result.metrics.values()]
    return Contents(pandas.DataFrame(rows, columns=["metric", "unit", "meaning", "axes"]))


class Contents:
    def __init__(self, table):
        self.table = table

    def _repr_html_(self):
        with pandas.option_context("display.max_colwidth", None):
            return self.table.to_html(index=False, border=0, classes="left")


@or_sentence
def picture(result, **words):
    """A metric against an axis: means over sequences with their intervals, in colours, columns and rows."""
    view = view_of(result, **words)
    metric, column = view.metric, f"{view.metric.name} [{view.metric.units}]"
    found = points(result, metric, view.keep(), view.at)
    table = found.table(column)
    if not np.isfinite(table[column]).any():
        return Sentence(nothing_words(metric, table, view))
    axis = metric.axes[view.x] if view.x else None
    names = axis is not None and not axis.numeric  # a name needs the width of a line of text, and stands below
    height, width = (2.5 + 0.055 * max(map(len, axis.labels())), max(2.9, 0.17 * len(axis))) if names else (2.5, 2.9)
    figure, axes = panels(view, height, width)
    log, legend = is_log(table[column]), {}
    numeric = axis is not None and axis.numeric
    for (row, col), ax in axes.items():
        panel = at_indices(table, {view.rows: row, view.columns: col})
        for n, k in enumerate(view.indices("colour")):
            line = at_indices(panel, {view.colour: k})
            look = line_look(view, n)
            name = label_of(metric, view.colour, k)
            x = line[view.x] if numeric else (line[f"index of {view.x}"] if view.x else pandas.Series(0.0, index=line.index))
            x = x if numeric else x + shift(n, len(view.indices("colour")))
            draw_line(ax, x, line, column, look, numeric, log, legend, name)
            marks(ax, x, line, column, log, legend, look["color"])
        if not np.isfinite(panel[column]).any():
            style.empty(ax, "NaN only" if (panel[MISSING] == 0).all() else "nothing computed here")
    finish(figure, axes, view, with_points(at_shown(table, view), column), log, axis)
    legend = {n: h for n, h in legend.items() if n not in style.MARKS} | {n: h for n, h in legend.items() if n in style.MARKS}
    if legend:
        style.legend_of_grid(last_of_first_row(view, axes), legend, view.colour)
    title = f"{metric.name}" + (f" against {view.x}" if view.x else "")
    titled(figure, title, view)
    return publish(result, "00-1-picture", figure, table.drop(columns=[c for c in table if c.startswith("index of ")]),
                   f"{metric.name}: {metric.long_name}. {view.slice_words()}.{view.left_out()}{counted(table, column)}", band_words(found), pdf=True)


@or_sentence
def distribution(result, **words):
    """The share of the values up to each size: of a metric, by position where the file has it so."""
    asked = words or options()
    wanted = result.find(asked["y"]) if asked.get("y") else next(iter(result.metrics.values()))
    by_position = result.metrics.get({"flip_rate": "flip_position"}.get(wanted.name, f"{wanted.name}_position"))
    view = make_view(result, **asked)
    if by_position is not None and by_position.own():
        asked = {k: v for k, v in asked.items() if k in ("y", "at") or v.rsplit(".", 1)[-1] in {d.rsplit(".", 1)[-1] for d in by_position.axes}}
        view = make_view(result, **asked | {"y": by_position.name})
    metric = view.metric
    # of the axes shown only lines and panels stay; x is cut, unless it is the metric's own: then its values are among those counted
    lines = dict(colour=view.colour, columns=view.columns, rows=view.rows)
    at = dict(view.at)
    if view.x and view.colour is None and view.x in metric.grid():
        lines["colour"] = view.x
    elif view.x in metric.grid():
        at[view.x] = default_index(metric.axes[view.x])
    view = type(view)(metric, None, lines["colour"], lines["columns"], lines["rows"], at, view.named)
    values, state, dims = read(result, metric, at)
    if not (state == NUMBER).any():
        return Sentence(f"Not drawn: {metric.name} has no number here ({(state == NAN).sum():,} NaN, {(state == ABSENT).sum():,} not computed).")
    numbers = values[(state == NUMBER) & np.isfinite(values)]
    if not len(numbers):
        return Sentence(f"Not drawn: {metric.name} has no finite number here.")
    if len(np.unique(numbers[:100000])) <= 2 and set(np.unique(numbers)) <= {0.0, 1.0}:
        return Sentence(f"Not drawn: {metric.name} is only 0 or 1 here; its mean says all of its distribution ({100 * numbers.mean():.3g} % are 1).")
    log = is_log(numbers)
    steps = thresholds(numbers, log)
    keep = view.keep()
    unit = [d for d in dims if d in ("text", "sequence") and d not in keep]
    inner = [d for d in dims if d not in keep and d not in unit]
    order = [dims.index(d) for d in (*keep, *unit, *inner)]
    shape = [len(metric.axes[d]) for d in keep]
    values, state = (a.transpose(order).reshape(*shape, max(1, int(np.prod([len(metric.axes[d]) for d in unit]))), -1) for a in (values, state))
    figure, axes = panels(view)
    legend, tables = {}, []
    for (row, col), ax in axes.items():
        any_here = False
        for n, k in enumerate(view.indices("colour")):
            place = tuple(i for i, d in ((row, view.rows), (col, view.columns), (k, view.colour)) if d)
            each, states = values[place], state[place]
            share, counts = shares(each, states, steps)
            point = {d: metric.axes[d].values[i] for i, d in ((row, view.rows), (col, view.columns), (k, view.colour)) if d}
            tables.append(pandas.DataFrame(point | {f"{metric.name} up to [{metric.units}]": steps, "values [%]": share.mean}
                                           | share.columns() | counts))
            if not np.isfinite(share.mean).any():
                continue
            any_here, look = True, line_look(view, n)
            drawn, = ax.plot(steps, share.mean, color=look["color"], linestyle=look["linestyle"])
            legend.setdefault(label_of(metric, view.colour, k), drawn)
            band(ax, steps, tables[-1], color=look["color"])
        style.empty(ax, "nothing computed here") if not any_here else None
        ax.set_ylim(0, 101)
    table = pandas.concat(tables)
    for (row, col), ax in axes.items():
        if log:
            ax.set_xscale("log")
        outer(ax, axes, row, col, view, metric.label, "values up to x  (%)")
    legend.pop("", None)
    if legend:
        style.legend_of_grid(last_of_first_row(view, axes), legend, view.colour)
    titled(figure, f"Distribution of {metric.name}" + (f" over {', '.join(inner)}" if inner else ""), view, inner)
    nans = int(table.drop_duplicates(subset=[d for d in keep] or None)["NaN values [1]"].sum())
    zeros = " A curve begins at the share that is 0 or less." if log and (numbers <= 0).any() else ""
    lost = f" {nans:,} NaN are left out." if nans else ""
    return publish(result, "00-2-distribution", figure, table, f"{metric.name}: {metric.long_name}. Share of the values up to each size, in each "
                   f"sequence; mean over sequences.{zeros}{lost}{view.left_out()}", interval_words("band", table["sequences"]), pdf=True)


def shares(each, states, steps):
    """Of (sequence, value): the Interval of the share [%] of each sequence's numbers that are at most each step, and counts."""
    rows = []
    for values, state in zip(each, states):
        numbers = np.sort(values[state == NUMBER])
        if len(numbers) and not (state == ABSENT).any():
            rows.append(100 * np.searchsorted(numbers, steps * (1 + 1e-12), side="right") / len(numbers))
    found = mean_interval(np.array(rows)) if rows else mean_interval(np.full((1, len(steps)), np.nan))
    zeros = int(((each == 0) & (states == NUMBER)).sum())
    return found.cut(0, 100), {"values [1]": int((states == NUMBER).sum()), "values that are 0 [1]": zeros, "NaN values [1]": int((states == NAN).sum()),
                               "values not computed [1]": int((states == ABSENT).sum())}


def thresholds(numbers, log):
    if log:
        good = numbers[numbers > 0]
        return np.geomspace(np.sort(good)[int(LEAST_SHARE * good.size)], good.max(), STEPS)
    return np.linspace(numbers.min(), numbers.max(), STEPS) if numbers.min() < numbers.max() else np.array([numbers.min()])


@or_sentence
def heads_and_layers(result, **words):
    """A metric by layer and head, one map a value of x (or of the columns)."""
    asked = words or options()
    metric, why = mapped(result, asked.get("y"))
    if metric is None:
        return Sentence(f"Not drawn: {why}.")
    axes_of = {d.rsplit(".", 1)[-1] for d in metric.axes} | set(metric.axes)
    kept = {k: v for k, v in asked.items() if k in ("x", "columns", "rows", "colour") and v in axes_of and v not in ("layer", "head")}
    at = {k: v for k, v in asked.get("at", {}).items() if k in axes_of and k not in ("layer", "head")}
    view = make_view(result, y=metric.name, at=at, **kept)
    free = [d for d in (view.x, view.colour, view.columns, view.rows) if d and d not in ("layer", "head")]
    columns = next((d for d in free if d in metric.grid()), free[0] if free else None)
    rows = next((d for d in ("text", *free) if d in free and d != columns), None)
    cut = dict(view.at) | {d: default_index(metric.axes[d]) for d in free if d not in (columns, rows) and d in metric.grid()}
    own = [d for d in ("layer", "head") if d in metric.axes]
    view = type(view)(metric, None, None, columns, rows, {d: k for d, k in cut.items() if d not in own}, True)
    found = points(result, metric, [*view.keep(), *own], view.at)
    column = f"{metric.name} [{metric.units}]"
    table = found.table(column)
    good = table[column][np.isfinite(table[column])]
    if not len(good):
        return Sentence(nothing_words(metric, table, view))
    shown = at_shown(table, view)[column]
    shown = shown[np.isfinite(shown)]
    norm = plt.matplotlib.colors.LogNorm(shown.min(), shown.max()) if is_log(shown) and (shown > 0).all() else plt.matplotlib.colors.Normalize(
        min(0, shown.min()), shown.max() if shown.max() > min(0, shown.min()) else min(0, shown.min()) + 1)
    layers, heads = (len(metric.axes[d]) if d in metric.axes else 1 for d in ("layer", "head"))
    figure, axes = panels(view, height=0.55 + min(4.5, max(1.5, 0.26 * layers)), width=0.7 + min(4.0, max(1.7, 0.36 * heads)), sharey=True)
    for (row, col), ax in axes.items():
        panel = at_indices(table, {rows: row, columns: col})
        values = panel[column].to_numpy().reshape(layers, heads) if "layer" in metric.axes else panel[column].to_numpy().reshape(1, -1)
        image = style.heat_map(ax, np.where(np.isfinite(values), values, np.nan), cmap="cividis", norm=norm)
        number_cells(ax, values, norm, panel[MISSING].to_numpy().reshape(values.shape))
        for axis, name in ((ax.xaxis, "head"), (ax.yaxis, "layer")):
            ticks(axis, metric.axes.get(name))
        outer(ax, axes, row, col, view, "head", "layer")
    figure.colorbar(image, ax=list(axes.values()), label=metric.label, pad=0.02)
    titled(figure, f"{metric.name} by layer and head" if len(own) == 2 else f"{metric.name} by {own[0]}", view, own)
    inner = f" {why}" if why else ""
    return publish(result, "00-3-heads-and-layers", figure, table.drop(columns=[c for c in table if c.startswith("index of ")]),
                   f"{metric.name}: {metric.long_name}. Mean over sequences; hatched: no number (the table says why).{inner}{view.left_out()}"
                   f"{counted(table, column)}", "", pdf=True)


def mapped(result, y):
    """The metric to map: the one asked for, or the first that has heads and layers; and what is to be said of it."""
    wanted = result.find(y) if y else None
    if wanted is not None and {"layer", "head"} & wanted.axes.keys():
        return wanted, ""
    for some in ({"layer", "head"}, {"layer"}):
        for m in result.metrics.values():
            if some <= m.axes.keys() and not m.path.startswith("activations/"):
                return m, f"{wanted.name} has no heads and layers, so {m.name} is shown." if wanted is not None else ""
    return None, "no metric of this result has an axis layer or head"


# Drawing helpers.


def panels(view, height=2.5, width=2.9, sharey=True):
    """(row, column) to axes, with the values of both axes as titles."""
    rows, columns = view.indices("rows"), view.indices("columns")
    size = 1.9 + width * len(columns), 0.9 + height * len(rows)
    figure, grid = plt.subplots(len(rows), len(columns), figsize=size, sharex=True, sharey=sharey, squeeze=False)
    found = {}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            found[row, column] = grid[i, j]
            names = [label_of(view.metric, view.columns, column), label_of(view.metric, view.rows, row)]
            grid[i, j].set_title("\n".join(n for n in names if n), fontsize=8.5)
    return figure, found


def last_of_first_row(view, axes):
    return axes[view.indices("rows")[0], view.indices("columns")[-1]]


def label_of(metric, axis, k):
    """"mu = 7"; of a text its name."""
    if axis is None or k is None:
        return ""
    value = metric.axes[axis].labels()[k]
    return value if axis == "text" or not metric.axes[axis].numeric else f"{axis.rsplit('.', 1)[-1]} = {value}"


def at_indices(table, indices):
    for axis, k in indices.items():
        if axis is not None:
            table = table[table[f"index of {axis}"] == k]
    return table


def at_shown(table, view):
    """Rows of the values that have a line or a panel."""
    for place in ("colour", "columns", "rows"):
        axis = getattr(view, place)
        if axis is not None:
            table = table[table[f"index of {axis}"].isin(view.indices(place))]
    return table


def line_look(view, n):
    if view.colour is not None and view.metric.axes[view.colour].numeric:
        colours = style.ordered_colours(len(view.indices("colour")))
        return dict(color=colours[n], marker=style.MARKERS[n % len(style.MARKERS)], linestyle=style.LINES[n % len(style.LINES)])
    return style.series(n)


def shift(n, count):
    """Beside each other at one place of an axis of names."""
    return (n - (count - 1) / 2) * 0.7 / max(count, 3)


def draw_line(ax, x, line, column, look, numeric, log, legend, name):
    y = line[column].where(np.isfinite(line[column]))
    y = y.where(y > 0) if log else y
    linestyle = look["linestyle"] if numeric and len(line) > 1 else "none"
    marker = look["marker"] if len(line) <= 40 else None
    drawn, = ax.plot(x, y, color=look["color"], marker=marker if linestyle != "none" else look["marker"], linestyle=linestyle)
    if name:
        legend.setdefault(name, drawn)
    if numeric and len(line) > 1:
        band(ax, x, line, color=look["color"])
        if y.notna().sum() and lonely(y).any():
            for k in np.flatnonzero(lonely(y)):
                bar(ax, x.iloc[k], line.iloc[k], vertical=True, color=look["color"], linewidth=2.2, alpha=0.35)
    else:
        for k in range(len(line)):
            bar(ax, x.iloc[k], line.iloc[k], vertical=True, color=look["color"], linewidth=2.2, alpha=0.35, solid_capstyle="butt")


def lonely(y):
    """Points without a neighbour: no line, and no band, would show them."""
    there = y.notna().to_numpy()
    return there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]


def marks(ax, x, line, column, log, legend, color):
    """What has no place on the y axis."""
    y, nan, missing = line[column], line.get(NAN_COLUMN, pandas.Series(0, index=line.index)), line[MISSING]
    style.mark(ax, style.NAN, x[y.isna() & (nan > 0)], legend, color)
    style.mark(ax, style.NOT_COMPUTED, x[y.isna() & (nan == 0) & ((missing > 0) | (LEFT_OUT in line))], legend, color)
    style.mark(ax, style.INFINITE, x[np.isinf(y)], legend, color)
    if log:
        style.mark(ax, style.ZERO, x[y == 0], legend, color)


def is_log(values):
    values = np.asarray(values, float)
    good = values[np.isfinite(values) & (values > 0)]
    return bool(len(good)) and not (values < 0).any() and good.max() / good.min() >= LOG_FROM


def finish(figure, axes, view, values, log, axis):
    for (row, col), ax in axes.items():
        if log:
            ax.set_yscale("log")
        outer(ax, axes, row, col, view, view.x or "", view.metric.label)
        if axis is not None:
            ticks_of_x(ax, axis)
        else:
            ax.set_xticks([])
    ax, good = next(iter(axes.values())), values[np.isfinite(values)]
    if log:
        good = good[good > 0]
        ax.set_ylim(good.min() / 2, good.max() * 2)
    elif good.min() >= 0:
        ax.set_ylim(bottom=0)


def ticks_of_x(ax, axis):
    if axis.numeric:
        values = sorted(axis.values)
        if values[0] > 0 and values[-1] / values[0] >= 50:
            ax.set_xscale("log")
        elif len(values) <= 7 and min(np.diff(values), default=1) >= (values[-1] - values[0]) / 14:
            ax.set_xticks(values, [f"{v:g}" for v in values])
        else:
            ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=all(isinstance(v, int) for v in values)))
        return
    labels = axis.labels()
    long = max(map(len, labels)) * len(labels) > 26
    ax.set_xticks(range(len(labels)), labels, **(dict(rotation=90, fontsize=7) if long else {}))
    ax.set_xlim(-0.6, len(labels) - 0.4)


def ticks(axis, values):
    count = len(values) if values is not None else 1
    places = list(range(0, count, max(1, -(-count // 12))))
    axis.set_major_locator(ticker.FixedLocator(places))
    axis.set_major_formatter(ticker.FixedFormatter([values.label(k) if values is not None else "" for k in places]))


def outer(ax, axes, row, col, view, x, y):
    rows, columns = view.indices("rows"), view.indices("columns")
    if row == rows[-1]:
        ax.set_xlabel(x, fontsize=8.5)
    if col == columns[0]:
        ax.set_ylabel(y if len(y) < 34 else y.replace("  (", "\n(", 1), fontsize=8.5)


def number_cells(ax, values, norm, missing):
    if values.size > MOST_NUMBERED:
        return
    for (i, k), value in np.ndenumerate(values):
        if value == value:
            ax.text(k, i, short(value), ha="center", va="center", fontsize=6, color=style.ink_on("cividis", float(norm(value))))
        else:
            ax.text(k, i, "–" if missing[i, k] else "NaN", ha="center", va="center", fontsize=6, color=style.INK)


def short(value):
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.2g}"


def titled(figure, title, view, inside=()):
    words = view.slice_words(inside)
    style.head(figure, title + (f"\n{words}" if words else ""))


def band_words(found):
    if not found.replicated:
        return "values as they are recorded, no interval"
    return interval_words("band or bar", found.interval.count)


def with_points(table, column):
    """The means, and where they are of two sequences these too."""
    return pandas.concat([table[c] for c in (column, FIRST, SECOND) if c in table])


def nothing_words(metric, table, view):
    nan, missing = int((table.get(NAN_COLUMN, table.get(LEFT_OUT)) > 0).sum()), int((table[MISSING] > 0).sum())
    return (f"Not drawn: {metric.name} has no number at any of the {len(table)} points ({view.slice_words() or 'nothing is cut'}): "
            f"{nan} are NaN, at {missing} something was not computed.")


def counted(table, column):
    """How many points have no number, and why."""
    said = []
    if NAN_COLUMN in table and (table[NAN_COLUMN] > 0).any():
        said.append(f"at {(table[NAN_COLUMN] > 0).sum()} of {len(table)} points it is NaN in some sequence, so no mean")
    if LEFT_OUT in table and table[LEFT_OUT].any():
        said.append(f"{int(table[LEFT_OUT].sum()):,} values that do not exist (NaN, as the file says) are left out")
    gaps = (table[MISSING] > 0) & table[column].isna()
    if gaps.any():
        said.append(f"at {gaps.sum()} of {len(table)} points it was not computed")
    return f" {'; '.join(said).capitalize()}." if said else ""
