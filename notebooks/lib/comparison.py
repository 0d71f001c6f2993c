"""Choices compared (figures 9 to 11): error weights, solvers and masks of one result; two results, one laid over the other."""
import pandas

from . import style
from .intervals import band
from .output import Sentence, publish
from .results import open_result, other_axes, recorded
from .softmax_lamp import MU_LABEL, RATE_LABEL, band_words, finish_log, plain, positive, with_points
from .tables import KL, RATE, middle, of_rule, rate_table, spread, symbol, titles, why_not

WEIGHTS, SOLVER, MASK = "lamp.scores.weights", "lamp.scores.solver", "lamp.scores.mask"
MOST_MU = 3


def cuts(result, axis):
    """(value, the result cut there) for every value of an axis that the file has."""
    values = other_axes(result)[axis]
    return [(value, open_result(result.path, {axis: k})) for k, value in enumerate(values)]


def weights_table(result):
    """KL and its interval against the realised rate, for every rule and, under lamp, every kind of weights."""
    parts = []
    for k, (weights, part) in enumerate(cuts(result, WEIGHTS)):
        table = rate_table(part)
        rule = table["rule"] if "rule" in table else pandas.Series(result.main_rule(), index=table.index)
        kept = table if k == 0 else table[rule == "lamp"]  # the other rules weigh nothing
        parts.append(kept.assign(choice=[f"lamp, {weights}" if r == "lamp" else r for r in rule[kept.index]]))
    return pandas.concat(parts)


def kl_by_weights(result):
    """Figure 9."""
    if WEIGHTS not in other_axes(result):
        return Sentence("Not drawn: the grid of this result does not vary the error weights (an axis lamp.scores.weights).")
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    table = weights_table(result)
    mus = spread(list(result.data.mu.values), MOST_MU) if "mu" in result.varied else [None]
    if mus != [None]:
        table = table[table["mu"].isin(mus)]
    texts = list(result.data.text.values) if "text" in result.varied else [None]
    points = [(mu, text) for mu in mus for text in texts]
    names = dict(zip(texts, titles(result)))
    columns = len(texts)
    figure, axes = style.grid([names[t] + ("" if m is None else f", μ = {m:g}") for m, t in points], columns, 2.4, width=2.75)
    choices = list(dict.fromkeys(table["choice"]))
    lamps = [c for c in choices if c.startswith("lamp")]
    looks = {c: nested(k) for k, c in enumerate(lamps)}
    looks |= {c: dict(color=style.INK, **style.of_rule(c, style.INK)) for c in choices if c not in looks}
    legend = {}
    for ax, (mu, text) in zip(axes, points):
        part = table if mu is None else table[table["mu"] == mu]
        part = part if text is None else part[part["text"] == text]
        for choice, look in looks.items():
            line = part[part["choice"] == choice].sort_values(RATE)
            legend[choice], = ax.plot(line[RATE], positive(line[KL]), clip_on=False, **look)
            band(ax, RATE, line, color=look["color"])
    axes[0].set_xlim(left=0)
    for row, mu in enumerate(mus):
        finish_log(axes[row * columns:(row + 1) * columns], with_points(table if mu is None else table[table["mu"] == mu], KL))
        axes[row * columns].set_ylabel("KL divergence  (nat)")
    axes[-columns + (columns - 1) // 2].set_xlabel(RATE_LABEL)
    style.legend_of_grid(axes[columns - 1], legend)
    style.head(figure, "KL divergence by error weights")
    return publish(result, "01-9-kl-by-weights", figure, table, "KL divergence against the share of scores recomputed: LAMP with absolute, "
                   "relative and a-priori (dot) error weights, and the rules that weigh nothing.", band_words(result, table, metric="kl"))


def tau_axis(result):
    return "tau" in result.varied and result.strength == "tau" and bool((result.data.tau > 1).all())


def solver_table(result):
    """Realised rate and KL at equal tau and the middle mu, for every solver and mask that the file has."""
    axes = {axis: values for axis, values in other_axes(result).items() if axis in (SOLVER, MASK)}
    solvers, masks = (list(enumerate(axes.get(axis, [None]))) for axis in (SOLVER, MASK))
    parts = []
    for i, solver in solvers:
        for k, mask in masks:
            part = open_result(result.path, {axis: n for axis, n in ((SOLVER, i), (MASK, k)) if axis in axes})
            table = of_rule(rate_table(part), part.main_rule())
            if "mu" in table:
                table = table[table["mu"] == part.data.mu.values[middle(part)["mu"]]]
            parts.append(table.assign(choice=", ".join(x for x in (solver, mask) if x)))
    return pandas.concat(parts)


def solvers(result):
    """Figure 10: two rows, realised rate and KL, each against tau."""
    if not {SOLVER, MASK} & set(other_axes(result)):
        return Sentence("Not drawn: the grid of this result varies neither the solver nor the mask (axes lamp.scores.solver, .mask).")
    if reason := why_not(result, needs_mu=False, needs_rate=True):
        return reason
    if not tau_axis(result):
        return Sentence("Not drawn: the grid of this result does not vary τ above 1.")
    table = solver_table(result)
    columns = titles(result)
    figure, axes = style.grid([*columns, *[""] * len(columns)], len(columns), 2.4, width=2.75)
    looks = {choice: nested(k) for k, choice in enumerate(dict.fromkeys(table["choice"]))}
    legend = {}
    for t, text in enumerate(result.data.text.values):
        part = table[table["text"] == text] if "text" in table else table
        for choice, look in looks.items():
            line = part[part["choice"] == choice]
            legend[choice], = axes[t].plot(*against_tau(line, RATE), clip_on=False, **look)
            axes[len(columns) + t].plot(*against_tau(line, KL), clip_on=False, **look)
            band(axes[len(columns) + t], line["tau"] - 1, line, color=look["color"], alpha=0.06)
    axes[0].set_ylim(bottom=0)
    finish_log(axes[len(columns):], with_points(table, KL))
    rows_of_tau(axes, len(columns), table["tau"], ("recomputed  (%)", "KL divergence  (nat)"))
    style.legend_of_grid(axes[len(columns) - 1], legend)
    mu = result.data.mu.values[middle(result)["mu"]]
    style.head(figure, f"Solvers and masks at equal {symbol(result)}" + (f", μ = {mu:g}" if mu == mu else ""))
    return publish(result, "01-10-solvers", figure, table, "Share of the causal scores recomputed and KL divergence at equal τ: greedy or "
                   "exact solver, masked entries left out (exclude) or counted as zeros (as-zero); means over sequences.",
                   band_words(result, table, metric="kl"))


def names_of(one, other):
    """What tells two results apart: model, shuffled or not, or the name of the folder."""
    def name(result):
        model = str(result.config.get("model", {}).get("path", "")).rstrip("/").rsplit("/", 1)[-1]
        return model + (", shuffled" if result.config.get("tokens", {}).get("shuffle") else "")
    names = name(one), name(other)
    return names if names[0] != names[1] else (one.path.parent.name, f"{other.path.parent.name} (other)")


def common_table(one, other):
    """Rate and KL of both results at their common texts, mu and tau, each under its main rule."""
    parts = [of_rule(rate_table(r), r.main_rule()).assign(result=name) for r, name in zip((one, other), names_of(one, other))]
    for axis in ("text", "mu", "tau"):
        if axis in parts[0] and axis in parts[1]:
            both = set(parts[0][axis]) & set(parts[1][axis])
            parts = [p[p[axis].isin(both)] for p in parts]
    return pandas.concat(parts)


def overlay(result, other):
    """Figure 11: three rows, KL against mu (least tau recomputed, middle tau), rate and KL against tau at the middle mu."""
    if other is None:
        return Sentence("Not drawn: no second result was given (--with OTHER.h5).")
    reason = why_not(result, needs_rate=True) or why_not(other, needs_rate=True)
    if reason or not (tau_axis(result) and tau_axis(other)):
        return reason or Sentence("Not drawn: both results need an axis of τ above 1.")
    table = common_table(result, other)
    mus, taus = sorted(set(table["mu"])), sorted(set(table["tau"]), reverse=True)
    if not mus or not taus or not len(set(table["result"])) == 2:
        return Sentence("Not drawn: the two results have no text, μ and τ in common.")
    mu, some = mus[(len(mus) - 1) // 2], [taus[0], taus[len(taus) // 2]]
    columns = list(dict.fromkeys(table["text"])) if "text" in table else ["all sequences"]
    table = table[(table["mu"] == mu) | table["tau"].isin(some)]
    figure, axes = style.grid([*columns, *[""] * (2 * len(columns))], len(columns), 2.3, width=2.75, sharex="row")
    of_mu, of_tau = {}, {}  # the rows of panels mean different things by their lines: a legend each
    for t, text in enumerate(columns):
        part = table[table["text"] == text] if "text" in table else table
        for k, name in enumerate(dict.fromkeys(table["result"])):
            own = part[part["result"] == name]
            for tau, linestyle in zip(some, ("--", "-")):
                line = own[own["tau"] == tau].sort_values("mu")
                look = dict(color=style.SERIES[k], marker=style.MARKERS[k], linestyle=linestyle)
                of_mu[f"{name}, τ = {tau:g}"], = axes[t].plot(line["mu"], positive(line[KL]), clip_on=False, **look)
                band(axes[t], "mu", line, color=style.SERIES[k])
            line = own[own["mu"] == mu]
            look = dict(color=style.SERIES[k], marker=style.MARKERS[k], linestyle="-.")
            of_tau[name], = axes[len(columns) + t].plot(*against_tau(line, RATE), clip_on=False, **look)
            axes[2 * len(columns) + t].plot(*against_tau(line, KL), clip_on=False, **look)
            band(axes[2 * len(columns) + t], line["tau"] - 1, line, color=style.SERIES[k])
        axes[t].set_xlabel(MU_LABEL.split("  ")[0])
        style.sparse_ticks(axes[t], mus)
    finish_log(axes[:len(columns)], with_points(table, KL))
    finish_log(axes[2 * len(columns):], with_points(table[table["mu"] == mu], KL))
    axes[len(columns)].set_ylim(bottom=0)
    axes[0].set_ylabel("KL divergence  (nat)")
    rows_of_tau(axes[len(columns):], len(columns), taus, (f"recomputed at μ = {mu:g}  (%)", f"KL at μ = {mu:g}  (nat)"))
    style.legend_of_grid(axes[len(columns) - 1], of_mu, "against μ")
    style.legend_of_grid(axes[2 * len(columns) - 1], of_tau, f"against τ, μ = {mu:g}")
    one, two = names_of(result, other)
    style.head(figure, f"{one} and {two}")
    return publish(result, "01-11-overlay", figure, table, f"{one} and {two} at their common μ and τ: KL against μ, and share "
                   f"recomputed and KL against τ at μ = {mu:g}.",
                   band_words(result, table, metric="kl" if recorded(other, "kl") else None))


# Drawing helpers.


def nested(k):
    """The look of the k-th of lines that may coincide: wide below, thin above, so that each stays seen."""
    return dict(color=style.SERIES[k % 4], marker=style.MARKERS[k], markerfacecolor="none", markersize=max(2, 9 - 2 * k),
                linewidth=max(0.8, 3.4 - 0.8 * k), linestyle=("-", "--", "-.", ":")[k % 4])


def against_tau(line, column):
    """τ - 1, which goes to 0 as everything is recomputed, and a column: of KL what is positive."""
    return line["tau"] - 1, positive(line[column]) if column == KL else line[column]


def rows_of_tau(axes, columns, taus, labels):
    """Two rows of panels against τ - 1 on a logarithmic axis, more recomputed to the right."""
    for row, label in enumerate(labels):
        axes[row * columns].set_ylabel(label)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlim((max(taus) - 1) * 1.15, (min(taus) - 1) / 1.15)
        plain(ax.xaxis)
    for ax in axes[columns:]:
        ax.set_xlabel("τ − 1")
