"""Means over sequences and their intervals: no figure or table of these notebooks takes them from elsewhere.

The unit is the sequence, never a row or a score; sequences of several texts that are shown together count alike. By their number n:
    1           the value, no interval
    2           the two values, no interval (one of t is 13 times as wide as they are apart; what is between them covers half of all means)
    3 to 19     Student's t: mean +- t s / sqrt n
    20 or more  bootstrap: percentiles of the means of RESAMPLES resamples, drawn by Philox, the same for all points of one n
Ratios are means of paired logarithms, hence geometric means. Where a value is infinite, or the logarithm of a 0, there is no interval.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
BOOTSTRAP_FROM, RESAMPLES, SEED = 20, 10000, 0
LOW_END, HIGH_END, SEQUENCES = "95 % low", "95 % high", "sequences"  # columns of tables
FIRST, SECOND = "first of two", "second of two"


class Interval(NamedTuple):
    """Arrays of one shape."""

    mean: np.ndarray
    low: np.ndarray  # NaN where there is no interval
    high: np.ndarray
    count: np.ndarray  # sequences of the mean; 0: no mean
    first: np.ndarray  # the two values where the count is 2, else NaN
    second: np.ndarray

    def columns(self, name=""):
        """All but the mean as columns of a table, each called `name` and what it is; the two values where there are some."""
        found = {name + LOW_END: self.low, name + HIGH_END: self.high, name + SEQUENCES: self.count}
        return found | ({name + FIRST: self.first, name + SECOND: self.second} if (self.count == 2).any() else {})

    def at(self, k):
        return Interval(*(values[k] for values in self))

    def cut(self, least, most):
        """The ends no further out than a mean can be."""
        return self._replace(low=np.maximum(self.low, least), high=np.minimum(self.high, most))


@functools.lru_cache(maxsize=None)
def t_quantile(freedom):
    """t with P(|T| <= t) = LEVEL, T of Student's distribution with `freedom` degrees, a whole number from 1 on.

    With t = sqrt(freedom) tan theta P is a finite sum over powers of cos theta and rises with theta (Abramowitz and Stegun 26.7.3 and
    26.7.4): bisection."""
    even = freedom % 2 == 0

    def inside(theta):
        term = 1.0 if even else math.cos(theta)
        total = term if freedom > 1 else 0.0
        for k in range(2 if even else 3, freedom - 1, 2):
            term *= math.cos(theta) ** 2 * (k - 1) / k
            total += term
        return total * math.sin(theta) if even else (theta + total * math.sin(theta)) * 2 / math.pi

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if inside(middle) < LEVEL else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def t_ends(values):
    """Of (sequence, point)."""
    mean, half = values.mean(0), t_quantile(len(values) - 1) * values.std(0, ddof=1) / np.sqrt(len(values))
    return mean - half, mean + half


def bootstrap_ends(values):
    """Of (sequence, point)."""
    n = len(values)
    draws = np.random.Generator(np.random.Philox(SEED)).integers(0, n, (RESAMPLES, n))
    drawn = np.bincount((draws + n * np.arange(RESAMPLES)[:, None]).ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(float)
    parts = [values[:, k : k + 256] for k in range(0, values.shape[1], 256)]  # some 20 MB at a time
    return np.concatenate([np.percentile(drawn @ part / n, [50 - 50 * LEVEL, 50 + 50 * LEVEL], axis=0) for part in parts], 1)


def mean_interval(values, leave_out=True):
    """Of values (sequence, ..) the Interval (..) over sequences. NaN: the sequence has no such value; it is left out at this point, and the
    count says so. leave_out False: NaN was computed, or is not yet; then there is no mean."""
    values = np.asarray(values, float)
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    there = ~np.isnan(flat)
    count = np.where(leave_out | there.all(0), there.sum(0), 0)
    mean, low, high, first, second = np.full((5, flat.shape[1]), np.nan)
    with np.errstate(invalid="ignore"):  # infinity - infinity, and 0 times it: NaN, no interval
        for n in np.unique(count[count > 0]):
            at = np.flatnonzero(count == n)
            own = flat.T[at][there.T[at]].reshape(len(at), n).T
            mean[at] = own.mean(0)
            if n == 2:
                first[at], second[at] = own
            elif n > 2:
                low[at], high[at] = t_ends(own) if n < BOOTSTRAP_FROM else bootstrap_ends(own)
    return Interval(*(found.reshape(values.shape[1:]) for found in (mean, low, high, count, first, second)))


def exponentials(found):
    with np.errstate(over="ignore"):
        return Interval(*(values if name == "count" else np.exp(values) for name, values in found._asdict().items()))


def geometric_interval(values, leave_out=True):
    """The same of the logarithms: geometric means. 0 where a value is 0."""
    with np.errstate(divide="ignore"):
        return exponentials(mean_interval(np.log(values), leave_out))


def ratio_interval(top, bottom, leave_out=True):
    """The geometric mean of the ratios, sequence by sequence."""
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN
        return exponentials(mean_interval(np.log(top) - np.log(bottom), leave_out))


def interval_words(mark, counts, of="sequences", what="", recorded=False):
    """What `mark` (bar, band) is at points of `counts` sequences; what: "of the logarithm"; recorded: the ends are those of [stop]."""
    counts = np.asarray(counts, float)
    counts = np.unique(counts[counts > 0]).astype(int)
    if recorded:
        span = " to ".join(str(n) for n in sorted({*counts[[0, -1]]}))
        return f"{mark}: {100 * LEVEL:.0f} % t interval that ended the run ([stop]), {span} {of}"
    told = []
    for name, some in (
        ("t interval", counts[(counts > 2) & (counts < BOOTSTRAP_FROM)]),
        (f"percentile bootstrap interval ({RESAMPLES:,} resamples)", counts[counts >= BOOTSTRAP_FROM]),
    ):
        if len(some):
            span = f"{some[0]}" if len(some) == 1 else f"{some[0]} to {some[-1]}"
            told.append(f"{mark}: {100 * LEVEL:.0f} % {name}{what and ' '}{what}, {span} {of}")
    if 2 in counts:
        told.append(f"small points: the two {of}, no interval")
    if 1 in counts:
        told.append(f"one {of.replace('sequences', 'sequence')}, no interval")
    return "; ".join(told)


def bar(ax, at, line, name="", vertical=False, **look):
    """The interval of a row of a table, or its two values, at `at` on the other axis."""
    ends, two = ([line.get(name + column, np.nan) for column in pair] for pair in ((LOW_END, HIGH_END), (FIRST, SECOND)))
    for values, style in ((ends, look), (two, look | dict(linestyle="none", marker=".", markersize=3.5, alpha=0.8))):
        if not np.isnan(values).any():
            ax.plot(*(([at, at], values) if vertical else (values, [at, at])), **style)


def band(ax, x, table, name="", color=None, alpha=0.12, step=None):
    """The intervals of the rows of a table against the column x (or values), or their two values. An end that is not positive leaves a
    logarithmic axis at its lower edge."""
    x = table[x] if isinstance(x, str) else x
    if table[name + LOW_END].notna().any():
        ax.fill_between(x, table[name + LOW_END], table[name + HIGH_END], color=color, alpha=alpha, linewidth=0, step=step)
    for column in (name + FIRST, name + SECOND):
        if column in table and table[column].notna().any():
            ax.plot(x, table[column], linestyle="none", marker=".", markersize=3, color=color, alpha=0.8)
