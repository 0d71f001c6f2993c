"""A file of results as labelled arrays, in the one form that the figures of softmax LAMP need.

Whatever the grid of the experiment, the arrays of `Result.data` have the dimensions (text, sequence, mu, tau, rule): a missing
axis becomes an axis of one value, taken from the resolved config, and an axis that these figures do not know is cut at its first
value, or at the one that `cut` names. `Result.notes` says so in words.
"""
import dataclasses
import functools
import html
import os
import pathlib
import re
import tomllib

import h5py
import numpy as np
import xarray

from .intervals import LEVEL, Interval, mean_interval, ratio_interval

PENDING, DONE, FAILED = 0, 1, 2  # /metrics/status
DATA_ORDER = ("embed", "ln_1", "qkv", "scores", "softmax", "values", "attn_proj", "resid_1", "ln_2", "mlp_fc", "gelu", "mlp_proj",
              "resid_2", "ln_f", "logits")
MISSING_INPUT, BAD_DATA = 66, 65
SCHEMA = 2  # of the results that the notebooks read, with those before
MOST_NAMES = 3


class ResultError(Exception):
    """Not a file these notebooks can read: one line for the reader, and the exit status that tells what kind of failure."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    path: pathlib.Path
    data: xarray.Dataset     # kl (nat), flip_rate, status[, recompute_rate (.., layer, head)], lazily read
    varied: frozenset        # those of text, mu, tau, rule that the file has as axes
    strength: str            # what the axis `tau` holds: "tau" or "rate"
    config: dict             # resolved
    provenance: dict
    notes: tuple             # sentences
    stop: xarray.Dataset     # /stop over (text, mu, tau, rule): what was known of each mean when [stop] ended the run; empty without it

    @property
    def has_rate(self):
        return "recompute_rate" in self.data

    @functools.cached_property
    def rate(self):
        """Fraction of the causal scores recomputed, over (text, sequence, mu, tau, rule): every head has as many, so a plain mean.
        Read one sequence at a time: with all layers and heads it is the largest array of the file."""
        rate = self.data.recompute_rate
        means = [rate.isel(sequence=[s]).mean(("layer", "head")) for s in range(rate.sizes["sequence"])]
        return xarray.concat(means, "sequence").transpose(*self.data.kl.dims)

    def rules(self):
        return [str(r) for r in self.data.rule.values]

    def main_rule(self):
        """The rule whose grid is shown where only one is: lamp, or what the experiment has in its place."""
        found = self.rules()
        return next((r for r in ["lamp", *found] if r in found and r not in ("none", "all")), found[0])

    def _repr_html_(self):
        rows = [*head(self), *(("note", note) for note in self.notes)]
        cells = (f"<tr><th>{html.escape(k)}</th><td style='text-align:left'>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table>{''.join(cells)}</table>"


def result_path(path=None):
    """`path`, or the file that the environment variable LAMP_RESULT names."""
    return pathlib.Path(path or os.environ.get("LAMP_RESULT", "../runs/quickstart/result.h5"))


def is_grid_axis(dim):
    return dim == "seed" or dim.startswith(("arithmetic.", "plan.", "lamp.", "store.", "model.", "tokens."))


def origin(path):
    """/provenance of a file as a dictionary of texts, and its resolved config; both empty where the file has none. Of the axes over seed,
    model and shuffling the config has the first value, at which figures are cut."""
    with h5py.File(path, "r") as f:
        provenance = {name: text(node) for name, node in f["provenance"].items()} if "provenance" in f else {}
    try:
        config = tomllib.loads(provenance.get("config", ""))
        grid = config.get("grid", {})
        for section, key in (("model", "path"), ("tokens", "shuffle")):
            if f"{section}.{key}" in grid:
                config.setdefault(section, {})[key] = grid[f"{section}.{key}"][0]
        return provenance, config
    except tomllib.TOMLDecodeError:
        return provenance, {}


def open_result(path=None, cut=None):
    """The result file `path`, by default the one that the environment variable LAMP_RESULT names. cut: axis to the index kept of it."""
    path = result_path(path)
    check(path)
    provenance, config = origin(path)
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf", decode_times=False)
    names = [name for name in ("kl", "flip_rate", "status", "recompute_rate") if name in metrics]
    data, varied, strength, notes = uniform(metrics[names], config, "kl", cut or {})
    stop = xarray.Dataset()
    if "stop" in config:
        known = xarray.open_dataset(path, group="stop", engine="h5netcdf", decode_times=False)
        stop = uniform(known, config, "mean", cut or {})[0].isel(sequence=0, drop=True)
    return Result(path, data, varied, strength, config, provenance, tuple(notes + progress(data.status) + nan_words(data)), stop)


def open_other():
    """The second result, to lay over the first: the file that LAMP_OTHER names, or None."""
    return open_result(os.environ["LAMP_OTHER"]) if os.environ.get("LAMP_OTHER") else None


def other_axes(result):
    """Axes of the file that `data` does not have: name to values."""
    with h5py.File(result.path, "r") as f:
        names = [dim[0].name.rsplit("/", 1)[-1] for dim in f["metrics/kl"].dims]
        unknown = [n for n in names if n.startswith("lamp.") and n not in ("lamp.scores.rule", "lamp.scores.tau", "lamp.scores.rate")]
        return {n: [v.decode() if isinstance(v, bytes) else v for v in f[f"metrics/{n}"][()].tolist()] for n in unknown}


def sites(result):
    """The sites whose errors the file holds, in the order of the data; those of other networks after them, as the config names them."""
    with h5py.File(result.path, "r") as f:
        others = [s for s in result.config.get("record", {}).get("errors", ()) if s not in DATA_ORDER]
        return [s for s in (*DATA_ORDER, *others) if f"errors/{s}" in f]


def open_errors(result, site):
    """/errors/SITE over (text, sequence, mu, tau, rule[, layer][, head][, bin]), only what was finished: else NaN."""
    errors = xarray.open_dataset(result.path, group=f"errors/{site}", engine="h5netcdf", decode_times=False)
    errors = errors.drop_vars(["forward", "local"], errors="ignore")  # by record.detail = "full": every component, of which no figure makes use
    data, *_ = uniform(errors, result.config, "forward_count", {})
    return data.where(result.data.status == DONE)


def open_continuations(result):
    """Greedy continuations over (text, sequence, mu, tau, rule[, position]): `run` and `reference` (text, sequence, position),
    token ids as token_ids has them, and `divergence_position`, the first position at which they differ. None where the file has no
    continuations."""
    with h5py.File(result.path, "r") as f:
        if "continuations" not in f:
            return None
    metrics = xarray.open_dataset(result.path, group="metrics", engine="h5netcdf", decode_times=False)
    tokens = xarray.open_dataset(result.path, group="continuations", engine="h5netcdf", decode_times=False)
    tokens = token_ids(tokens[["run", "reference"]]).assign(divergence_position=metrics.divergence_position)
    data, *_ = uniform(tokens, result.config, "divergence_position", {})
    reference = data.reference.isel({d: 0 for d in ("mu", "tau", "rule") if d in data.reference.dims}, drop=True)
    return data[["run", "divergence_position"]].where(result.data.status == DONE).assign(reference=reference)


def token_ids(values):
    """Token ids as binary64 numbers that are NaN where there is no token, so that it is like no other. A result has -1 there; one of
    schema 1 had NaN."""
    return values.astype(float).where(values >= 0)


def lengths_of(path):
    """Tokens of each sequence, where the experiment allows other lengths than tokens.sequence_length; else None."""
    with h5py.File(path, "r") as f:
        if "reference/length" not in f:
            return None
    return xarray.open_dataset(path, group="reference", engine="h5netcdf", decode_times=False).length


def check(path):
    """ResultError with one line when `path` is no file of results."""
    if not path.is_file():
        raise ResultError(f"{path}: there is no such file; `lamp run CONFIG.toml --out DIR` makes DIR/result.h5", MISSING_INPUT)
    if not os.access(path, os.R_OK):
        raise ResultError(f"{path}: no permission to read it", 77)
    try:
        with h5py.File(path, "r") as f:
            missing = [name for name in ("kl", "flip_rate", "status") if f"metrics/{name}" not in f]
            scales = not missing and all(len(d) == 1 for name in ("kl", "status") for d in f[f"metrics/{name}"].dims)
    except OSError as error:
        raise ResultError(f"{path}: not an HDF5 file, or a damaged one ({str(error).splitlines()[0]})", BAD_DATA) from None
    if missing:
        raise ResultError(f"{path}: not a file of results of lamp: it has no /metrics/{missing[0]}", BAD_DATA)
    if not scales:
        raise ResultError(f"{path}: /metrics/kl has dimensions without scales, so its axes have no names", BAD_DATA)


def other_schema(path):
    """What is to be said of a file whose schema these notebooks were not written for; else empty."""
    with h5py.File(path, "r") as f:
        schema = f.attrs.get("schema_version", "that it does not name")
    return "" if schema in range(1, SCHEMA + 1) else f"this file has the schema of results {schema}; these notebooks read 1 to {SCHEMA}"


def text(node):
    """A scalar dataset as text; '' for anything else."""
    if not isinstance(node, h5py.Dataset) or node.shape != ():
        return ""
    return node.asstr()[()] if h5py.check_string_dtype(node.dtype) else str(node[()])


def uniform(metrics, config, like, cut):
    """The arrays with dimensions (text, sequence, mu, tau, rule, ..); which of them vary; what `tau` holds; notes. The axes are those
    of the array `like`."""
    dims, notes = [d for d in metrics[like].dims if d not in ("layer", "head")], []
    known = {"text": "text", "sequence": "sequence", "lamp.scores.rule": "rule"}
    mus = sorted((d for d in dims if re.fullmatch(r"arithmetic\.[^.]+\.mu", d)), key=lambda d: d != "arithmetic.low.mu")
    known.update({d: "mu" for d in mus[:1]})
    strengths = [d for d in ("lamp.scores.tau", "lamp.scores.rate") if d in dims]
    known.update({d: "tau" for d in strengths[:1]})
    strength = "rate" if strengths == ["lamp.scores.rate"] else "tau"
    for d in dims:
        if d not in known:
            kept = cut.get(d, 0)
            value = metrics[d].values[kept] if d in metrics.coords else kept
            metrics = metrics.isel({d: kept}, drop=True)
            notes.append(f"The grid also varies {d}; figures that do not compare its values show {value} only.")
    metrics = metrics.rename({d: short for d, short in known.items() if d in metrics.dims and d != short})
    for name in ("text", "sequence", "mu", "tau", "rule"):
        if name in metrics.dims and name not in metrics.coords:
            metrics = metrics.assign_coords({name: np.arange(metrics.sizes[name])})
    varied = frozenset(d for d in ("text", "mu", "tau", "rule") if d in metrics.dims)
    scores = config.get("lamp", {}).get("scores", {})
    absent = {"text": "", "sequence": 0, "mu": configured_mu(config, mus), "tau": scores.get("tau", scores.get("rate", np.nan)),
              "rule": scores.get("rule", "none")}
    if "tau" not in varied and "rate" in scores and "tau" not in scores:
        strength = "rate"
    metrics = metrics.expand_dims({d: [value] for d, value in absent.items() if d not in metrics.dims})
    metrics = metrics.transpose("text", "sequence", "mu", "tau", "rule", ...)
    if "mu" in varied:
        metrics = metrics.sortby("mu")
    if "tau" in varied:
        metrics = metrics.sortby("tau", ascending=strength == "rate")  # from nothing selected to much
    return metrics, varied, strength, notes


def configured_mu(config, mus):
    low = config.get("arithmetic", {}).get(mus[0].split(".")[1] if mus else "low", {})
    ps = re.fullmatch(r"ps(\d+)", str(low.get("format", "")))
    return low.get("mu", int(ps.group(1)) if ps else np.nan)


def progress(status):
    """What was not computed, in words."""
    status = np.asarray(status)
    pending, failed = int((status == PENDING).sum()), int((status == FAILED).sum())
    if not pending and not failed:
        return []
    return [f"Of {status.size} cells {pending} are pending and {failed} failed: gaps in the figures. "
            "Sequences without any finished cell are left out."]


def computed_nan(data):
    """Which cells are finished and have KL NaN (a logit was NaN): computed, other than the NaN of a cell that is not there."""
    return (data.status == DONE) & data.kl.isnull()


def nan_words(data):
    """How many they are and the first few by name: a list of one sentence, or of none."""
    found = computed_nan(data)
    count = int(found.sum())
    if not count:
        return []
    names = []
    for place in np.argwhere(found.values)[:MOST_NAMES]:
        at = {d: found[d].values[i] if d in found.coords else i for d, i in zip(found.dims, place)}
        names.append(", ".join(f"{d} {at[d]}" for d in found.dims if found.sizes[d] > 1 or d == "sequence"))
    more = f"; and {count - len(names)} more" if count > len(names) else ""
    return [f"KL is NaN in {count} of {int((data.status == DONE).sum())} finished cells: {'; '.join(names)}{more}. "
            "A mean over one of them is NaN: gaps in the figures."]


def started(result):
    """(text, sequence): whether any cell of the sequence is done. Others are left out of every mean."""
    return (result.data.status == DONE).any(("mu", "tau", "rule"))


def sequence_mean(result, values):
    """Mean over the sequences that were started; NaN where one of these has not finished the cell."""
    used = started(result)
    count = used.sum("sequence")
    return values.where(used, 0.0).sum("sequence", skipna=False) / count.where(count > 0)


def sequence_interval(result, values):
    """Mean and interval over the sequences that were started, text by text: an Interval of arrays without the dimension `sequence`. There
    is no mean where one of these has not finished the cell, or is NaN."""
    return text_by_text(result, mean_interval, values)


def metric_interval(result, metric, factor=1):
    """The same of a metric times `factor`; where [stop] looked at its mean, the ends are those that ended the run, which /stop records."""
    found = sequence_interval(result, result.data[metric] * factor)
    if not recorded(result, metric):
        return found
    like = found.mean
    return found._replace(**{e: factor * result.stop[e].transpose(*like.dims).assign_coords(like.coords) for e in ("low", "high")})


def recorded(result, metric):
    stop = result.config.get("stop", {})
    return "mean" in result.stop and (stop["metric"], stop["confidence"]) == (metric, LEVEL)


def stop_words(result):
    """What [stop] had come to know when the run ended."""
    if "mean" not in getattr(result, "stop", ()):  # other notebooks do not read it
        return ""
    if not (result.data.status == DONE).all():
        return "not yet: cells are missing"
    stop, found = result.config["stop"], result.stop
    errors = [found[name].values for name in ("relative_error", "ratio_relative_error") if name in found]
    means, wide = sum(e.size for e in errors), sum(int((e > stop["relative_error"]).sum()) for e in errors)
    finite = np.concatenate([e[np.isfinite(e)] for e in errors])
    what = f"{'means and ratios' if len(errors) > 1 else 'means'} of {stop['metric']}"
    widest = f", the widest {100 * finite.max():.3g} %" if len(finite) else ""
    return (f"{int(found['count'].max())} sequences of each text: {means - wide} of {means} {what} known to {100 * stop['relative_error']:g} % "
            f"({100 * stop['confidence']:g} % t interval){widest}")


def ratio_over_sequences(result, top, bottom):
    """The same of the ratios top / bottom, each of one sequence: their geometric mean."""
    return text_by_text(result, ratio_interval, *xarray.broadcast(top, bottom))


def text_by_text(result, of, *arrays):
    """of(arrays (sequence, ..)) for the started sequences of each text, as arrays (text, ..)."""
    arrays = [a.transpose("text", "sequence", ...) for a in arrays]
    found = [of(*(a.isel(text=t).values[used] for a in arrays), leave_out=False) for t, used in enumerate(started(result).values)]
    like = arrays[0].isel(sequence=0, drop=True)
    return Interval(*(like.copy(data=np.stack(values)) for values in zip(*found)))


def perplexity_words(result):
    """Perplexity, exp of the mean cross-entropy over the sequences of a text: of the reference, and the range of the finished runs that are
    compared with it; those that are NaN are counted beside it. Of several references the first."""
    with h5py.File(result.path, "r") as f:
        if "reference/cross_entropy" not in f or "metrics/cross_entropy" not in f:
            return ""
        texts = [t.decode() if isinstance(t, bytes) else str(t) for t in f["reference/text"][()]] if "text" in f["reference"] else [""]

        def dims(name):
            return [d[0].name.rsplit("/", 1)[-1] for d in f[name].dims]

        axes = [d for d in dims("reference/cross_entropy") if is_grid_axis(d)]

        def of_first(name):
            return np.atleast_1d(f[name][()][tuple(0 if d in axes else slice(None) for d in dims(name))])

        reference_done, run_done = of_first("reference/status") == DONE, of_first("metrics/status") == DONE
        reference, runs = of_first("reference/cross_entropy"), of_first("metrics/cross_entropy")
        predicted = of_first("reference/length") - 1 if "reference/length" in f else np.ones(reference.shape)
    reference, runs = reference.reshape(len(texts), -1), runs.reshape(len(texts), reference.shape[-1], -1)
    reference_done, run_done = reference_done.reshape(reference.shape), run_done.reshape(runs.shape)
    predicted = predicted.reshape(reference.shape)
    told = []
    for text, of_reference, of_runs, used, done, weights in zip(texts, reference, runs, reference_done & (predicted > 0), run_done, predicted):
        points = np.exp(mean_of(of_runs[used][:, done[used].all(0)], weights[used])) if used.any() else np.array([])
        numbers = points[~np.isnan(points)]
        span = f", runs {numbers.min():.4g} to {numbers.max():.4g}" if numbers.size else ""
        if numbers.size < points.size:
            span += f", NaN at {points.size - numbers.size} of {points.size} grid points"
        told.append(f"{pathlib.PurePath(text).stem + ': ' if text else ''}reference {np.exp(mean_of(of_reference[used], weights[used])):.4g}{span}"
                    if used.any() else f"{text}: none finished")
    return "; ".join(told)


def length_words(tokens):
    least, most = tokens.get("min_length", tokens["sequence_length"]), tokens["sequence_length"]
    return f"{least} to {most}" if least < most else f"{most}"


def mean_of(values, weights):
    """Mean over the first axis, each sequence by its predicted tokens."""
    return values.mean(0) if len(set(weights)) == 1 else np.average(values, 0, weights)


def head(result):
    """What the result is: pairs of words."""
    p, config = result.provenance, result.config
    model = config.get("model", {}).get("path", "")
    tokens = config.get("tokens", {})
    axes = [f"{result.data.sizes[d]} {d}" for d in ("text", "mu", "tau", "rule", "backend") if d in result.varied]
    pairs = [
        ("experiment", str(config.get("title", ""))),
        ("model", pathlib.PurePosixPath(str(model)).name + (f"  (SHA-256 {p['model_sha256'][:12]})" if p.get("model_sha256") else "")),
        ("tokens", f"{result.data.sizes['sequence']} sequences" + (" a text" if "text" in result.varied else "")
         + (f" of {length_words(tokens)} tokens" if "sequence_length" in tokens else "")
         + (", shuffled" if tokens.get("shuffle") else "")),
        ("stopped", stop_words(result)),
        ("reference", str(config.get("reference", {}).get("arithmetic", ""))),
        ("grid", " × ".join(axes)),
        ("perplexity", perplexity_words(result)),
        ("commit", p.get("git_commit", "")),
        ("finished", p.get("finished", "")),
        ("file", result.path.name),
    ]
    return [(k, v) for k, v in pairs if v.strip()]
