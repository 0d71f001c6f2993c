"""The numbers of notebook 01: one table a figure (one row a point, units in the column names), and what gains are measured from."""
import pathlib
from typing import NamedTuple

import numpy as np
import pandas

from .output import NANS, Sentence
from .results import DONE, computed_nan, metric_interval, ratio_over_sequences, sequence_mean

KL, FLIPS, RATE, GAIN = "kl [nat]", "flip rate [%]", "recompute rate [%]", "gain [1]"
GRID = ("text", "mu", "tau", "rule")
LEAST_RATE = 1.0  # %, below which a tau may stand for "nothing recomputed"
NO_BASELINE = Sentence("Not given: no cell of this grid recomputes nothing, or nearly so (rule none, or tau = 2), "
                       "so there is nothing to compare with.")


def symbol(result):
    return "τ" if result.strength == "tau" else "rate"


def titles(result):
    """A title for each text: its name, without a file's ending where that is still unique."""
    if "text" not in result.varied:
        return ["all sequences"]
    names = [str(t) for t in result.data.text.values]
    stems = [pathlib.PurePath(n).stem for n in names]
    return stems if len(set(stems)) == len(stems) else names


def middle(result):
    """The point that is shown where only one is, the middle of each axis: indices along mu, tau and rule."""
    return dict(mu=(result.data.sizes["mu"] - 1) // 2, tau=result.data.sizes["tau"] // 2, rule=result.rules().index(result.main_rule()))


def why_not(result, needs_mu=True, needs_rate=False):
    """A sentence when a figure cannot be drawn, else None."""
    if needs_mu and "mu" not in result.varied:
        return Sentence("Not drawn: the grid of this result does not vary μ (an axis arithmetic.NAME.mu).")
    if needs_rate and not result.has_rate:
        return Sentence("Not drawn: this result has no recompute_rate; its config selects no scores (no [lamp.scores]).")
    if not (result.data.status == DONE).any():
        return Sentence("Not drawn: no cell of this result is finished.")
    return None


def counting_nan(result, arrays):
    """With a column that counts the sequences whose KL is NaN, where there is any."""
    nan = computed_nan(result.data)
    like = next(iter(arrays.values()))
    return arrays | ({NANS: nan.sel(rule=like.rule).sum("sequence")} if nan.any() else {})


def rows(arrays, varied):
    """The arrays (name: values over GRID) as a table; without the columns of axes that the file does not have."""
    table = pandas.DataFrame({name: a.transpose(*GRID).to_series() for name, a in arrays.items()}).reset_index()
    return table.drop(columns=[d for d in GRID if d not in varied])


def of_rule(table, rule):
    return table[table["rule"] == rule] if "rule" in table else table


def spread(values, most):
    """`most` of the values, evenly spread, the first and the last among them; all where they are fewer."""
    return [values[i] for i in sorted({round(x) for x in np.linspace(0, len(values) - 1, min(most, len(values)))})]


def by_text(result, table):
    return [table[table["text"] == t] for t in result.data.text.values] if "text" in result.varied else [table]


def first_tau(table):
    return table[table["tau"] == table["tau"].iloc[0]] if "tau" in table and len(table) else table


def mean_kl(result):
    return sequence_mean(result, result.data.kl)


def mean_rate(result):
    """% of the causal scores, over GRID."""
    return 100 * sequence_mean(result, result.rate)


class Baseline(NamedTuple):
    """What gains are measured from."""
    kl: object    # over (text, mu)
    each: object  # over (text, sequence, mu)
    tau: object   # the tau of these cells; None: they are those of rule none
    rate: float   # %, of all their scores

    def words(self, result):
        return "none recomputed" if self.rate == 0 else f"{symbol(result)} = {self.tau:g}, {self.rate:.2g} % recomputed"


def baseline(result):
    """The cells that recompute nothing: a tau at which nothing is selected, or rule none; else the tau that recomputes least, if
    that is less than LEAST_RATE: in files of semantics 1 tau = 2 recomputes about 0.1 %. None: no such cells."""
    kl = mean_kl(result)
    if result.has_rate:
        of_tau = mean_rate(result).sel(rule=result.main_rule()).mean(("text", "mu"))
        least = int(np.argmin(of_tau.fillna(np.inf).values))
        rate = of_tau[least].item()
        if rate == 0 or (rate < LEAST_RATE and "none" not in result.rules()):
            return Baseline(*of_cells(result, kl, result.main_rule(), least), result.data.tau.values[least], rate)
    if "none" in result.rules():
        return Baseline(*of_cells(result, kl, "none", 0), None, 0.0)
    return None


def of_cells(result, kl, rule, tau):
    """KL of one rule and tau: its mean, and each sequence's."""
    return [values.sel(rule=rule).isel(tau=tau).drop_vars(["rule", "tau"]) for values in (kl, result.data.kl)]


def metric_table(result, name, label, factor, rules):
    """Figures 1 and 2: the mean of a metric, times `factor`, and its interval over sequences."""
    found = metric_interval(result, name, factor)
    arrays = {column: values.sel(rule=rules) for column, values in {label: found.mean, **found.columns()}.items()}
    return rows(counting_nan(result, arrays), {"mu", *result.varied})


def rate_table(result):
    """Figure 3."""
    found = metric_interval(result, "kl")
    return rows(counting_nan(result, {RATE: mean_rate(result), KL: found.mean, **found.columns()}), result.varied)


def gain(result, nothing):
    """KL of the baseline over KL, sequence by sequence: an Interval over GRID, geometric means; infinite where some KL is 0."""
    return ratio_over_sequences(result, nothing.each, result.data.kl)


def gain_table(result, nothing):
    """Figure 5: without the rules that choose nothing or everything; no gain where the KL of a sequence is 0."""
    found = gain(result, nothing)
    gains = {RATE: mean_rate(result), GAIN: found.mean.where(np.isfinite(found.mean)), **found.columns()}
    table = rows(counting_nan(result, gains), result.varied)
    return table[~table["rule"].isin(["none", "all"])] if "rule" in table else table


def head_table(result, at):
    """Figure 4: the recompute rate at one point of the grid, as an array (text, layer, head) and as a table."""
    rate = 100 * sequence_mean(result, result.data.recompute_rate.isel(at))
    point = {d: rate[d].item() for d in at}
    rate = rate.transpose("text", "layer", "head").drop_vars(at)
    table = rate.to_series().rename(RATE).reset_index().assign(**point)
    return rate, table if "text" in result.varied else table.drop(columns="text")


def headline_table(result):
    """One row a text and mu at the middle tau: the share recomputed, KL without it, and by what each rule divides it, as in figure 5."""
    rate, nothing = mean_rate(result), baseline(result)
    factor = gain(result, nothing).mean
    flips = 100 * sequence_mean(result, result.data.flip_rate)
    main, tau = result.main_rule(), middle(result)["tau"]
    table = []
    for t, text in enumerate(titles(result)):
        for m, mu in enumerate(result.data.mu.values):
            at = dict(text=t, mu=m, tau=tau)
            base = float(nothing.kl.isel(text=t, mu=m))
            row = {"text": text, "μ": mu, symbol(result): result.data.tau.values[tau],
                   f"recomputed by {main} (%)": float(rate.isel(at).sel(rule=main)), f"KL, {nothing.words(result)} (nat)": base}
            for rule in [r for r in result.rules() if r not in ("none", "all")]:
                row[f"KL divided by, {rule}"] = float(factor.isel(at).sel(rule=rule))
            row[f"flips, {main} (%)"] = float(flips.isel(at).sel(rule=main))
            table.append(row)
    return pandas.DataFrame(table)


def headline_words(result, row):
    """A row of the headline table in a sentence."""
    if any(value != value for value in row.values()):
        cells = result.data.isel(text=titles(result).index(row["text"])).sel(mu=row["μ"])
        nan, done = int(computed_nan(cells).sum()), int((cells.status == DONE).sum())
        why = f"KL is NaN in {nan} of {done} finished cells" if nan else "not finished"
        return f"At μ = {row['μ']:g} on {row['text']}: {why}."
    main, tau = result.main_rule(), row[symbol(result)]
    start = next(k for k in row if k.startswith("KL, ")).removeprefix("KL, ").removesuffix(" (nat)")
    factors = {k.removeprefix("KL divided by, "): v for k, v in row.items() if k.startswith("KL divided by, ")}
    others = "; ".join(f"rule {rule}: by {value:.3g}" for rule, value in factors.items() if rule != main)
    rate = row[f"recomputed by {main} (%)"]
    return (f"At μ = {row['μ']:g} on {row['text']}, rule {main} with {symbol(result)} = {tau:g} recomputes {rate:.3g} % of the scores "
            f"and divides the KL divergence ({start}) by {factors[main]:.3g}" + (f" ({others})." if others else "."))
