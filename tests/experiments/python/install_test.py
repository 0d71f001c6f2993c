"""`pip install .` into a fresh environment with numpy 2.x, and the tests of the module there, with the installed module and program.

Not by default: it builds all of lamp once more (build/<wheel tag>), minutes without a compiler's cache. Prints pip's log.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).parent
PINNED = ["numpy==2.2.6", "ml_dtypes==0.6.0", "h5py==3.16.0", "xarray==2026.9.0", "h5netcdf==1.8.2"]
TESTS = ["arrays_test.py", "bits_test.py", "threads_test.py", "model_test.py", "own_rule_test.py", "readme_test.py",
         "reveal_test.py", "recipes_test.py"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        python = folder + "/bin/python3"
        clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LAMP_BINARY")}
        subprocess.run([sys._base_executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED], check=True, env=clean)
        started = time.monotonic()
        subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", str(ROOT)], check=True, env=clean)
        print(f"pip install .: {time.monotonic() - started:.0f} s", flush=True)
        version = subprocess.run([folder + "/bin/lamp", "version"], check=True, capture_output=True, text=True).stdout
        code = "import lamp, numpy; print(lamp.__file__, numpy.__version__)"
        where = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, env=clean).stdout
        print(version.splitlines()[0], where.strip(), flush=True)
        assert where.startswith(folder) and "2.2.6" in where
        installed = {**clean, "LAMP_BINARY": folder + "/bin/lamp"}
        failed = [test for test in TESTS if subprocess.run([python, HERE / test], env=installed, cwd=ROOT).returncode != 0]
        print("failed:", failed)
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
