"""The interactive page of notebook 00: one HTML file with its data and plotly.js in it, that opens without network.

All means and intervals are computed here, by any_result and intervals; interactive.js only chooses and draws. Where a metric has more points
than the page may hold, its largest own axes are averaged, and the page says so.
"""
import base64
import html
import importlib.util
import itertools
import json
import math
import pathlib

import h5py
import numpy as np
from matplotlib.colors import to_hex

from . import style
from .any_figures import or_sentence
from .any_result import REPLICATES, dims_of, few, points_of, read
from .intervals import BOOTSTRAP_FROM, interval_words
from .output import Sentence, out_folder
from .results import DONE, is_grid_axis

NAME = "00-interactive"
MOST_POINTS, MOST_OF_ONE = 400_000, 100_000  # of all metrics, of one
MOST_RESAMPLED = 20_000                      # of one, where intervals are bootstraps
MOST_CELLS = 1_500_000                       # attention entries of all maps
GROUPS = ("metrics", "truth", "errors", "selection")  # in this order
ALL_TEXTS, MEAN = "all texts", "mean"


class Page:
    """What the notebook shows of it."""

    def __init__(self, file, words):
        self.file, self.words = file, words

    def _repr_html_(self):
        return f'<p><a href="{self.file.name}">{self.file.name}</a>: {html.escape(self.words)}</p>'


@or_sentence
def page(result):
    if importlib.util.find_spec("plotly") is None:
        return Sentence("Not made: the interactive page needs plotly (Debian: python3-plotly).")
    from plotly.offline import get_plotlyjs
    metrics, said = packed_metrics(result)
    maps, more = attention_maps(result)
    said += more
    if not metrics and not maps:
        return Sentence("Not made: this result has no metric that the page could hold.")
    title = str(result.config.get("title", "")) or result.path.name
    data = {"title": title, "notes": [*result.notes, *said], "metrics": metrics, "maps": maps, "series": style.SERIES,
            "ordered": [to_hex(colour) for colour in style.ordered_colours(64)],
            "words": {"nan": style.NAN, "absent": style.NOT_COMPUTED, "infinite": style.INFINITE, "zero": style.ZERO}}
    script = pathlib.Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    text = PAGE.format(title=html.escape(title), plotly=get_plotlyjs(), script=script,
                       data=json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))
    file = out_folder(result, NAME) / f"{NAME}.html"
    file.write_text(text, encoding="utf-8")
    return Page(file, f"{len(metrics)} metrics, {len(maps)} attention maps; {len(text) / 1e6:.1f} MB, opens without network.")


def packed_metrics(result):
    """The metrics as JSON, and sentences on what was averaged or left out."""
    order = sorted((m for m in result.metrics.values() if not m.path.startswith("activations/")),
                   key=lambda m: (*GROUPS, m.path.split("/")[0]).index(m.path.split("/")[0]))
    left, averages, lost, found = MOST_POINTS, [], [], []
    for k, metric in enumerate(order):
        sequences = math.prod(len(metric.axes[d]) for d in REPLICATES if d in metric.axes)
        later = sum(size_of(m, []) for m in order[k + 1:])  # every metric has its place, if only as a mean
        budget = min(left - later, MOST_OF_ONE, MOST_RESAMPLED if sequences >= BOOTSTRAP_FROM else MOST_OF_ONE)
        own, averaged = sorted((d for d in metric.own() if len(metric.axes[d]) > 1), key=lambda d: len(metric.axes[d])), []
        while own and size_of(metric, own) > budget and own[-1] != "bin":
            averaged.append(own.pop())
        if size_of(metric, own) > budget:
            lost.append(metric.name)
            continue
        found.append(packed(result, metric, own))
        left -= size_of(metric, own)
        averages += [f"{metric.name} (over {', '.join(averaged)})"] if averaged else []
    said = [f"Shown as means, to keep the page small: {few(averages, 12)}."] if averages else []
    return found, said + ([f"Not on this page, since they have too many points: {few(lost, 12)}; notebook 00 draws them with --y."] if lost else [])


def extra(metric, d):
    """The entry of an axis beside its values."""
    if d == "text":
        return ALL_TEXTS if len(metric.axes[d]) > 1 else None
    return MEAN if not is_grid_axis(d) and d != "bin" else None


def size_of(metric, own):
    return math.prod(len(metric.axes[d]) + (extra(metric, d) is not None) for d in shown_axes(metric, own))


def shown_axes(metric, own):
    return [d for d in metric.axes if (d == "text" or is_grid_axis(d) or d in own) and len(metric.axes[d]) > 1]


def packed(result, metric, own):
    """A metric over its axes, each with one entry more for its mean (or all texts together)."""
    axes = shown_axes(metric, own)
    values, state, dims = read(result, metric, {})
    size = [len(metric.axes[d]) + (extra(metric, d) is not None) for d in axes]
    arrays = {name: np.full(size, np.nan) for name in ("mean", "low", "high", "count", "nan", "missing")}
    pooled = [d for d in axes if extra(metric, d)]
    replicated = True
    for kept in itertools.product((True, False), repeat=len(pooled)):
        keep = [d for d in axes if d not in pooled or kept[pooled.index(d)]]
        found = points_of(metric, values, state, dims, keep)
        place = tuple(slice(0, len(metric.axes[d])) if d in keep else len(metric.axes[d]) for d in axes)
        two = found.interval.count == 2
        arrays["mean"][place] = found.interval.mean
        arrays["low"][place] = np.where(two, found.interval.first, found.interval.low)
        arrays["high"][place] = np.where(two, found.interval.second, found.interval.high)
        for name, counts in (("count", found.interval.count), ("nan", found.nan), ("missing", found.missing)):
            arrays[name][place] = counts
        replicated = found.replicated
    counts = np.unique(arrays["count"][arrays["count"] > 0]).astype(int)
    return {
        "name": metric.name, "units": metric.units, "meaning": metric.long_name, "partial": metric.partial,
        "averaged": [d for d in metric.own() if d not in axes and len(metric.axes[d]) > 1],
        "axes": [{"name": d, "labels": metric.axes[d].labels(), "numbers": list(metric.axes[d].values) if metric.axes[d].numeric else None,
                  "extra": extra(metric, d)} for d in axes],
        "intervals": {int(n): interval_words("band or bar", [n]) for n in counts} if replicated else {},
        "arrays": {name: blob(a, np.float64 if name in ("mean", "low", "high") else np.uint32) for name, a in arrays.items()},
    }


def blob(values, dtype):
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


# Attention.


def attention_maps(result):
    """Maps (probabilities, selected set, true set) over (layer, head, query, key) of the first sequence of each text, and what is to be said."""
    with h5py.File(result.path, "r") as f:
        if "truth/score" in f and "selection/lamp_set" in f:
            return truth_maps(result)
        if "selected/scores" in f or "activations/softmax/run" in f:
            return recorded_maps(result, f)
    return [], ["No attention maps: the result has neither ground truth ([truth]) nor record.selected or activations of softmax."]


def truth_maps(result):
    from . import ground_truth
    truth = ground_truth.open_truth(result.path)
    if not truth.settings or not truth.sequences:
        return [], ["No attention maps: no sequence of the ground truth is finished."]
    score, chosen = truth.get("truth/score"), truth.get("selection/lamp_set") > 0.5
    has_true = truth.has("truth/one_low_kl") and truth.has("selection/lamp/size")
    kl, size = (truth.get("truth/one_low_kl"), truth.get("selection/lamp/size")) if has_true else (None, None)
    firsts = [k for k, (text, _) in enumerate(truth.sequences) if text not in [t for t, _ in truth.sequences[:k]]]
    maps, cells = [], 0
    for k in firsts:
        for s, setting in enumerate(truth.settings):
            y = score[k, s]
            cells += y.size
            if maps and cells > MOST_CELLS:
                return maps, [f"Attention maps: the first {len(maps)} of {len(firsts) * len(truth.settings)} texts and settings."]
            with np.errstate(invalid="ignore"):
                z = np.exp(y - np.nanmax(np.where(np.isnan(y), -np.inf, y), -1, keepdims=True))
                z = z / np.nansum(z, -1, keepdims=True)
            true = ground_truth.top(kl[k, s], size[k, s]) if has_true else None
            text, number = truth.sequences[k]
            label = f"{text + ', ' if text else ''}sequence {number}; {setting}"
            maps.append(one_map(label, z, chosen[k, s], true, "attention of the reference, ground truth by one-low KL"))
    return maps, []


def recorded_maps(result, f):
    """Of the cells that keep softmax, or, without it, sets alone."""
    has_z = "activations/softmax/run" in f
    like = f["activations/softmax/run" if has_z else "selected/scores"]
    dims = dims_of(like)
    grid = [d for d in dims if is_grid_axis(d)]
    labels = {d: [v.decode() if isinstance(v, bytes) else v for v in like.dims[k][0][()].tolist()] for k, d in enumerate(dims) if d in (*grid, "text")}
    status_dims, status = result.status["metrics"]
    maps, cells, there = [], 0, 0
    lead = [d for d in dims if d in REPLICATES or d in grid]
    for place in np.ndindex(*(like.shape[dims.index(d)] for d in lead)):
        at = dict(zip(lead, place))
        if at.get("sequence", 0) or status[tuple(at.get(d, 0) for d in status_dims)] != DONE:
            continue
        z = f["activations/softmax/run"][place] if has_z else None
        if z is not None and np.isnan(z).all():  # not recorded in this cell
            continue
        chosen = None
        if "selected/scores" in f:
            bits = np.unpackbits(f["selected/scores"][place], axis=-1, bitorder="little").astype(bool)
            chosen = bits[..., : bits.shape[-2]]
        there += 1
        cells += (z if z is not None else chosen).size
        if maps and cells > MOST_CELLS:
            continue
        words = [f"{pathlib.PurePath(labels['text'][at['text']]).stem}"] if "text" in at else []
        words += ["sequence 0", *(f"{d.rsplit('.', 1)[-1]} = {labels[d][at[d]]}" for d in grid)]
        if z is not None:
            z = np.where(np.tril(np.ones(z.shape[-2:], bool)), z, np.nan)
        maps.append(one_map(", ".join(words), z, chosen, None, "attention of the run" if has_z else "the selected set; softmax was not recorded"))
    said = [f"Attention maps: the first {len(maps)} of {there} cells."] if len(maps) < there else []
    return maps, said or ([] if maps else ["No attention maps: no finished cell keeps softmax or sets."])


def one_map(label, z, chosen, true, what):
    shape = (z if z is not None else chosen).shape
    return {"label": label, "what": what, "layers": shape[0], "heads": shape[1], "size": shape[-1],
            "z": blob(z, np.float32) if z is not None else None, "selected": bits(chosen), "true": bits(true)}


def bits(marks):
    return base64.b64encode(np.packbits(marks, axis=None, bitorder="little").tobytes()).decode() if marks is not None else None


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px "DejaVu Sans", Verdana, sans-serif; margin: 12px; color: #222; }}
h1 {{ font-size: 18px; margin: 0 0 8px; }}
.controls {{ display: flex; flex-wrap: wrap; gap: 6px 14px; margin: 8px 0; }}
.controls label {{ display: flex; flex-direction: column; font-size: 12px; color: #444; }}
select, button {{ font: inherit; padding: 3px 6px; max-width: 340px; }}
button.on {{ background: #0072B2; color: white; border: 1px solid #0072B2; }}
#said {{ color: #444; font-size: 13px; max-width: 1000px; }}
#notes {{ color: #444; font-size: 12px; max-width: 1000px; }}
</style></head><body>
<h1>{title}</h1>
<div id="views" class="controls"></div>
<div id="controls" class="controls"></div>
<div id="plot" style="width:1000px;height:570px"></div>
<p id="said"></p><ul id="notes"></ul>
<script>{plotly}</script>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body></html>
"""

