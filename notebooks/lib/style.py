"""One look for all figures: colour-blind safe colours, a second cue (marker or line style) beside every colour, legible sizes."""
import matplotlib
import numpy as np
from matplotlib import pyplot as plt

COLUMNS = 3  # panels in a row
MARKERS = "os^DvPX<>p*hd"
RULES = {  # line style, marker, filled: the rule is told without colour, which is mu's
    "lamp": ("-", "o", True), "random": ("--", "s", False), "random-full-row": (":", "D", False), "largest-logit": ("-.", "^", False),
    "truth": ((0, (5, 1, 1, 1, 1, 1)), "v", True), "none": ("none", "x", True), "all": ("none", "P", True),
}
GREY = "#666666"
INK = "#222222"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#7A5C00")  # of things without an order; after Okabe and Ito, 3:1 on white
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
DARK_VIRIDIS = 0.58  # lighter than this it has less than 3:1 on white
NAN, INFINITE, ZERO, NOT_COMPUTED = "NaN: no mean", "infinite", "exactly 0", "not computed"  # words of legends
MARKS = {  # what has no place on the y axis: marker, edge (0 below, 1 above), filled
    NAN: ("X", 1, True), INFINITE: ("^", 1, False), ZERO: ("v", 0, False), NOT_COMPUTED: ("s", 0, False),
}

SETTINGS = {
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "legend.fontsize": 8,
    "legend.title_fontsize": 8.5, "xtick.labelsize": 8, "ytick.labelsize": 8, "figure.dpi": 100, "savefig.dpi": 200, "figure.facecolor": "white",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e3e3e3", "grid.linewidth": 0.6,
    "lines.linewidth": 1.4, "lines.markersize": 4.5, "legend.frameon": False, "figure.constrained_layout.use": True,
}


def use():
    matplotlib.rcParams.update(SETTINGS)


def ordered_colours(count):
    """Colours for an ordered quantity, all dark enough on white: viridis without its lighter part."""
    return [plt.get_cmap("viridis")(x) for x in (np.linspace(0.0, DARK_VIRIDIS, count) if count > 1 else [0.3])]


def series(k):
    """Colour, marker and line style of the k-th of things without an order. The three cycles have lengths that do not divide each other."""
    return dict(color=SERIES[k % len(SERIES)], marker=MARKERS[k % len(MARKERS)], linestyle=LINES[k % len(LINES)])


def mark(ax, words, at, legend, color=INK):
    """On the lower or upper edge of `ax`, at these x: values that are there, or should be, and have no place on its y axis. The one place that
    says what was not computed, is NaN, infinite or 0."""
    if len(at):
        marker, edge, filled = MARKS[words]
        shown = ax.scatter(at, [edge] * len(at), marker=marker, s=26, facecolor=color if filled else "white", edgecolor=color, linewidth=0.9,
                           transform=ax.get_xaxis_transform(), clip_on=False, zorder=4)
        legend.setdefault(words, shown)


def axis_break(ax, low, high):
    """Between these y a logarithmic axis is linear: shaded, with two strokes across the axis."""
    ax.axhspan(low, high, color="#f0f0f0", linewidth=0, zorder=0)
    ax.plot([0, 0], [low + 0.42 * (high - low), low + 0.58 * (high - low)], transform=ax.get_yaxis_transform(), linestyle="none", clip_on=False,
            marker=[(-1, -0.5), (1, 0.5)], markersize=9, color=GREY, markeredgewidth=1.2)


def empty(ax, why):
    """A panel that has nothing to show says why."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", fontsize=8.5, color=GREY, wrap=True)


def heat_map(ax, values, **look):
    """Rows and columns of numbers as colours. NaN has no colour: hatched grey. Returns the image."""
    ax.set_facecolor("#eeeeee")
    ax.patch.set(hatch="////", edgecolor="#bbbbbb")
    ax.grid(False)
    return ax.imshow(np.ma.masked_invalid(values), aspect="auto", interpolation="nearest", **look)


def of_rule(rule, colour):
    """Line style and marker of a rule."""
    linestyle, marker, filled = RULES.get(rule, ("-", "*", True))
    return dict(linestyle=linestyle, marker=marker, markerfacecolor=colour if filled else "white")


def panels(titles, height=3.0):
    """A row (or rows of COLUMNS) of panels with shared axes; returns figure and one axes for each title."""
    columns = min(COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    width = 1.6 + 2.75 * columns + (1.2 if columns == 1 else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(width, 0.55 + height * rows), sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(titles):]:
        ax.set_visible(False)
    for ax, title in zip(axes.flat, titles):
        ax.set_title(title)
        ax.tick_params(labelbottom=True)
    return figure, list(axes.flat[:len(titles)])


def grid(titles, columns, height=2.4, width=3.4, sharex=True, sharey="row"):
    """Rows of `columns` panels; as they are, all share their x axis and the panels of a row their y axis."""
    rows = -(-len(titles) // columns)
    size = 1.6 + width * columns, 0.55 + height * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=sharex, sharey=sharey, squeeze=False)
    for ax, title in zip(axes.flat, titles):
        ax.set_title(title)
    return figure, list(axes.flat)


def legend_of_grid(ax, entries, title=None):
    """The legend to the right of `ax`, the last panel of the first row."""
    return ax.legend(entries.values(), entries.keys(), title=title, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0,
                     alignment="left", handlelength=2.4)


def legend_beside(axes, entries, title=None):
    """One legend for all panels, to the right of the first row. entries: words to handle."""
    last = axes[min(COLUMNS, len(axes)) - 1]
    return last.legend(entries.values(), entries.keys(), title=title, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0,
                       alignment="left", handlelength=2.4)


def head(figure, words):
    figure.suptitle(words, x=0.01, ha="left", fontsize=11)


def foot(figure, words):
    """Below all panels, at the left."""
    figure.text(0.01, -0.01, words, ha="left", va="top", fontsize=7.5, color=GREY)


def sparse_ticks(ax, values, most=9):
    """Ticks at the values themselves, or at every n-th where they are many."""
    step = -(-len(values) // most)
    ax.set_xticks(list(values[::step]))
    ax.set_xticks(list(values), minor=True)
    ax.set_xticklabels([f"{v:g}" for v in values[::step]])


def ink_on(colours, x):
    """Black or white, whichever is read better on the colour of `x` in [0, 1]: by relative luminance (WCAG 2)."""
    rgb = np.array(plt.get_cmap(colours)(x)[:3])
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "white" if linear @ [0.2126, 0.7152, 0.0722] < 0.18 else "black"
