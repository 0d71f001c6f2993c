"""Where figures and numbers go: PNG and CSV of one name in LAMP_OUT, and the same picture in the notebook."""
import base64
import dataclasses
import html
import os
import pathlib

from matplotlib import pyplot as plt

from . import style

NANS = "sequences with KL NaN [1]"  # column of a table, where there are any: computed NaN, which an empty field would not tell


def out_folder(result, name):
    folder = pathlib.Path(os.environ.get("LAMP_OUT", result.path.parent / name[:2]))  # of its notebook's number
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclasses.dataclass(frozen=True)
class Figure:
    png: pathlib.Path
    caption: str

    def _repr_html_(self):
        data = base64.b64encode(self.png.read_bytes()).decode()
        words = html.escape(self.caption)
        return (f'<figure style="margin:0"><img style="max-width:100%" alt="{words}" src="data:image/png;base64,{data}">'
                f"<figcaption>{words} Numbers: {self.png.stem}.csv</figcaption></figure>")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """What stands where a figure would: why it is not there, or a finding."""
    words: str

    def _repr_html_(self):
        return f"<p>{html.escape(self.words)}</p>"


def publish(result, name, figure, table, caption, interval="", pdf=False):
    """Saves the figure as NAME.png and the numbers it shows as NAME.csv (units in the header, an empty field where not computed,
    or where a mean is NaN: then the column NANS says over how many NaN). interval: what its bars or bands are, said below it.
    pdf: also as NAME.pdf."""
    if interval:
        style.foot(figure, interval)
        caption += f" {interval[0].upper()}{interval[1:]}."
    if NANS in table:
        caption += f" At {(table[NANS] > 0).sum()} of {len(table)} points KL is NaN in some sequence, so no mean (column “{NANS}”)."
    folder = out_folder(result, name)
    figure.savefig(folder / f"{name}.png", bbox_inches="tight")
    if pdf:
        figure.set_layout_engine("none")  # it has found its places
        figure.savefig(folder / f"{name}.pdf", bbox_inches="tight")
    plt.close(figure)
    table.to_csv(folder / f"{name}.csv", index=False)
    return Figure(folder / f"{name}.png", caption)
