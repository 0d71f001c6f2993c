"""h5py and xarray read what the C++ side wrote: every dataset, text and scale; selection by coordinates of every kind.

Usage: check_python.py FOLDER, with the files of write_sample.cpp. Prints a line and exits 0, or fails on an assertion.
"""
import math
import sys
from pathlib import Path

import h5py
import numpy as np
import xarray

G = ("text", "sequence", "arithmetic.low.mu", "plan.scores", "lamp.scores.tau")


def datasets(file):
    found = []
    file.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def check_texts(name, item_id, dtype):
    """Fixed-length strings are allowed only in the attributes that HDF5's own dimension scales require."""
    assert dtype.kind not in "SU", f"{name}: fixed-length string"
    string = h5py.check_string_dtype(dtype)
    if string is not None:
        assert string.length is None, f"{name}: fixed-length string"
        assert string.encoding == "utf-8" or name.endswith("@DIMENSION_LABELS"), f"{name}: not UTF-8"


def check_every_dataset(path):
    with h5py.File(path) as file:
        items = datasets(file)
        assert items
        for item in items:
            item[()]  # decompresses and checks every byte
            assert isinstance(item.attrs["units"], str) and item.attrs["units"], item.name
            assert isinstance(item.attrs["long_name"], str) and item.attrs["long_name"], item.name
            check_texts(item.name, item.id, item.dtype)
        for item in [file, *items]:
            for name in item.attrs:
                if name not in ("CLASS", "NAME"):
                    attribute = item.attrs.get_id(name)
                    check_texts(f"{item.name}@{name}", attribute, attribute.dtype)
        return len(items)


def check_scales(path):
    with h5py.File(path) as file:
        for item in datasets(file):
            if h5py.h5ds.is_scale(item.id) or item.name.startswith("/provenance"):
                continue
            group = item.name.rsplit("/", 1)[0]
            for dim in item.dims:
                assert dim.label and dim[0].name == f"{group}/{dim.label}", item.name  # the group's own copy, attached
            if item.dtype.kind == "f":
                assert math.isnan(item.fillvalue)
            assert item.shuffle and item.fletcher32 and item.compression == "gzip", item.name


def check_selection(path):
    metrics = xarray.open_dataset(path, group="metrics", engine="h5netcdf")
    assert metrics.kl.dims == G, metrics.kl.dims
    # write_sample.cpp: kl = 100 * first letter of the sequence's name + number of the cell, row-major in (mu, plan, tau)
    base = 100.0 * ord("p")
    prose = metrics.kl.sel(text="prose", sequence=0)
    assert prose.sel({"arithmetic.low.mu": 4, "plan.scores": "high", "lamp.scores.tau": 1.5}) == base + 10
    assert prose.sel({"arithmetic.low.mu": 2, "plan.scores": "low", "lamp.scores.tau": 1.1}) == base + 2
    assert np.array_equal(prose.values, base + np.arange(12.0).reshape(2, 2, 3))
    assert metrics.kl.sel(text="Größe", sequence=0).values[1, 1, 2] == 100.0 * ord("c") + 11
    assert np.isnan(metrics.kl.sel(text="Größe", sequence=1).values).all()
    status = metrics.status.values.reshape(4, 12)
    assert status.dtype == np.uint8
    assert (status[0] == 1).all() and (status[2] == 1).all() and (status[3] == 0).all()
    assert status[1].tolist() == [1, 0, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert np.array_equal(np.isnan(metrics.kl.values.reshape(4, 12)), status != 1)
    assert metrics.status.attrs["flag_meanings"].split() == ["pending", "done", "failed"]
    assert metrics.status.attrs["flag_values"].tolist() == [0, 1, 2]
    assert metrics.recompute_rate.dims == G + ("layer", "head")
    bins = xarray.open_dataset(path, group="errors/scores", engine="h5netcdf").forward_bins
    assert bins.sel(bin=0.5).shape == (2, 2, 2, 2, 3, 2) and bins.dtype == np.uint64
    local = xarray.open_dataset(path, group="truth/local", engine="h5netcdf")
    assert local.min_set.dims == G[:4] + ("query",)  # constant over tau
    reference = xarray.open_dataset(path, group="reference", engine="h5netcdf")
    assert reference.tokens.dims == ("text", "sequence", "position")
    assert reference.tokens.dtype == np.int64 and reference.tokens.attrs["valid_min"] == 0  # integers also where some are none
    assert np.array_equal((reference.tokens.values == -1).all(-1), [[False, False], [False, True]])
    assert reference.status.values.tolist() == [[1, 1], [1, 0]]


def check_provenance(path):
    with h5py.File(path) as file:
        assert file["provenance/config"].asstr()[()] == 'title = "Größe"\n'
        assert file["provenance/command_line"].asstr()[()] == ""
        assert file.attrs["schema_version"] == 2


def check_shard(path):
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert file["cells/id"].shape == (12, 32) and file["cells/id"].dtype == np.uint8
        assert file["cells/status"][()].tolist() == [1] * 12
        assert file["metrics/kl_position"].shape == (12, 5)
        assert file["reference/tokens"].shape == (5,)
        for name in ("experiment", "sequence_id", "content_sha256"):
            assert len(bytes.fromhex(file.attrs[name])) == 32


def main():
    folder = Path(sys.argv[1])
    result, shard = folder / "result.h5", folder / "prose0.h5"
    count = check_every_dataset(result) + check_every_dataset(shard)
    check_scales(result)
    check_selection(result)
    check_provenance(result)
    check_shard(shard)
    print(f"{count} datasets read; scales, selection, provenance and shard as expected")


if __name__ == "__main__":
    main()
