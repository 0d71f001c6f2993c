"""The tables of notebook 04: the paper's claim by model and row length, and how far gains are from the law."""

import dataclasses
import html
import pathlib

import numpy as np
import pandas

from .intervals import HIGH_END, LOW_END
from .output import out_folder
from .real_model import GAIN, KINDS, PAPER, QUANTISED, SHARE, SMOLLM2, gain_at, gains, nearest, why_not

NAMES = {"masks": "one τ for all rows, masked entries counted"}  # of the rows with as-zero


@dataclasses.dataclass(frozen=True)
class Table:
    csv: pathlib.Path
    shown: pandas.DataFrame
    caption: str

    def _repr_html_(self):
        shown = self.shown.to_html(index=False, border=0, float_format=lambda x: f"{x:.3g}", na_rep="–")
        return f"{shown}<p>{html.escape(self.caption)} Numbers: {self.csv.name}</p>"


def publish_table(study, name, table, shown, caption):
    """Saves the table as NAME.csv; `shown` is what the page has of it."""
    folder = out_folder(study, name)
    table.to_csv(folder / f"{name}.csv", index=False)
    return Table(folder / f"{name}.csv", shown, caption + (f" {QUANTISED}." if SMOLLM2 in set(table.get("model", ())) else ""))


def number(value):
    """Two digits, or those before the point."""
    return f"{value:.0f}" if abs(value) >= 9.95 and abs(value) < 1e6 else f"{value:.2g}"


def words(mean, low, high, share=np.nan):
    """ "12 [9.1, 15]", with the share at which it is where that is not the column's."""
    if mean != mean:
        return "–"
    ends = f" [{number(low)}, {number(high)}]" if low == low else ""
    return f"{mean:.3g}{ends}" + (f" at {share:.3g} %" if share == share else "")


def claim_table(study):
    """One row a kind, model, T, mu and share of the paper's, under LAMP: gain and interval. Of one tau for all rows it is interpolated; where the
    grid ends before, the row has the gain at its largest share. Of the same share in every row the share is a point of the grid."""
    rows = []
    tau = pandas.concat([study.one_tau(), study.of("masks").query("mask == 'as-zero'")])
    for (kind, model, T, mu), part in tau[(tau["rule"] == "lamp")].groupby(["kind", "model", "T", "mu"], sort=False):
        last = gains(part, ["mu", "rule", "at"]).sort_values(SHARE).iloc[-1]
        for share, paper in PAPER.items():
            found = gain_at(part, share)
            row = {"kind": kind, "model": model, "T": T, "mu": mu, "share [%]": share, "paper [1]": paper}
            if found is None:
                rows.append(row | {"at [%]": last[SHARE], GAIN: last[GAIN], LOW_END: last[LOW_END], HIGH_END: last[HIGH_END]})
            else:
                rows.append(row | {"at [%]": share, GAIN: float(found.mean), LOW_END: float(found.low), HIGH_END: float(found.high)})
    share = study.of("share")
    if len(share):
        share = share[(share["rule"] == "lamp") & (share["weights"] == "absolute")]
        table = gains(share, ["mu", "rule", "weights", "at"])
        for (model, T, mu), part in table.groupby(["model", "T", "mu"], sort=False):
            for wanted, paper in PAPER.items():
                row = part.loc[nearest(part.index, 0) if len(part) == 1 else (part["at"] - wanted / 100).abs().idxmin()]
                if abs(100 * row["at"] - wanted) < 0.5:
                    rows.append(
                        {
                            "kind": "share",
                            "model": model,
                            "T": T,
                            "mu": mu,
                            "share [%]": wanted,
                            "paper [1]": paper,
                            "at [%]": row[SHARE],
                            GAIN: row[GAIN],
                            LOW_END: row[LOW_END],
                            HIGH_END: row[HIGH_END],
                        }
                    )
    return pandas.DataFrame(rows)


def claim(study):
    """Figure 2: the table beside figure 1."""
    if (reason := why_not(study, "tau", "base")) and why_not(study, "share", "base"):
        return reason
    table = claim_table(study)
    shown = [
        {"kind": "the paper's text (v1)", "model": "GPT-2 XL", "T": 1024, "μ": "", **{f"{s:g} %": f"about {g}" for s, g in PAPER.items()}}
    ]
    for (kind, model, T, mu), part in table.groupby(["kind", "model", "T", "mu"], sort=False):
        row = {"kind": NAMES.get(kind, KINDS[kind]), "model": model, "T": T, "μ": f"{mu:g}"}
        for _, cell in part.iterrows():
            elsewhere = kind == "share" or cell["at [%]"] != cell["share [%]"]
            row[f"{cell['share [%]']:g} %"] = words(cell[GAIN], cell[LOW_END], cell[HIGH_END], cell["at [%]"] if elsewhere else np.nan)
        shown.append(row)
    return publish_table(
        study,
        "04-2-claim",
        table,
        pandas.DataFrame(shown).fillna("–"),
        "Gain in KL at the paper's shares, geometric mean over the sequences of all texts, 95 % interval. One τ for all rows: log gain"
        " interpolated over the share, sequence by sequence; where the grid ends before that share, the gain at its largest. The same share"
        " in every row: at the share that was really recomputed, since a share is rounded up in each row.",
    )
