"""The notebooks of notebooks/recipes: their cells run, one after the other, in an interpreter each; they are committed without outputs."""
import json
import pathlib
import subprocess
import sys
import unittest

RECIPES = pathlib.Path(__file__).resolve().parents[3] / "notebooks/recipes"


class Recipes(unittest.TestCase):
    def test_every_cell_runs(self):
        notebooks = sorted(RECIPES.glob("*.ipynb"))
        self.assertGreaterEqual(len(notebooks), 4)
        for notebook in notebooks:
            cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
            self.assertTrue(all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells), notebook)
            code = "\n\n".join("".join(cell["source"]) for cell in cells)
            self.assertIn("assert", code)
            done = subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", code], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, f"{notebook.name}\n{done.stdout}\n{done.stderr}")
            self.assertTrue(done.stdout)
            print(f"{notebook.name}\n{done.stdout}")


if __name__ == "__main__":
    unittest.main(verbosity=1)
