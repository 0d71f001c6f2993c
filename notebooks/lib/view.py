"""What one figure of notebook 00 shows: a metric, which axis is x, colour, column and row, and at which value the others are cut."""
import dataclasses
import json
import os

from .any_result import REPLICATES, AnyResult, Metric, ViewError, recorded_values

PLACES = ("x", "colour", "columns", "rows")
MOST = dict(colour=6, columns=6, rows=5)  # lines of a panel, panels
OPTION = "LAMP_VIEW"


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    metric: Metric
    x: str | None
    colour: str | None
    columns: str | None
    rows: str | None
    at: dict      # axis to index
    named: bool   # axes were asked for

    def keep(self):
        return [d for d in (self.rows, self.columns, self.colour, self.x) if d]

    def indices(self, place):
        """The indices shown along a place: all of x, of the others at most MOST, evenly spread. [None]: no axis there."""
        axis = getattr(self, place)
        if axis is None:
            return [None]
        count, most = len(self.metric.axes[axis]), MOST.get(place)
        if most is None or count <= most:
            return list(range(count))
        return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})

    def slice_words(self, inside=()):
        """What is cut, at which value; what is averaged, without the axes `inside`, which the figure shows; over what the means are."""
        m = self.metric
        said = [f"{d} = {m.axes[d].label(k)}" for d, k in self.at.items()]
        inner = [d for d in m.own() if d not in self.keep() and d not in self.at and d not in inside]
        said += [f"mean over {', '.join(inner)}"] if inner else []
        if "sequence" in m.axes and "sequence" not in self.keep() and "sequence" not in self.at:
            said.append("sequences of all texts" if "text" in m.axes and "text" not in self.keep() and "text" not in self.at else "mean over sequences")
        return "; ".join(said)

    def left_out(self):
        """Values of axes that have no line or panel of their own."""
        counts = [(getattr(self, p), len(self.indices(p))) for p in PLACES[1:] if getattr(self, p)]
        said = [f"{len(self.metric.axes[d]) - n} of {len(self.metric.axes[d])} values of {d}" for d, n in counts if n < len(self.metric.axes[d])]
        return f" Not drawn: {', '.join(said)}." if said else ""


def options():
    """What the command line asked for: a dictionary of words; empty in a notebook."""
    return json.loads(os.environ.get(OPTION, "") or "{}")


def make_view(result: AnyResult, y=None, x=None, colour=None, columns=None, rows=None, at=None):
    """Words as the command line has them. What is not asked for is chosen: x is an axis of numbers of the grid, then colours, columns and rows
    take the other axes that vary, and what is left over is cut at its middle value (a rule at lamp)."""
    metric = result.find(y) if y else next(iter(result.metrics.values()), None)
    if metric is None:
        raise ViewError("this file has no metric with named axes")
    asked = {place: metric.find(key) for place, key in zip(PLACES, (x, colour, columns, rows)) if key}
    if len(set(asked.values())) < len(asked):
        raise ViewError(f"one axis has two places: {', '.join(f'{p} {d}' for p, d in asked.items())}")
    cut = {}
    for key, value in (at or {}).items():
        axis = metric.find(key)
        if axis in asked.values():
            raise ViewError(f"{axis} is both shown and cut")
        cut[axis] = metric.axes[axis].find(value)
    recorded = {d: recorded_values(result, metric, d) for d in metric.grid()}
    single = {d: found[0] for d, found in recorded.items() if len(found) == 1 < len(metric.axes[d]) and d not in asked.values()}
    cut = single | cut
    places = chosen(metric, asked, cut)
    shown = {d for d in places.values() if d}
    for d in metric.grid():
        if d not in shown and d not in cut:
            cut[d] = default_index(metric.axes[d], recorded[d])
    return View(metric, **places, at={d: k for d, k in cut.items() if len(metric.axes[d]) > 1 or d in (at or {})} | only_values(metric, shown),
                named=bool(asked))


def only_values(metric, shown):
    """Axes of one value are cut there, in the grid and of the metric's own."""
    return {d: 0 for d, axis in metric.axes.items() if len(axis) == 1 and d not in shown and d not in REPLICATES}


def chosen(metric, asked, cut):
    """Place to axis (or None)."""
    taken = {*asked.values(), *cut}
    grid = [d for d in metric.grid() if d not in taken and len(metric.axes[d]) > 1]
    numbers = [d for d in grid if metric.axes[d].numeric]
    own = [d for d in ("position", "layer", "bin", "query") if d in metric.axes and d not in taken and len(metric.axes[d]) > 1]
    places = {place: asked.get(place) for place in PLACES}

    def take(place, *groups):
        if places[place] is None:
            places[place] = next((d for group in groups for d in group if d not in places.values()), None)

    text = ["text"] if "text" in metric.axes and "text" not in taken and len(metric.axes["text"]) > 1 else []
    take("x", numbers, own, grid, text, [d for d in metric.own() if d not in taken and len(metric.axes[d]) > 1], text)
    few_values = [d for d in numbers + grid if len(metric.axes[d]) <= 24]
    take("colour", few_values)
    take("columns", text, few_values)
    take("rows", text, [d for d in few_values if len(metric.axes[d]) <= MOST["rows"]])
    return places


def default_index(axis, among=None):
    if "lamp" in axis.values:
        return axis.values.index("lamp")
    among = among or range(len(axis))
    return among[(len(among) - 1) // 2]


def view_of(result, **words):
    """The view of the words given, or else of the command line."""
    return make_view(result, **(words or options()))
