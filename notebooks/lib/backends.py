"""The figures of notebook 03: one network under the matrix products of different backends, the axis `plan.default` of the grid."""
import dataclasses
import functools
import html
import itertools
import pathlib
import textwrap

import numpy as np
import pandas
import xarray
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from . import style
from .intervals import LEVEL, SEQUENCES, band, bar, interval_words, mean_interval, ratio_interval
from .output import NANS, Sentence, publish
from .results import DONE, check, computed_nan, head, is_grid_axis, lengths_of, nan_words, origin, progress, result_path, token_ids

style.use()
AXIS = "plan.default"
KL, FLIPS, DIVERGED, MEDIAN = "KL [nat]", "flip rate [%]", "continuations that diverge [%]", "median first diverging position [tokens]"
CHANGED, PARTED = "positions with another distribution [%]", "continuations that differ [%]"
FIRST = "median first differing position [tokens]"
PRODUCTS_ALONE = ("tree:", "kahan", "neumaier", "numpy-sum")  # orders that round every product before they add it
PERCENT = (0, 100)  # where the interval of a share ends at the latest


@dataclasses.dataclass(frozen=True, eq=False)
class Backends:
    path: pathlib.Path
    data: xarray.Dataset       # kl, flip_rate, status[, divergence_position] (text, sequence, backend); NaN where not done
    varied: frozenset
    config: dict
    provenance: dict
    notes: tuple
    reference: str             # name of its arithmetic
    run: np.ndarray | None     # token ids (text, sequence, backend, step); None: no continuations
    expected: np.ndarray | None  # of the reference (text, sequence, step)
    positions: np.ndarray      # KL at each position (text, sequence, backend, position)
    lengths: np.ndarray | None  # of the sequences (text, sequence); None: all have all positions

    def names(self):
        return [str(name) for name in self.data.backend.values]

    @functools.cached_property
    def families(self):
        """Backend to what its products take: the format of their operands, or of all numbers."""
        return {name: family(self.config.get("arithmetic", {}).get(name, {})) for name in self.names()}

    def grouped(self):
        """Names by family, families and names in the order of the grid."""
        groups = {}
        for name in self.names():
            groups.setdefault(self.families[name], []).append(name)
        return groups

    def looks(self):
        """Family to colour and marker, the same in all figures."""
        return {group: dict(color=style.SERIES[k % len(style.SERIES)], marker=style.MARKERS[k % len(style.MARKERS)])
                for k, group in enumerate(self.grouped())}

    def _repr_html_(self):
        rows = [*head(self), *(("note", note) for note in self.notes)]
        cells = (f"<tr><th>{html.escape(k)}</th><td style='text-align:left'>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{''.join(cells)}</table>"


def family(arithmetic):
    operands = arithmetic.get("operands", "as-is")
    return str(operands if operands != "as-is" else arithmetic.get("format", "")) or "unnamed"


def open_backends(path=None):
    """The result file `path`, by default the one that LAMP_RESULT names. Other axes than `plan.default` are cut at their first value."""
    path = result_path(path)
    check(path)
    provenance, config = origin(path)
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf", decode_times=False)
    positions = uniform(metrics.kl_position, [])
    lengths = lengths_of(path)
    metrics = metrics[[n for n in ("kl", "flip_rate", "status", "divergence_position") if n in metrics]]
    run = expected = None
    if "divergence_position" in metrics:
        tokens = xarray.open_dataset(path, group="continuations", engine="h5netcdf", decode_times=False)
        run, expected = uniform(token_ids(tokens["run"]), []), uniform(token_ids(tokens["reference"]), None)
    notes = []
    data = uniform(metrics, notes)
    if AXIS not in metrics.dims:  # one plan: its default
        data = data.assign_coords(backend=[config.get("plan", {}).get("default", "")])
    notes += progress(data.status) + nan_words(data)
    return Backends(path=path, data=data.where(data.status == DONE).assign(status=data.status),
                    varied=frozenset({"backend"} | ({"text"} if "text" in metrics.dims else set())), config=config, provenance=provenance,
                    notes=tuple(notes), reference=str(config.get("reference", {}).get("arithmetic", "")),
                    run=None if run is None else run.values, expected=None if expected is None else expected.values, positions=positions.values,
                    lengths=None if lengths is None else uniform(lengths, None).values)


def uniform(data, notes):
    """With dimensions (text, sequence, backend, ..); notes: what was cut, told there; None: data of the reference, without the axis of backends."""
    for d in list(data.dims):
        if is_grid_axis(d) and d != AXIS:
            if notes is not None:
                notes.append(f"The grid also varies {d}; every figure shows its first value, {data[d].values[0]}, only.")
            data = data.isel({d: 0}, drop=True)
    if AXIS in data.dims:
        data = data.rename({AXIS: "backend"})
    front = ["text", "sequence"] + ([] if notes is None else ["backend"])
    data = data.expand_dims({d: [""] for d in front if d not in data.dims})
    return data.transpose(*front, ...)


def why_not(result, continuations=False):
    if not (result.data.status == DONE).any():
        return Sentence("Not drawn: no cell of this result is finished.")
    if continuations and result.run is None:
        return Sentence("Not drawn: this result has no greedy continuations (its config has no [continuation]).")
    return None


def steps(result):
    """Generated tokens of a continuation."""
    return result.run.shape[-1]


def pooled(result, values):
    """(sequences of all texts of which every backend is done, backend). What is NaN there was computed, and stays."""
    flat = values.reshape(-1, values.shape[-1])
    return flat[(result.data.status == DONE).values.reshape(flat.shape).all(1)]


def backend_table(result):
    """One row a backend: means over all sequences of all texts with their intervals."""
    table = pandas.DataFrame({"backend": result.names(), "operands": [result.families[n] for n in result.names()]})
    columns = [(KL, result.data.kl.values), (FLIPS, 100 * result.data.flip_rate.values)]
    if result.run is not None:
        diverged = result.data.divergence_position
        columns.append((DIVERGED, (100.0 * (diverged < steps(result))).where(diverged.notnull()).values))
    for name, values in columns:
        found = mean_interval(pooled(result, values), leave_out=False)
        found = found if name == KL else found.cut(*PERCENT)
        table = table.assign(**{name: found.mean}, **found.columns(name + ", "))
    if result.run is not None:
        flat = pooled(result, result.data.divergence_position.values)
        median = np.median(flat, 0) if len(flat) else np.full(len(table), np.nan)
        table[MEDIAN] = np.where(median < steps(result), median, np.nan)  # empty: more than half never diverge
    nan = computed_nan(result.data).sum(("text", "sequence")).values
    return table.assign(**{NANS: nan}) if nan.any() else table


def backends(result):
    """Figure 1: every backend's distance from the reference."""
    if reason := why_not(result):
        return reason
    table = backend_table(result)
    shown = [(KL, "KL divergence  (nat)"), (FLIPS, "argmax flips  (%)"), (DIVERGED, "greedy continuations\nthat diverge  (%)")]
    shown = [(c, label) for c, label in shown if c in table]
    groups, looks = result.grouped(), result.looks()
    order = [name for names in groups.values() for name in names]
    rows = table.set_index("backend").loc[order]
    gap = 0.6  # between families
    y, at = {}, 0.0
    for names in groups.values():
        for name in names:
            y[name], at = at, at + 1
        at += gap
    figure, axes = plt.subplots(1, len(shown), figsize=(2.6 + 2.5 * len(shown), 1.2 + 0.185 * at), sharey=True, squeeze=False)
    for ax, (column, label) in zip(axes[0], shown):
        values = rows[column]
        log = column == KL
        if log and (values > 0).any():
            ax.set_xscale("log")
            least = values[values > 0].min()
            ax.set_xlim(least / 4, values.max() * 4)
        for group, names in groups.items():
            colour = looks[group]["color"]
            for name in names:
                value = rows.loc[name, column]
                if value != value and NANS in rows and rows.loc[name, NANS] > 0:
                    ax.text(0.02, y[name], "NaN", transform=ax.get_yaxis_transform(), color=colour, fontsize=7, va="center")
                    continue
                if log and value == 0:
                    ax.plot(least / 4, y[name], marker="<", color=colour, clip_on=False)
                    continue
                bar(ax, y[name], rows.loc[name], column + ", ", color=colour, linewidth=2.4, alpha=0.35, solid_capstyle="butt")
                ax.plot(value, y[name], clip_on=False, **looks[group])
        ax.set_xlabel(label)
        ax.set_ylim(at - gap - 0.3, -0.7)
        if not log:
            ax.set_xlim(left=0)
        if values.isna().all() and not (NANS in rows and rows[NANS].any()):
            style.empty(ax, "no sequence has\nfinished every backend")
    axes[0, 0].set_yticks([y[n] for n in order], order)
    legend_of_families(axes[0, -1], looks)
    style.head(figure, f"Distance from the reference ({result.reference})")
    words = "; a triangle on the left edge: a KL of exactly 0" if (rows[KL] == 0).any() else ""
    return publish(result, "03-1-backends", figure, table,
                   f"Every backend against the reference ({result.reference}): mean over the sequences of all texts{words}.",
                   interval_words("bar", table[f"{KL}, {SEQUENCES}"], "sequences of all texts"))


def legend_of_families(ax, looks, some=None):
    legend = {group: Line2D([], [], linestyle="none", **look) for group, look in looks.items() if some is None or group in some}
    style.legend_of_grid(ax, legend, "operands of the products")


def survival_table(result):
    """Share of the continuations that are still the reference's after a number of generated tokens, and its interval."""
    flat = pooled(result, result.data.divergence_position.values)
    after = np.arange(steps(result) + 1)
    still = 100.0 * (flat[:, :, None] >= after) if len(flat) else np.full((1, len(result.names()), len(after)), np.nan)
    found = mean_interval(still, leave_out=False).cut(*PERCENT)
    columns = {name: values.ravel() for name, values in ({"still equal [%]": found.mean} | found.columns()).items()}
    return pandas.DataFrame({"backend": np.repeat(result.names(), len(after)), "operands": np.repeat([result.families[n] for n in result.names()], len(after)),
                             "generated [tokens]": np.tile(after, len(result.names()))} | columns), len(flat)


def survival(result):
    """Figure 2: greedy continuations, token by token."""
    if reason := why_not(result, continuations=True):
        return reason
    table, count = survival_table(result)
    if not count:
        return Sentence("Not drawn: no sequence of this result has finished every backend.")
    groups, looks = result.grouped(), result.looks()
    most = max(len(wrapped(names).split("\n")) for names in groups.values())
    figure, axes = style.panels([f"{group}" for group in groups], height=2.5 + 0.11 * max(0, most - 3))
    for ax, (group, names) in zip(axes, groups.items()):
        alike = {}  # backends with one curve share a line of the legend
        for name in names:
            curve = tuple(table[table["backend"] == name]["still equal [%]"])
            alike.setdefault(curve, []).append(name)
        for k, (curve, those) in enumerate(alike.items()):
            own = table[table["backend"] == those[0]]
            ax.step(range(len(curve)), curve, where="post", color=looks[group]["color"], linestyle=style.LINES[k % len(style.LINES)],
                    linewidth=1.8 - 0.15 * min(k, 5), label=wrapped(those), clip_on=False)
            band(ax, "generated [tokens]", own, color=looks[group]["color"], alpha=0.06, step="post")
        ax.set_ylim(0, 102)
        ax.set_xlim(0, steps(result))
        lowest = min(curve[-1] for curve in alike)
        ax.legend(loc="lower left" if lowest > 40 else "upper right", fontsize=6.5, handlelength=2.6, frameon=True, framealpha=0.9, edgecolor="none")
    for ax in axes[-style.COLUMNS:]:
        ax.set_xlabel("generated tokens")
    for ax in axes[::style.COLUMNS]:
        ax.set_ylabel("continuations still equal  (%)")
    style.head(figure, f"Greedy continuations that are still those of the reference ({result.reference}), by the operands of the products")
    return publish(result, "03-2-survival", figure, table, f"Share of {count} greedy continuations in which every token so far is the "
                   f"reference's ({result.reference}), by the format of the operands of the products. Backends with one curve share a line.",
                   interval_words("band", table[SEQUENCES], "sequences of all texts"))


def wrapped(names):
    return textwrap.fill(", ".join(names), 36, break_on_hyphens=False)


def pair_table(result):
    """Share of the sequences whose continuations differ, between any two backends and the reference. Where a logit was NaN there is no
    token (NaN), and it is like no other."""
    names = [f"reference ({result.reference})", *result.names()]
    done = (result.data.status == DONE).all("backend").values
    tokens = np.concatenate([result.expected[:, :, None], result.run], 2)[done]  # (sequences, names, step)
    differ = np.full((len(names), len(names)), np.nan)
    for i, j in np.ndindex(differ.shape if len(tokens) else (0, 0)):
        differ[i, j] = 100 * (tokens[:, i] != tokens[:, j]).any(-1).mean() if i != j else np.nan  # it is not compared with itself
    return names, differ, len(tokens)


def pairs(result):
    """Figure 3: which backends write the same text."""
    if reason := why_not(result, continuations=True):
        return reason
    names, differ, count = pair_table(result)
    if not count:
        return Sentence("Not drawn: no sequence of this result has finished every backend.")
    size = 0.3 * len(names)
    figure, ax = plt.subplots(figsize=(2.6 + size, 1.6 + size))
    image = style.heat_map(ax, differ, cmap="cividis", vmin=0, vmax=100)
    ax.set_aspect("equal")
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    for (i, j), value in np.ndenumerate(differ):
        if value == value:
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color=style.ink_on("cividis", value / 100))
    figure.colorbar(image, ax=ax, label=f"continuations that differ within {steps(result)} tokens  (%)", shrink=0.7, pad=0.02)
    style.head(figure, f"Continuations that differ between two backends  (% of {count}; 0: the same text)")
    upper = [(names[i], names[j], differ[i, j]) for i in range(len(names)) for j in range(i + 1, len(names))]
    return publish(result, "03-3-pairs", figure, pandas.DataFrame(upper, columns=["one", "other", "continuations that differ [%]"]),
                   f"Share of {count} greedy continuations of {steps(result)} tokens that differ anywhere, between any two backends.")


def same_but_for_order(result):
    """Backends that differ in nothing but the order of their sums, in groups of two or more; the first of each is the one compared with."""
    groups = {}
    for name in result.names():
        given = result.config.get("arithmetic", {}).get(name, {})
        spec = {k: v for k, v in given.items() if k != "order"}
        if str(given.get("order", "")).startswith(PRODUCTS_ALONE):
            spec["product"] = spec.get("format")
        groups.setdefault(repr(sorted(spec.items(), key=str)), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def order_table(result):
    """One row a backend that differs from the first of its group only in order: what changes against that one, and its interval."""
    done = (result.data.status == DONE).all("backend").values
    kl = result.positions[done]  # (sequences, backend, position)
    there = np.ones((len(kl), kl.shape[-1]), bool) if result.lengths is None else np.arange(kl.shape[-1]) < result.lengths[done][:, None]
    tokens = None if result.run is None else result.run[done]
    names, rows = result.names(), []
    for first, *others in same_but_for_order(result):
        for other in others:
            one, two = names.index(first), names.index(other)
            told = len(kl) and not (np.isnan(kl[:, [one, two]]) & there[:, None]).any()  # the bits of NaN say nothing of the distribution
            differ = there & (kl[:, one].view(np.uint64) != kl[:, two].view(np.uint64))
            changed = 100 * (differ.sum(-1) / there.sum(-1)) if told else None
            row = {"backend": other, "against": first, "operands": result.families[other]} | share_columns(CHANGED, changed)
            if tokens is not None:
                differ = tokens[:, one] != tokens[:, two]
                parted = differ.any(-1)
                row |= share_columns(PARTED, 100.0 * parted if len(kl) else None)
                row[FIRST] = np.median(differ[parted].argmax(-1)) if parted.any() else np.nan
            rows.append(row)
    return pandas.DataFrame(rows)


def share_columns(name, values):
    """The mean of a share [%] over sequences with its interval; values None: not known."""
    found = mean_interval(np.full(1, np.nan) if values is None else values, leave_out=False).cut(*PERCENT)
    return {name: float(found.mean)} | {column: float(value) for column, value in found.columns(f"{name}, ").items()}


def orders(result):
    """Figure 4: the same products in another order, as a batch of another size or another number of threads gives it."""
    if reason := why_not(result):
        return reason
    table = order_table(result)
    if not len(table):
        return Sentence("Not drawn: no two backends of this result differ in nothing but their order.")
    shown = [(c, label) for c, label in ((CHANGED, "positions whose distribution\nis another one  (%)"),
                                         (PARTED, "greedy continuations\nthat differ  (%)")) if c in table]
    if table[[c for c, _ in shown]].isna().all(axis=None):
        return Sentence("Not drawn: no sequence of this result has finished every backend, or KL is NaN in all of them.")
    said = []
    if len(shown) > 1 and table[CHANGED].nunique(dropna=False) == 1 and table[CHANGED].notna().all():  # a panel of one value is a sentence
        shown, said = shown[1:], [f"At {table[CHANGED][0]:.3g} % of the positions the distribution is another one, in every pair."]
    looks = result.looks()
    y, at, ticks = [], 0.0, []
    for k, row in table.iterrows():
        at += 0.6 if k and row["against"] != table["against"][k - 1] else 0.0
        y.append(at)
        ticks.append(f"{row['backend']}  against  {row['against']}")
        at += 1
    figure, axes = plt.subplots(1, len(shown), figsize=(3.9 + 2.8 * len(shown), 1.3 + 0.19 * at), sharey=True, squeeze=False)
    for ax, (column, label) in zip(axes[0], shown):
        for k, row in table.iterrows():
            look = looks[row["operands"]]
            if row[column] != row[column]:
                ax.text(0.02, y[k], "NaN", transform=ax.get_yaxis_transform(), color=look["color"], fontsize=7, va="center")
                continue
            bar(ax, y[k], row, f"{column}, ", color=look["color"], linewidth=2.4, alpha=0.35, solid_capstyle="butt")
            ax.plot(row[column], y[k], clip_on=False, zorder=3, **look)
        ax.set_xlabel(label)
        ax.set_xlim(0, 100)
        ax.set_ylim(at - 0.3, -0.7)
    axes[0, 0].set_yticks(y, ticks)
    legend_of_families(axes[0, -1], looks, set(table["operands"]))
    style.head(figure, "\n".join(["The same products, added in another order", *said]))
    return publish(result, "03-4-orders", figure, table, " ".join([
        "Backends that differ in nothing but the order of their sums (the size of a batch, the number of threads, split-K): share of all "
        "positions whose KL from the reference has other bits, and of the greedy continuations that part.", *said]),
                   interval_words("bar", table[f"{shown[-1][0]}, {SEQUENCES}"], "sequences of all texts"))


class Headline:
    """The table of figure 1, and what it says, in words."""

    def __init__(self, result):
        self.table = backend_table(result)
        self.words = headline_words(result, self.table)

    def _repr_html_(self):
        shown = self.table[[c for c in self.table if ", " not in c]]
        shown = shown.to_html(index=False, border=0, float_format=lambda x: f"{x:.3g}", na_rep="–")
        return "".join(f"<p>{html.escape(words)}</p>" for words in self.words) + shown


def kl_words(part):
    """The range of KL over some backends; those whose KL is NaN somewhere are counted beside it."""
    nan = int((part[NANS] > 0).sum()) if NANS in part else 0
    if nan == len(part):
        return f"KL NaN in {nan} of {len(part)}"
    return f"KL {part[KL].min():.2g} to {part[KL].max():.2g} nat" + (f" (and NaN in {nan} of {len(part)})" if nan else "")


def told_apart(result, names):
    """Of how many pairs of some backends the KL differs: the interval of its ratio, sequence by sequence, does not hold 1."""
    kl = pooled(result, result.data.kl.values)[:, [result.names().index(name) for name in names]]
    pairs = list(itertools.combinations(range(len(names)), 2))
    if len(kl) < 3 or not pairs:
        return ""
    found = ratio_interval(*(kl[:, [pair[k] for pair in pairs]] for k in (1, 0)), leave_out=False)
    apart = np.flatnonzero((found.low > 1) | (found.high < 1))
    said = f"; of {len(pairs)} pairs {len(apart)} have a ratio of KL with a {100 * LEVEL:.0f} % interval that leaves out 1"
    if len(apart):
        k = apart[np.argmax(np.abs(np.log(found.mean[apart])))]
        one, other = (names[i] for i in pairs[k])
        said += f", the furthest {found.mean[k]:.3g} ({found.low[k]:.3g} to {found.high[k]:.3g}), {other} over {one}"
    return said


def headline_words(result, table):
    words = []
    for group, part in table.groupby("operands", sort=False):
        line = f"{group}: {kl_words(part)}, flips {part[FLIPS].min():.2g} to {part[FLIPS].max():.2g} %"
        if DIVERGED in part:
            line += f", {part[DIVERGED].min():.3g} to {part[DIVERGED].max():.3g} % of the continuations diverge within {steps(result)} tokens"
        words.append(line + f" ({len(part)} backends){told_apart(result, list(part['backend']))}.")
    twins = {}
    kl = result.data.kl.values
    for k, name in enumerate(result.names()):
        if not np.isnan(kl[..., k]).any():  # what is not finished, or NaN, is the same as nothing
            twins.setdefault(kl[..., k].tobytes(), []).append(name)
    same = [", ".join(names) for names in twins.values() if len(names) > 1]
    return words + ([f"The same KL in every bit, on every sequence: {'; '.join(same)}."] if same else [])


def headline(result):
    return why_not(result) or Headline(result)
