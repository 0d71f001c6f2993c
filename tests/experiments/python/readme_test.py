"""The examples of experiments/python/README.md, the docstrings' one-liners, and what importing lamp costs."""
import ast
import doctest
import inspect
import os
import pathlib
import subprocess
import sys
import unittest

import lamp

ROOT = pathlib.Path(__file__).resolve().parents[3]


def parameters(node):
    """Names, in the order of inspect."""
    a = node.args
    several = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs, *([a.kwarg] if a.kwarg else [])]
    return [argument.arg for argument in several]


class Readme(unittest.TestCase):
    def test_examples(self):
        os.chdir(ROOT)
        failed, tried = doctest.testfile(str(ROOT / "experiments/python/README.md"), module_relative=False,
                                         optionflags=doctest.NORMALIZE_WHITESPACE)
        self.assertGreater(tried, 15)
        self.assertEqual(failed, 0)

    def test_everything_public_says_what_it_is(self):
        for name in lamp.__all__:
            thing = getattr(lamp, name)
            self.assertTrue(thing.__doc__, name)
            for member, value in vars(thing).items() if isinstance(thing, type) else ():
                if callable(value) and not member.startswith("_"):
                    self.assertTrue(value.__doc__, f"{name}.{member}")

    def test_the_stub_has_the_names_and_parameters_there_are(self):
        stub = ast.parse((pathlib.Path(lamp.__file__).with_name("__init__.pyi")).read_text())
        found = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        self.assertEqual(sorted(found), sorted(lamp.__all__))
        for name, node in found.items():
            thing = getattr(lamp, name)
            if isinstance(node, ast.FunctionDef):
                self.assertEqual(parameters(node), list(inspect.signature(thing).parameters), name)
                continue
            methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
            public = {member for member, value in vars(thing).items() if callable(value) and not member.startswith("_")}
            self.assertEqual({method for method in methods if not method.startswith("_")}, public, name)
            for method in methods.values():
                there = inspect.signature(getattr(thing, method.name)).parameters
                self.assertEqual(parameters(method), list(there), f"{name}.{method.name}")

    def test_importing_is_quick_and_takes_numpy_alone(self):
        code = "import sys, lamp; print(*(m for m in ('xarray', 'h5py', 'h5netcdf', 'matplotlib', 'torch') if m in sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "")
        clock = "import time, numpy; t = time.process_time(); import lamp; print(t, time.process_time() - t)"
        tries = [subprocess.run([sys.executable, "-c", clock], capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
        numpys, ours = (min(float(times[i]) for times in tries) for i in (0, 1))
        print(f"python and numpy {numpys:.3f} s, lamp {ours:.3f} s of a processor")
        self.assertLess(ours, 0.1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
