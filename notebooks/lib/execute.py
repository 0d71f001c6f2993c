"""Executes a notebook on a file of results and leaves figures, numbers and one self-contained HTML page. Called by notebooks/run."""
import html
import importlib.util
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[1]
NEEDS = ("nbconvert", "nbclient", "ipykernel", "matplotlib", "h5py", "xarray", "h5netcdf")  # Debian: python3-NAME
KERNEL = "lamp-notebook"
BOOK = ("questions", "tutorial", "recipes")  # folders of notebooks that are not about a result


def fail(message, code):
    print(f"notebooks/run: {message}", file=sys.stderr)
    return code


def private_jupyter(folder):
    """Everything Jupyter would look for in, or write to, the user's home goes to `folder`; its one kernel is this interpreter."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        os.environ[name] = str(folder / name.lower())
        (folder / name.lower()).mkdir()
    os.environ["JUPYTER_NO_CONFIG"] = "1"
    os.environ["MPLBACKEND"] = "agg"
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else ipykernel's debugger warns about frozen modules
    kernel = folder / "jupyter_data_dir/kernels" / KERNEL
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": KERNEL, "language": "python"}))


def say_instead_of_errors(notebook, why):
    """Where a cell could not read a file that it was not written for, the page says so."""
    import nbformat
    for cell in notebook.cells:
        for k, output in enumerate(cell.get("outputs", [])):
            if output.output_type == "error":
                words = html.escape(f"Not drawn: {why} ({output.ename}: {output.evalue}).")
                cell.outputs[k] = nbformat.v4.new_output("display_data", {"text/html": f"<p>{words}</p>"})


def execute(source, other_schema=""):
    """The notebook with its outputs, as HTML without any reference to the network. other_schema: what is said where a cell fails."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    notebook = nbformat.read(source, as_version=4)
    NotebookClient(notebook, kernel_name=KERNEL, timeout=600, allow_errors=bool(other_schema), resources={"metadata": {"path": str(source.parent)}}).execute()
    if other_schema:
        say_instead_of_errors(notebook, other_schema)
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="", jquery_url="", exclude_anchor_links=True,
                            exclude_input_prompt=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": source.stem}})
    return without_scripts(page)


def without_scripts(page):
    """Nothing on the page needs a script; those of the template are loaders of MathJax and widgets."""
    return re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)


def move_in(made, folder, stem):
    """Replaces what an earlier run of this notebook left in `folder` by what lies in `made`."""
    names = {file.name for file in made.iterdir()}
    for old in folder.glob(f"{stem[:2]}-*"):
        if old.suffix in (".png", ".pdf", ".csv", ".html") and old.name not in names:
            old.unlink()
    for file in sorted(made.iterdir()):
        shutil.copyfile(file, folder / f".{file.name}.part")
        os.replace(folder / f".{file.name}.part", folder / file.name)
        print(folder / file.name)


USAGE = ("usage: bash notebooks/run NUMBER RESULT.h5 [OUT_DIR] [--with OTHER.h5]   "
         "(01 for 01-softmax-lamp; OUT_DIR: default 01, beside RESULT.h5; OTHER.h5: laid over RESULT.h5); "
         "of notebook 00 also [--y METRIC] [--x KEY] [--colour KEY] [--columns KEY] [--rows KEY] [--at KEY=VALUE]...; "
         "or: bash notebooks/run questions/NUMBER|tutorial/NUMBER|recipes/NAME [OUT_DIR]")
VIEW = ("y", "x", "colour", "columns", "rows", "at")  # options of notebook 00


def options_of(arguments):
    """(what is no option, options by name; of --at a dictionary). ValueError: an option without value, twice, or unknown."""
    rest, found, words = [], {}, list(arguments)
    while words:
        word = words.pop(0)
        name, joined, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            rest.append(word)
            continue
        if name not in ("with", *VIEW) or (not joined and not words):
            raise ValueError(word)
        value = value if joined else words.pop(0)
        if name == "at":
            key, equals, at = value.partition("=")
            if not equals:
                raise ValueError(f"--at {value}: it takes KEY=VALUE")
            found.setdefault("at", {})[key] = at
        elif name in found:
            raise ValueError(f"--{name} twice")
        else:
            found[name] = value
    return rest, found


def missing_modules(names):
    """The sentence that names the first that is not there, or None."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    if missing[0] == "lamp":
        return "no module lamp in build/release/python; bash experiments/quickstart builds it"
    packages = " ".join(f"python3-{name}" for name in NEEDS)
    return f"no module {missing[0]} in {sys.executable}; on Debian 12: apt install {packages}"


def of_the_book(arguments):
    """Executes a notebook of a folder, which runs what it needs itself: runs/FOLDER/STEM (or OUT_DIR) gets its page and its runs."""
    folder, _, number = arguments[0].partition("/")
    sources = sorted(source for group in BOOK for source in NOTEBOOKS.glob(f"{group}/*.ipynb") if f"{group}/{source.name}".startswith(f"{folder}/{number}"))
    if len(sources) != 1 or len(arguments) > 2:
        there = ", ".join(f"{group}/{source.stem}" for group in BOOK for source in sorted(NOTEBOOKS.glob(f"{group}/*.ipynb")))
        return fail(f"{arguments[0]}: legal: {there}, or the beginning of one of them; then OUT_DIR", 2)
    if why := missing_modules((*NEEDS, "lamp")):
        return fail(why, 70)
    out = pathlib.Path(arguments[1] if len(arguments) == 2 else NOTEBOOKS.parent / "runs" / sources[0].parent.name / sources[0].stem).resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return fail(f"{out}: {error.strerror}", 73)
    from nbclient.exceptions import CellExecutionError
    with tempfile.TemporaryDirectory(prefix="lamp-notebook-") as scratch:
        private_jupyter(pathlib.Path(scratch))
        os.environ |= {"LAMP_RUNS": str(out), "MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # which shows open figures
        try:
            page = execute(sources[0])
        except CellExecutionError as error:
            return fail(f"{sources[0].name} failed:\n{error}", 70)
    (out / f"{sources[0].stem}.html").write_text(page, encoding="utf-8")
    print(out / f"{sources[0].stem}.html")
    return 0


def main(arguments):
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if arguments and "/" in arguments[0]:
        return of_the_book(arguments)
    try:
        arguments, options = options_of(arguments)
    except ValueError as error:
        return fail(f"{error}; {USAGE}", 2)
    other = options.pop("with", None)
    if len(arguments) not in (2, 3) or (options and arguments[0] != "00"):
        return fail(USAGE, 2)
    number, result = arguments[0], pathlib.Path(arguments[1])
    sources = sorted(NOTEBOOKS.glob(f"{number}-*.ipynb")) if re.fullmatch(r"\d\d", number) else []
    if len(sources) != 1:
        there = ", ".join(source.stem for source in sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")))
        return fail(f"there is no notebook {number}; there are {there}", 2)
    out = pathlib.Path(arguments[2]) if len(arguments) == 3 else result.parent / number
    if why := missing_modules(NEEDS):
        return fail(why, 70)
    from lib import results, view
    from lib.any_result import open_any
    try:
        for file in (result, *([pathlib.Path(other)] if other else [])):
            results.check(file)
        if options:
            view.make_view(open_any(result), **options)
    except results.ResultError as error:
        return fail(error, error.code)
    except view.ViewError as error:
        return fail(error, 2)
    try:
        out.mkdir(parents=True, exist_ok=True)  # before the minute that the figures take
    except OSError as error:
        return fail(f"{out}: {error.strerror}", 73)
    with tempfile.TemporaryDirectory(prefix="lamp-notebook-") as scratch:
        scratch = pathlib.Path(scratch)
        private_jupyter(scratch)
        made = scratch / "out"
        made.mkdir()
        os.environ |= {"LAMP_RESULT": str(result.resolve()), "LAMP_OUT": str(made),
                       "LAMP_VIEW": json.dumps(options), "LAMP_OTHER": str(pathlib.Path(other).resolve()) if other else ""}
        from nbclient.exceptions import CellExecutionError
        try:
            page = execute(sources[0], results.other_schema(result))
        except CellExecutionError as error:
            return fail(f"{sources[0].name} failed on {result}:\n{error}", 70)
        (made / f"{sources[0].stem}.html").write_text(page, encoding="utf-8")
        try:
            move_in(made, out, sources[0].stem)
        except OSError as error:
            return fail(f"{out}: {error.strerror}", 73)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
