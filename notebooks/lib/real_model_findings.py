"""What the results of study 04 say, in numbers, as Markdown: PYTHONPATH=notebooks /usr/bin/python3 -m lib.real_model_findings DIR

DIR holds results of the study, ANY/result.h5 (experiments/studies/04-real-model/README.md says how they are made); what is not there is left
out. Means over the sequences of all texts with 95 % intervals (lib/intervals.py); gains and ratios are geometric.
"""

import pathlib
import sys

import numpy as np
import xarray

from .findings import write
from .intervals import HIGH_END, LOW_END
from .real_model import (
    EXPLAINED,
    GAIN,
    KINDS,
    PAPER,
    QUANTISED,
    SEQUENCE,
    SHARE,
    SMOLLM2,
    TITLE,
    gains,
    open_study,
    origin_of,
    points,
    short,
)
from .real_model_figures import CHANGE, SQUARE, layer_table, masks_table, metric_table, share_table
from .real_model_kept import SUMS, kept_off, kept_table, why_not_kept
from .real_model_law import law_table, off_table, why_not_law
from .real_model_plans import DIVERGED, FIRST, FLIPS, KL, plan_table
from .results import DONE
from .real_model_tables import NAMES, claim_table, words


def told(row, name, ends=""):
    return words(row[name], row[ends + LOW_END], row[ends + HIGH_END])


def claim(study):
    table, lines = claim_table(study), []
    for (kind, model, T, mu), part in table.groupby(["kind", "model", "T", "mu"], sort=False):
        cells = [
            told(row, GAIN) + (f" at {row['at [%]']:.3g} %" if row["at [%]"] != row["share [%]"] else "") for _, row in part.iterrows()
        ]
        lines.append([NAMES.get(kind, KINDS[kind]), model, f"{T}", f"{mu:g}", *cells])
    write(
        "Gain in KL at the paper's shares, LAMP with absolute weights; the paper: about 10, 100, 1000",
        ["", "model", "T", "μ", *(f"{s:g} %" for s in PAPER)],
        lines,
    )


def grid(study):
    table = gains(study.of("tau"), ["mu", "rule", "at"])
    lines = [
        [row["model"], f"{row['T']}", f"{row['mu']:g}", row["rule"], f"{row['at']:g}", f"{row[SHARE]:.3g}", told(row, GAIN)]
        for _, row in table.sort_values(["model", "T", "mu", "rule", SHARE]).iterrows()
        if row[SHARE] > 0
    ]
    write("Gain in KL, one τ for all rows", ["model", "T", "μ", "rule", "τ", "% recomputed", "gain"], lines)


def metrics(study):
    table = metric_table(study)
    lines = []
    for _, row in table[table["rule"] == "lamp"].sort_values(["model", "T", "mu", SHARE]).iterrows():
        lines.append(
            [
                row["model"],
                f"{row['T']}",
                f"{row['mu']:g}",
                f"{row['at']:g}",
                f"{row[SHARE]:.3g}",
                *(told(row, c, c + ", ") for c in ("KL [nat]", "flip rate [%]", CHANGE)),
            ]
        )
    write("KL, flips and perplexity", ["model", "T", "μ", "τ", "% recomputed", "KL (nat)", "flips (%)", "perplexity change (%)"], lines)
    cells = study.of("tau").drop_duplicates(["model", "T", "text", "sequence"])
    if "reference" in cells:
        found = points(cells.assign(one=0), ["one"], "reference", name="cross-entropy")
        write(
            "The reference's cross-entropy (nat)",
            ["model", "T", "mean"],
            [[row["model"], f"{row['T']}", told(row, "cross-entropy")] for _, row in found.iterrows()],
        )


def law(study):
    table = law_table(study)
    lamp = table[table["rule"] != "random"]
    for name, part, by in (
        ("by model and μ, all rules but random", lamp, ["model", "mu"]),
        ("by model, T and μ, LAMP, one τ", lamp[lamp["kind"] == "tau"], ["model", "T", "mu"]),
        ("by model, T and μ, same share, all rules but random", lamp[lamp["kind"] == "share"], ["model", "T", "mu"]),
        ("random", table[table["rule"] == "random"], ["model", "mu"]),
        ("everything but random", lamp.assign(all="all"), ["all"]),
        ("everything but random, μ = 7 and 10", lamp[lamp["mu"].isin([7, 10])].assign(all="all"), ["all"]),
    ):
        if len(part):
            found = off_table(part, by)
            write(
                f"Gain / (Σz² / Σz² left low): {name}",
                [*by, "points", "geometric mean", "off by a factor, mean", "at most"],
                [
                    [*(f"{row[c]}" for c in by), f"{row['points']}", *(f"{row[c]:.3g}" for c in ("mean", "off", "most"))]
                    for _, row in found.iterrows()
                ],
            )
    lines = [
        [
            row["model"],
            f"{row['T']}",
            row["kind"],
            f"{row['mu']:g}",
            row["rule"],
            row["weights"],
            f"{row['at']:g}",
            f"{row[SHARE]:.3g}",
            f"{row[GAIN]:.3g}",
            f"{row[GAIN] / row[EXPLAINED]:.3g}",
            told(row, EXPLAINED, "explained, "),
        ]
        for _, row in table[(table["mask"] == "exclude")].iterrows()
    ]
    write(
        "All points of the law",
        ["model", "T", "kind", "μ", "rule", "weights", "τ or rate", "% recomputed", "gain", "Σz² / Σz² left low", "quotient"],
        lines,
    )


def kept(study):
    table = kept_table(study)
    names = [f"{name} / left low [1]" for name in SUMS]
    lines = [
        [
            row["model"],
            f"{row['T']}",
            row["kind"],
            f"{row['mu']:g}",
            row["rule"],
            f"{row['at']:g}",
            f"{row[SHARE]:.3g}",
            told(row, GAIN),
            *(f"{row[n]:.3g}" for n in names),
        ]
        for _, row in table.iterrows()
    ]
    write("Which sum says what the gain is", ["model", "T", "kind", "μ", "rule", "τ or rate", "% recomputed", "gain", *SUMS], lines)
    lines = [
        [row["model"], f"{row['T']}", row["rules"], row["sum"], f"{row['points']}", *(f"{row[c]:.3g}" for c in ("mean", "off", "most"))]
        for _, row in kept_off(table).iterrows()
    ]
    write("Gain / what the sum says", ["model", "T", "rules", "sum", "points", "geometric mean", "off by a factor, mean", "at most"], lines)


def layers(study):
    table = layer_table(study)
    for (model, T, tau), part in table.groupby(["model", "T", "tau"], sort=False):
        part = part.sort_values(SHARE)
        print(
            f"\n{model}, T = {T}, τ = {tau:g}, μ = {part['mu'].iloc[0]:g}: by layer {part[SHARE].iloc[0]:.3g} % (layer"
            f" {part['layer'].iloc[0]}) to {part[SHARE].iloc[-1]:.3g} % (layer {part['layer'].iloc[-1]}), median"
            f" {part[SHARE].median():.3g} %"
        )


def shares(study):
    table = share_table(study)
    lines = [
        [row["model"], f"{row['T']}", f"{row['mu']:g}", row["choice"], f"{row[SHARE]:.3g}", told(row, GAIN)]
        for _, row in table.sort_values(["model", "T", "mu", "choice", SHARE]).iterrows()
        if row[SHARE] > 0
    ]
    write("The same share in every row", ["model", "T", "μ", "chosen by", "% recomputed", "gain"], lines)
    cells, keys = study.of("share"), ["model", "T", "text", "sequence", "mu", "at"]
    own = cells[(cells["rule"] == "lamp") & (cells["weights"] == "absolute")].set_index(keys)["kl"].rename("own")
    for rule, weights in (("lamp", "relative"), ("largest-logit", "absolute")):
        other = cells[(cells["rule"] == rule) & (cells["weights"] == weights) & (cells[SHARE] > 0)]
        if len(other):
            other = other.join(own, on=keys)
            found = points(other, ["mu", "at"], "own", "kl", "ratio")
            print(
                f"\n{rule}, {weights}: KL / KL of LAMP with absolute weights {found['ratio'].min():.3g} to {found['ratio'].max():.3g}; the"
                f" same bits in {int((other['kl'] == other['own']).sum())} of {len(other)} cells."
            )


def masks(study):
    table = masks_table(study)
    write(
        "Masked entries",
        ["model", "T", "μ", "mask", "τ", "% of the causal", "% of the square", "gain"],
        [
            [
                row["model"],
                f"{row['T']}",
                f"{row['mu']:g}",
                row["mask"],
                f"{row['at']:g}",
                f"{row[SHARE]:.3g}",
                f"{row[SQUARE]:.3g}",
                told(row, GAIN),
            ]
            for _, row in table.sort_values(["model", "T", "mu", "at"], ascending=[True, True, True, False]).iterrows()
        ],
    )


def first_positions(study, first=16):
    """How much of the KL that is left lies at the first positions, whose rows are short, and the gain at the others."""
    lines = []
    for run in study.runs_of("masks"):
        kl = xarray.open_dataset(run.path, group="metrics", engine="h5netcdf", decode_times=False).kl_position
        kl = kl.rename({d: short(d) for d in kl.dims if short(d)}).where(run.data.status.isel(rule=0, weights=0, drop=True) == DONE)
        kl = kl.stack(each=SEQUENCE).transpose("each", "mu", "at", "mask", "position")
        for mu in kl["mu"].values:
            nothing = kl.sel(mu=mu, at=kl["at"].max()).isel(mask=0)[:, first:].mean("position")
            for at in kl["at"].values:
                for mask in kl["mask"].values:
                    own = kl.sel(mu=mu, at=at, mask=mask)
                    share = 100 * own[:, :first].sum() / own.sum()
                    gain = np.exp(np.log(nothing / own[:, first:].mean("position")).mean())
                    lines.append([run.model, f"{run.T}", f"{mu:g}", str(mask), f"{at:g}", f"{share.item():.3g}", f"{gain.item():.4g}"])
    write(
        f"KL at the first {first} positions",
        ["model", "T", "μ", "mask", "τ", f"% of the KL at the first {first}", "gain at the others"],
        lines,
    )


def plans(study):
    table = plan_table(study)
    columns = [c for c in (KL, FLIPS, CHANGE) if c in table]
    more = [c for c in (DIVERGED, FIRST) if c in table]
    write(
        "Storage and engine plans",
        ["model", "T", "plan", *columns, *more],
        [
            [row["model"], f"{row['T']}", row["plan"], *(told(row, c, c + ", ") for c in columns), *(f"{row[c]:.3g}" for c in more)]
            for _, row in table.iterrows()
        ],
    )


def main(arguments):
    files = sorted(pathlib.Path(arguments[0]).glob("*/result.h5")) if len(arguments) == 1 else []
    files = [file for file in files if str(origin_of(file).get("title", "")).startswith(TITLE)]
    if not files:
        print(__doc__, file=sys.stderr)
        return 2
    study = open_study(files[0])
    for run in study.runs:
        print(
            f"{KINDS[run.kind]}: {run.model}, T = {run.T}, {run.data.sizes['text']} texts, {run.data.sizes['sequence']} sequences of each"
            + (f" ({QUANTISED})" if run.model == SMOLLM2 else "")
        )
        for note in run.notes:
            print(f"  {note}")
    if study.runs_of("tau"):
        grid(study)
        metrics(study)
        layers(study)
    if study.runs_of("tau") or study.runs_of("share"):
        claim(study)
    for kind, table in (("share", shares), ("masks", masks), ("masks", first_positions), ("plans", plans)):
        if study.runs_of(kind):
            table(study)
    if why_not_law(study) is None:
        law(study)
    if why_not_kept(study) is None:
        kept(study)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
