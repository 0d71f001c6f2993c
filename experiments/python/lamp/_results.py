"""lamp.open: a file of results as labelled arrays. xarray, h5py and h5netcdf are imported when a result is opened, not before."""
import os


def needed():
    try:
        import h5netcdf  # noqa: F401  xarray's engine
        import h5py
        import xarray
    except ImportError as error:
        raise ImportError(f"lamp.open needs {error.name}; python3 -m pip install h5py xarray h5netcdf "
                          "(Debian: python3-h5py python3-xarray python3-h5netcdf)") from None
    return h5py, xarray


def friendly(name):
    """A name as an attribute can have it."""
    return name.replace(".", "_").replace("-", "_")


class Group:
    """A group of a result: what is in it by name or as an attribute, groups and, of the arrays, `dataset`.

        result.metrics.kl.sel(arithmetic_low_mu=4).mean("sequence")
        result["metrics/kl"]

    Arrays are read when they are used. A dimension is called by its key of the grid with underscores for dots, so that it can be a
    keyword and an attribute; its coordinate is there under the key itself, too: kl["arithmetic.low.mu"]."""

    def __init__(self, path, name, children, has_arrays):
        self._path, self._name, self._children, self._has_arrays, self._dataset = path, name, children, has_arrays, None

    @property
    def dataset(self):
        """The arrays of this group itself, an xarray.Dataset."""
        if self._dataset is None:
            _, xarray = needed()
            if not self._has_arrays:
                self._dataset = xarray.Dataset()
                return self._dataset
            found = xarray.open_dataset(self._path, group=self._name, engine="h5netcdf", decode_times=False)
            dotted = {name: found[name].values for name in found.dims if "." in str(name) and name in found.coords}
            found = found.rename({name: friendly(name) for name in found.dims if "." in str(name)})
            self._dataset = found.assign_coords({name: (friendly(name), values) for name, values in dotted.items()})
        return self._dataset

    def __dir__(self):
        return [*super().__dir__(), *map(friendly, self._children), *map(str, self.dataset)]

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        for child in self._children:
            if name in (child, friendly(child)):
                return self._children[child]
        try:
            return getattr(self.dataset, name)
        except AttributeError:
            legal = [*self._children, *map(str, self.dataset)]
            raise AttributeError(f"{self._name} has no {name!r}; legal: {', '.join(legal)}") from None

    def __getitem__(self, name):
        found = self
        for part in name.strip("/").split("/"):
            if isinstance(found, Group) and part in found._children:
                found = found._children[part]
            elif isinstance(found, Group) and part in found.dataset:
                found = found.dataset[part]
            else:
                raise KeyError(f"{name!r}; legal: {', '.join([*self._children, *map(str, self.dataset)])}")
        return found

    def __iter__(self):
        return iter([*self._children, *map(str, self.dataset)])

    def __repr__(self):
        return f"<lamp.Group {self._name} of {self._path}: {', '.join(self)}>"


class Opened(Group):
    """A result.h5. `provenance`: what made it, a dict of texts; `config`: its resolved config as TOML; the rest as in Group."""

    def __init__(self, path):
        h5py, _ = needed()
        path = os.path.abspath(os.fspath(path))
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path}: there is no such file")
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise OSError(f"{path} is no file of results: {error}") from None
        with file:
            root = _tree(h5py, path, file)
            self.provenance = {name: _text(node) for name, node in file["provenance"].items()} if "provenance" in file else {}
        super().__init__(path, "/", {name: group for name, group in root._children.items() if name != "provenance"}, False)
        self.config = self.provenance.get("config", "")

    def datatree(self):
        """All of it as an xarray.DataTree (xarray 2024.10 and later)."""
        _, xarray = needed()
        if not hasattr(xarray, "DataTree"):
            raise ImportError(f"xarray {xarray.__version__} has no DataTree; legal: 2024.10 and later")
        return xarray.DataTree.from_dict(dict(_datasets(self)))


def _datasets(group):
    if group._has_arrays:
        yield group._name, group.dataset
    for child in group._children.values():
        yield from _datasets(child)


def _tree(h5py, path, node):
    children = {name: _tree(h5py, path, item) for name, item in node.items() if isinstance(item, h5py.Group)}
    has_arrays = any(isinstance(item, h5py.Dataset) for item in node.values())
    return Group(path, node.name, children, has_arrays)


def _text(dataset):
    value = dataset[()]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def open(path):
    """A result.h5, as `lamp run` and lamp.run write it.

        result = lamp.open("runs/quickstart/result.h5")
        result.metrics.kl.sel(arithmetic_low_mu=7).mean("sequence")

    Returns lamp.Opened. ImportError where xarray, h5py or h5netcdf is missing, FileNotFoundError, OSError."""
    return Opened(path)
