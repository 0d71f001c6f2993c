"""The folder that lamp fetch fills: what is known of its files, what is written down, what is in the way, what is said."""
import contextlib
import json
import os
import pathlib
import pty
import random
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fetching import NAMES, WEIGHTS, FetchCase, run_together, sha256, stated  # noqa: E402
from results import LAMP, ROOT  # noqa: E402

TOKENIZER = ROOT / "tests/golden/gpt2-tokenizer"
GPT2_CONFIG = {  # the published one, byte by byte, in json.dumps(.., indent=2)
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
    "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768,
    "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, "vocab_size": 50257}


class Fetch(FetchCase):
    # what a good server gives

    def test_whole_and_then_nothing(self):
        server = self.server(headers=stated)
        told = self.fetched(server)
        self.is_whole(server)
        self.assertEqual([name for name, _ in server.log], NAMES)
        self.assertEqual(told["downloaded"], sum(map(len, server.files.values())))
        self.assertEqual([f["checked"] for f in told["files"]], ["length"] * 3 + ["stated"])
        self.assertEqual((told["checkpoint"], told["folder"], told["files"][3]["url"]),
                         ("gpt2-medium", str(self.folder), f"{server.url}/{WEIGHTS}"))
        written = re.search(r"^    fetch --json +(.*\n {21}.*)", (ROOT / "experiments/README.md").read_text(), re.MULTILINE)[1]
        self.assertEqual(set(re.findall(r'"(\w+)"', written)) - {"known", "stated", "length"}, set(told) | set(told["files"][0]))
        again = self.fetched("http://127.0.0.1:9/nobody")  # is not asked
        self.assertEqual((again["downloaded"], [f["sha256"] for f in again["files"]]), (0, [f["sha256"] for f in told["files"]]))
        text = subprocess.run([str(LAMP), "fetch", "gpt2-medium", "--dir", str(self.folder)], capture_output=True, text=True, timeout=60)
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        self.assertIn("complete, nothing was downloaded", text.stdout)
        # one that is gone is fetched alone
        (self.folder / "vocab.json").unlink()
        self.assertEqual([f["checked"] for f in self.fetched(server)["files"]], ["length"] * 3 + ["stated"])
        self.assertEqual(len(server.log), 5)
        self.is_whole(server)

    def test_the_published_gpt2_is_known(self):
        files = {"config.json": json.dumps(GPT2_CONFIG, indent=2).encode()}
        server = self.server(files)
        self.folder.mkdir()
        for name in ("vocab.json", "merges.txt"):  # copied by hand, and right: nobody is asked for them
            shutil.copy(TOKENIZER / name, self.folder)
        self.assertEqual(self.refused(66, [WEIGHTS, "404", server.url], server, name="gpt2"), {"config.json", "fetched.json"})
        self.assertEqual([name for name, _ in server.log], ["config.json", WEIGHTS])
        self.assertEqual(json.loads((self.folder / "fetched.json").read_text())["files"]["config.json"]["checked"], "known")
        (self.folder / "config.json").unlink()
        right = files["config.json"]
        for wrong, words in ((right[:-1] + b" ", ["SHA-256", "0daed7749b4f"]), (right + b" ", ["size 666", "665"])):
            server.files["config.json"] = wrong
            self.assertEqual(self.refused(65, ["config.json", *words, "lamp says"], server, name="gpt2"), set())
        (self.folder / "vocab.json").write_bytes(b"{}")
        self.refused(65, ["vocab.json: has 2 bytes", "1042301", "lamp says", "remove it"], server, name="gpt2")

    # the folder

    def test_pins(self):
        for headers in (stated, None):
            server = self.server(headers=headers)
            folder = self.scratch / f"m{server.server_port}"
            self.fetched(server, folder=folder)
            (folder / WEIGHTS).unlink()
            old = server.files[WEIGHTS]
            server.files[WEIGHTS] = random.Random(9).randbytes(300_000)
            words = [WEIGHTS, sha256(server.files[WEIGHTS]), sha256(old), "fetched.json says", "at the server" if headers else "removed"]
            self.assertEqual(self.refused(65, words, server, folder=folder), set())
            server.files[WEIGHTS] = old + b"x"
            self.assertEqual(self.refused(65, [WEIGHTS, "300001", "300000 is what fetched.json says"], server, folder=folder), set())
            server.files[WEIGHTS] = old
            # bytes from another address, whose hash will tell: gone on with
            (folder / (WEIGHTS + ".partial")).write_bytes(old[:1000])
            pins = json.loads((folder / "fetched.json").read_text())
            pins["unfinished"] = {WEIGHTS: {"url": "http://elsewhere/x", "size": 300_000, "sha256": "", "validator": '"other"'}}
            (folder / "fetched.json").write_text(json.dumps(pins))
            self.assertEqual(self.fetched(server, folder=folder)["downloaded"], 299_000)
            self.is_whole(server, folder)
        (folder / "merges.txt").write_bytes(b"edited")
        self.refused(65, ["merges.txt: has 6 bytes", "fetched.json says", "remove it"], server, folder=folder)
        self.assertEqual((folder / "merges.txt").read_bytes(), b"edited")

    def test_damaged_fetched_json(self):
        server = self.server()
        self.fetched(server)
        file = self.folder / "fetched.json"
        good = json.loads(file.read_text())
        (self.folder / "config.json").unlink()
        entry = {"url": server.url, "size": None, "sha256": "", "validator": ""}
        for text, code, words in (
                (file.read_text()[:-30], 65, ["not JSON"]), ("", 65, []), ("[]", 65, ["not what lamp fetch writes"]), ("{}", 65, []),
                (json.dumps({**good, "checkpoint": "gpt2-xl"}), 73, ["holds gpt2-xl", "--dir"]),
                (json.dumps({**good, "files": {"config.json": {**good["files"]["config.json"], "size": -1}}}), 65, []),
                (json.dumps({**good, "files": {"config.json": {**good["files"]["config.json"], "sha256": "A" * 64}}}), 65, []),
                (json.dumps({**good, "files": {"config.json": {**good["files"]["config.json"], "checked": "by nobody"}}}), 65, []),
                (json.dumps({**good, "files": []}), 65, []), (json.dumps({**good, "unfinished": {"x": 1}}), 65, []),
                (json.dumps({**good, "unfinished": {"config.json": {**entry, "validator": "x\r\nY: z"}}}), 65, []),
                (json.dumps({**good, "unfinished": {"config.json": {**entry, "size": "3"}}}), 65, []),
                ("x" * 70_000, 65, ["70000 bytes"])):
            file.write_text(text)
            self.assertEqual(self.refused(code, [str(self.folder), *words], server), set())
            self.assertEqual(file.read_text(), text)

    def test_files_that_nobody_checked(self):
        self.folder.mkdir()
        server = self.server(headers=stated)
        (self.folder / WEIGHTS).write_bytes(server.files[WEIGHTS])
        (self.folder / "config.json").write_bytes(server.files["config.json"])
        told = self.fetched(server)
        self.is_whole(server)
        self.assertEqual([f["downloaded"] for f in told["files"]], [500, 500, 500, 0])  # no hash of config.json: compared
        for name, words in ((WEIGHTS, ["the server's has"]), ("config.json", ["another file than the server's"])):
            other = self.scratch / name
            other.mkdir()
            (other / name).write_bytes(b"mine")
            self.refused(65, [name, *words, "remove"], server, folder=other)
            self.assertEqual((other / name).read_bytes(), b"mine")

    def test_folders_and_files_that_cannot_be(self):
        server = self.server()
        (self.scratch / "file").write_bytes(b"")
        self.refused(73, [str(self.scratch / "file" / "x")], server, folder=self.scratch / "file" / "x")
        self.refused(73, [str(self.scratch / "file")], server, folder=self.scratch / "file")
        self.refused(73, ["/proc/nothing"], server, folder=pathlib.Path("/proc/nothing/x"))
        if os.geteuid() != 0:
            closed = self.scratch / "closed"
            closed.mkdir(mode=0o555)
            self.refused(77, [str(closed)], server, folder=closed)
        partial = self.folder / "config.json.partial"
        self.folder.mkdir()
        (self.scratch / "target").write_bytes(b"precious")

        def pipe():
            os.mkfifo(partial)
            self.addCleanup(os.close, os.open(partial, os.O_RDONLY | os.O_NONBLOCK))

        for make in (partial.mkdir, pipe, lambda: partial.symlink_to(self.scratch / "target")):
            make()
            self.refused(73, [str(partial)], server)
            partial.rmdir() if partial.is_dir() else partial.unlink()
        self.assertEqual((self.scratch / "target").read_bytes(), b"precious")
        (self.folder / "config.json").mkdir()
        self.refused(65, [str(self.folder / "config.json"), "directory"], server)

    def test_no_room(self):
        server = self.server()
        found, out, err = self.end(self.start(server, under=["prlimit", "--fsize=100000"]))
        self.assertEqual((found, out), (74, ""))
        self.assertIn(f"{self.folder / WEIGHTS}.partial: cannot write: File too large", err)
        self.assertEqual((self.folder / (WEIGHTS + ".partial")).stat().st_size, 100_000)
        self.assertEqual(self.fetched(server)["downloaded"], 200_000)
        self.is_whole(server)

    def test_default_folder(self):
        server = self.server()
        tree = self.scratch / "tree"
        program = tree / "build/release/lamp"
        program.parent.mkdir(parents=True)
        shutil.copy(LAMP, program)
        elsewhere = self.scratch / "elsewhere"
        elsewhere.mkdir()
        for make, folder in ((lambda: None, elsewhere / "distilgpt2"),
                             (lambda: (tree / "data/models").mkdir(parents=True), elsewhere / "distilgpt2"),
                             (lambda: (tree / "data/MANIFEST").write_text(""), tree / "data/models/distilgpt2")):
            make()
            done = subprocess.run([str(program), "fetch", "distilgpt2", "--from", server.url + "/"], cwd=elsewhere, env=self.environment,
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.is_whole(server, folder)
            self.assertEqual(json.loads((folder / "fetched.json").read_text())["files"][WEIGHTS]["url"], f"{server.url}/{WEIGHTS}")
            shutil.rmtree(folder)

    def test_a_bar_on_a_terminal(self):
        terminal, other_end = pty.openpty()
        process = self.start(self.server(), stderr=other_end)
        os.close(other_end)
        shown = b""
        with contextlib.suppress(OSError), open(terminal, "rb", buffering=0) as file:  # its end is an error
            while part := file.read(4096):
                shown += part
        self.assertEqual(self.end(process)[0], 0)
        # half as wide where the rate has so many digits that 80 columns do not hold it
        self.assertRegex(shown, rb"\r\[(#{24}|#{12})\] model\.safetensors: 293 KiB of 293 KiB, ")

    def test_what_is_asked_for(self):
        for name, words in (("gpt3", ["unknown checkpoint", "distilgpt2", 'did you mean "gpt2"?']), ("../x", ["unknown checkpoint"])):
            self.refused(66, words, "http://127.0.0.1:9", name=name)
        for url in ("", "ftp://x/y", "file:///etc", "http://", "http:///x", "127.0.0.1", "http://u:p@h/x", "http://h/x?y", "http://h/x#y",
                    "http://h/x y", "http://h/\n", "http://h/\xff"):
            self.refused(2, ["--from", "legal: https://"], url)
        self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        unittest.main()
    sys.exit(run_together(Fetch))
