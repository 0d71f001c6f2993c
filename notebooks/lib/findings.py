"""What the files of study 01 say, in numbers, as Markdown: PYTHONPATH=notebooks /usr/bin/python3 -m lib.findings DIR

DIR holds full, nano, shuffled, weights, solvers and errors, each with its result.h5 (experiments/studies/01-softmax-lamp/README.md says
how they are made); what is not there is left out. Ranges are over texts, and over what else a heading names. Gains, and ratios of
runs of the same tokens, are geometric means over sequences.
"""
import pathlib
import sys

import numpy as np

from .comparison import MASK, SOLVER, WEIGHTS
from .results import nan_words, open_errors, open_result, other_axes, ratio_over_sequences
from .site_errors import at_points, ends, pooled
from .tables import baseline, gain, mean_rate

PAPER = {3.4: 10, 15.0: 100, 34.3: 1000}  # % recomputed: gain in KL (v1)
MUS = (4, 6, 8, 10, 14, 18)


def span(values, digits=3):
    """"least to most", or one number where they print alike."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    low, high = (f"{v:.{digits}g}" for v in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def write(title, header, lines):
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")


def gain_at(result, rule, mu, rate):
    """The gain of a rule at a share recomputed, text by text: log gain interpolated over the share, NaN outside the grid."""
    gains = np.log(gain(result, baseline(result)).mean.sel(rule=rule, mu=mu)).values
    rates = mean_rate(result).sel(rule=rule, mu=mu).values
    found = []
    for x, y in zip(rates, gains):
        order = np.argsort(x)
        found.append(np.exp(np.interp(rate, x[order], y[order], left=np.nan, right=np.nan)))
    return np.array(found)


def gains(result, title):
    rules = [r for r in ("lamp", "random") if r in result.rules()]
    mus = [mu for mu in MUS if mu in result.data.mu.values] or list(result.data.mu.values)
    header = ["μ", *(f"{rule}, {rate:g} %" for rule in rules for rate in PAPER)]
    write(title, header, [[f"{mu:g}", *(span(gain_at(result, rule, mu, rate)) for rule in rules for rate in PAPER)] for mu in mus])


def floor_and_bits(result, title):
    base = baseline(result).kl.mean("text", skipna=False)
    flips = 100 * result.data.flip_rate.sel(rule=result.main_rule()).mean(("text", "sequence"), skipna=False)
    taus = ends(result)
    lines = []
    for mu in result.data.mu.values:
        lines.append([f"{mu:g}", f"{base.sel(mu=mu).item():.3g}", *(f"{flips.sel(mu=mu, tau=t).item():.3g}" for t in taus)])
    write(title, ["μ", "KL, none recomputed (nat)", *(f"flips at τ = {t:g} (%)" for t in taus)], lines)


def shuffled(plain, mixed):
    lines = []
    for mu in mixed.data.mu.values:
        at = dict(mu=mu, rule="lamp")
        kl = baseline(mixed).kl.sel(mu=mu).values / baseline(plain).kl.sel(mu=mu).values
        rate = [mean_rate(r).sel(**at, tau=1.5).values for r in (plain, mixed)]
        lines.append([f"{mu:g}", span(kl), span(rate[0]), span(rate[1]), *(span(gain_at(r, "lamp", mu, 34.3)) for r in (plain, mixed))])
    header = ["μ", "KL shuffled / text, none recomputed", "% recomputed at τ = 1.5, text", "shuffled", "gain at 34.3 %, text", "shuffled"]
    write("Shuffled tokens against the text (gpt2-tiny)", header, lines)


def weights(result, full):
    values = other_axes(result)[WEIGHTS]
    cut = [open_result(result.path, {WEIGHTS: k}) for k in range(len(values))]
    kl = {v: r.data.kl for v, r in zip(values, cut)}
    first, rate = kl["absolute"].sel(rule="lamp"), mean_rate(cut[0]).sel(rule="lamp")
    others = {f"lamp, {v}": kl[v].sel(rule="lamp") for v in values if v != "absolute"}
    others |= {rule: kl[values[0]].sel(rule=rule) for rule in cut[0].rules() if rule != "lamp"}
    others = {name: ratio_over_sequences(cut[0], each, first).mean for name, each in others.items()}
    gains = ratio_over_sequences(cut[0], first.isel(tau=0, drop=True), first).mean
    lines = []
    for mu in first.mu.values:
        for tau in first.tau.values[1:]:
            at = dict(mu=mu, tau=tau)
            ratios = [span(other.sel(at).values) for other in others.values()]
            share = rate.sel(at).mean(skipna=False).item()
            one_tau = span(gain_at(full, "lamp", mu, share)) if full and mu in full.data.mu.values else "-"
            lines.append([f"{mu:g}", span(rate.sel(at).values), span(gains.sel(at).values), one_tau, *ratios])
    write("The same share in every row (gpt2-tiny): gain, and KL of other choices / KL of lamp with absolute weights",
          ["μ", "% recomputed", "gain, lamp, absolute", "gain, one τ, this share", *others], lines)
    if "largest-logit" in others:
        logit, own = (cut[values.index("absolute")].data.kl.sel(rule=rule).values for rule in ("largest-logit", "lamp"))
        print(f"\nlargest-logit and lamp with absolute weights: the same KL, bit for bit, in {(logit == own).sum()} of {own.size} cells.")


def solvers(result):
    found = {}
    for i, solver in enumerate(other_axes(result)[SOLVER]):
        for k, mask in enumerate(other_axes(result)[MASK]):
            part = open_result(result.path, {SOLVER: i, MASK: k})
            found[solver, mask] = mean_rate(part).isel(rule=0), part.data.kl.isel(rule=0)
    (rate, kl), lines = found["greedy", "exclude"], []
    compared = [(r, ratio_over_sequences(part, k, kl).mean) for r, k in (found["exact", "exclude"], found["greedy", "as-zero"])]
    for tau in rate.tau.values:
        at = dict(tau=tau)
        more = [(span((r - rate).sel(at).values, 2), span(ratio.sel(at).values)) for r, ratio in compared]
        lines.append([f"{tau:g}", span(rate.sel(at).values), *(x for pair in more for x in pair)])
    write("Solvers and masks against greedy, exclude (gpt2-tiny; over texts and μ = " + ", ".join(f"{m:g}" for m in rate.mu.values) + ")",
          ["τ", "% recomputed", "exact: % more", "exact: KL /", "as-zero: % more", "as-zero: KL /"], lines)


def growth(result):
    lines = []
    for site in ("resid_2", "scores"):
        errors = at_points(open_errors(result, site), dict(tau=ends(result), rule=result.main_rule()))
        found = pooled(errors, "forward", ("mu", "tau", "layer"))
        for mu in (6, 10, 14, 18):
            for tau in ends(result):
                line = found["median"].sel(mu=mu, tau=tau).values
                lines.append([site, f"{mu:g}", f"{tau:g}", *(f"{v:.3g}" for v in line), f"{line[-1] / line[0]:.3g}"])
    layers = [f"layer {n}" for n in range(len(line))]
    write("Median relative forward error, in u of the site (gpt2-tiny)", ["site", "μ", "τ", *layers, "last / first"], lines)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    there = {f.parent.name: open_result(f) for f in sorted(pathlib.Path(arguments[0]).glob("*/result.h5"))}
    for name, result in there.items():
        for words in nan_words(result.data):
            print(f"\n{name}: {words}")
    for name, model in (("full", "gpt2-tiny"), ("nano", "gpt2-nano")):
        if name in there:
            gains(there[name], f"Gain in KL at the paper's shares, one τ for all rows ({model}); the paper: about "
                  + ", ".join(map(str, PAPER.values())))
            floor_and_bits(there[name], f"KL and flips, means over texts ({model})")
    if {"full", "shuffled"} <= there.keys():
        shuffled(there["full"], there["shuffled"])
    if "weights" in there:
        weights(there["weights"], there.get("full"))
    for name, table in (("solvers", solvers), ("errors", growth)):
        if name in there:
            table(there[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
