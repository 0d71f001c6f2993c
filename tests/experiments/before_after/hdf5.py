"""Two HDF5 files, dataset by dataset and attribute by attribute, bit by bit; and two folders of a run."""
import h5py
import numpy as np

from .sides import PROVENANCE, plain, shown


def _text(value):
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _form(node):
    """What a dataset is, its values aside: type in the file, shape, layout, filters, fill value, dimensions and their scales."""
    properties = node.id.get_create_plist()
    filters = [properties.get_filter(i)[:3] for i in range(properties.get_nfilters())]
    scales = [(dimension.label, [scale.name for scale in dimension.values()]) for dimension in node.dims]
    kind = node.id.get_type()
    return {"type": str(kind.dtype) + (f" {kind.get_cset()}" if isinstance(kind, h5py.h5t.TypeStringID) else ""), "shape": node.shape,
            "maximal shape": node.maxshape, "chunks": node.chunks, "filters": filters,
            "fill value": None if kind.dtype == object else np.asarray(node.fillvalue).tobytes(), "dimensions": scales}


def _value(value):
    value = np.asarray(value)
    return value if value.dtype == object else value.reshape(-1).view(np.uint8).reshape(*value.shape, value.dtype.itemsize)


def _attributes(node):
    """Name to value; references to other objects are addresses: the dimensions stand in `_form`."""
    return {name: value for name, value in node.attrs.items() if name not in ("REFERENCE_LIST", "DIMENSION_LIST")}


def _same_value(part, kind, where, old, new):
    a, b = np.asarray(old), np.asarray(new)
    part.count(kind)
    if a.dtype != b.dtype or a.shape != b.shape:
        return part.differ(where, f"OLD is {a.dtype} {a.shape}, NEW {b.dtype} {b.shape}")
    if a.dtype != object and a.tobytes() == b.tobytes():
        return None
    unequal = np.asarray(a != b) if a.dtype == object else np.asarray((_value(a) != _value(b)).any(-1))
    if not unequal.any():
        return None
    at = tuple(int(i) for i in np.argwhere(unequal)[0])
    x, y = a[at], b[at]

    def told(v):
        if isinstance(v, (np.floating, np.integer)):
            return f"{v!s} (0x{np.asarray(v).astype(v.dtype.newbyteorder('>')).tobytes().hex()})"
        return repr(shown(_text(v)))
    if a.dtype == object and isinstance(x, (bytes, str)):
        x, y = _text(x), _text(y)
        place = next((k for k, (c, d) in enumerate(zip(x, y)) if c != d), min(len(x), len(y)))
        return part.differ(where, f"OLD {shown(x, place)}, NEW {shown(y, place)}")
    return part.differ(where, f"{int(unequal.sum())} of {a.size} elements, first at {list(at)}: OLD {told(x)}, NEW {told(y)}")


def _nodes(file):
    found = {"/": file}
    file.visititems(lambda name, node: found.__setitem__("/" + name, node))
    return found


def same_file(part, where, old, new, provenance=True):
    """Everything of two results. /provenance: the same names, and values but those that name the build and the time."""
    with h5py.File(old, "r") as f, h5py.File(new, "r") as g:
        a, b = _nodes(f), _nodes(g)
        for path in sorted(a.keys() ^ b.keys()):
            part.differ(f"{where}{path}", "is in OLD only" if path in a else "is in NEW only")
        for path in sorted(a.keys() & b.keys()):
            x, y, place = a[path], b[path], where + path
            attributes = _attributes(x), _attributes(y)
            for name in sorted(attributes[0].keys() ^ attributes[1].keys()):
                part.differ(f"{place}@{name}", "is in OLD only" if name in attributes[0] else "is in NEW only")
            for name in sorted(attributes[0].keys() & attributes[1].keys()):
                _same_value(part, "attributes", f"{place}@{name}", attributes[0][name], attributes[1][name])
            if isinstance(x, h5py.Dataset) != isinstance(y, h5py.Dataset):
                part.differ(place, "is a dataset on one side and a group on the other")
            elif isinstance(x, h5py.Dataset):
                form = _form(x), _form(y)
                for key in form[0]:
                    if form[0][key] != form[1][key] and not (path.startswith("/provenance/") and key == "shape"):
                        part.differ(place, f"{key}: OLD {form[0][key]}, NEW {form[1][key]}")
                if path.startswith("/provenance/") and (not provenance or path.split("/")[-1] in PROVENANCE):
                    part.count("names of /provenance")
                    continue
                _same_value(part, "datasets", place, x[()], y[()])
                part.count("numbers", int(np.prod(x.shape, dtype=np.int64)))


def same_bytes(part, where, old, new):
    a, b = old.read_bytes(), new.read_bytes()
    part.count("shards")
    if a != b:
        at = next((i for i, (c, d) in enumerate(zip(a, b)) if c != d), min(len(a), len(b)))
        part.differ(where, f"OLD has {len(a)} bytes, NEW {len(b)}; the first that differs is byte {at}")
        same_file(part, where, old, new)  # names what differs in it


def same_folder(part, name, old=None, new=None, provenance=True):
    """The folder of a run by both: names of all files, study.toml, shards byte for byte, result.h5."""
    one, other = (old or part.old.folder) / name, (new or part.new.folder) / name
    files = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) for folder in (one, other)]
    part.same("folders", f"{name}: files", files[0], files[1])
    for file in sorted(set(files[0]) & set(files[1])):
        if file.startswith("shards/"):
            same_bytes(part, f"{name}/{file}", one / file, other / file)
        elif file.endswith(".h5"):
            same_file(part, f"{name}/{file}", one / file, other / file, provenance)
        elif not file.startswith(".lock"):  # a lock tells its process
            part.same_lines("lines", f"{name}/{file}", *(plain((folder / file).read_text()) for folder in (one, other)))
