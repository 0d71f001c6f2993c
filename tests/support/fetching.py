"""A server on this machine that cuts, lies and redirects as it is told, and `lamp fetch` in front of it."""
import concurrent.futures
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from results import LAMP

NAMES = ["config.json", "vocab.json", "merges.txt", "model.safetensors"]
WEIGHTS = "model.safetensors"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def some_files(seed=0):
    draw = random.Random(seed)
    return {name: draw.randbytes(300_000 if name == WEIGHTS else 500) for name in NAMES}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, name = self.server, self.path.rsplit("/", 1)[1]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        server.log.append((name, start))
        hook = server.hooks.get(name)
        if hook is None or not hook(self, start):
            self.send(name, start)

    def send(self, name, start, until=None):
        """The file from `start` on as a good server does; the connection is cut after the byte `until`."""
        server, data = self.server, self.server.files.get(name)
        if data is None:
            return self.answer(404, {}, b"<html>no such file</html>")
        headers = server.headers(name, data)
        tags = [headers.get("ETag"), headers.get("Last-Modified")]
        if not server.ranges or self.headers.get("If-Range", tags[0]) not in tags:
            start = 0
        if start >= len(data):
            return self.answer(416, {**headers, "Content-Range": f"bytes */{len(data)}"}, b"")
        if start > 0:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.answer(206 if start > 0 else 200, {**headers, "Content-Length": len(data) - start}, data[start:until])
        self.close_connection = until is not None

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for key, value in (headers if "Content-Length" in headers else {**headers, "Content-Length": len(body)}).items():
            if value is not None:
                self.send_header(key, str(value))
        self.end_headers()
        self.server.sent += len(body)
        with contextlib.suppress(OSError):  # the other side may have had enough
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """files: name to bytes. hooks: name to a function (handler, first byte asked for) that answers itself, or returns None.
    log: (name, first byte asked for) of every request; sent: bytes of bodies."""
    daemon_threads = True

    def __init__(self, files=None, headers=None, ranges=True, hooks=None, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.hooks = files or some_files(), ranges, hooks or {}
        self.headers = headers or (lambda name, data: {"ETag": f'"{sha256(data)[:20]}"'})
        self.log, self.sent = [], 0
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}/some/folder"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, *_):
        pass

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def stated(name, data):
    """Headers of a server that states the hash of the weights, as Hugging Face does."""
    return {"ETag": f'"{sha256(data) if name == WEIGHTS else sha256(data)[:40]}"'}


class FetchCase(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.folder = self.scratch / "model"
        self.environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and "CERT" not in k and "CA_B" not in k}

    def server(self, *arguments, **options):
        server = Server(*arguments, **options)
        self.addCleanup(server.__exit__)
        return server

    def start(self, server, name="gpt2-medium", folder=None, under=(), **options):
        url = server if isinstance(server, str) else server.url
        return subprocess.Popen([*under, str(LAMP), "fetch", name, "--dir", str(folder or self.folder), "--from", url, "--json"], text=True,
                                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.environment, **options})

    def end(self, process):
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def fetched(self, server, **options):
        code, out, err = self.end(self.start(server, **options))
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def refused(self, code, words, server, **options):
        """Ends with `code` and one error line; nothing under a name but what was already there."""
        folder = options.get("folder") or self.folder
        before = self.names(folder)
        found, out, err = self.end(self.start(server, **options))
        self.assertEqual((found, out), (code, ""), err)
        for word in words:
            self.assertIn(word, err.splitlines()[-1])
        return self.names(folder) - before

    def names(self, folder=None):
        folder = folder or self.folder
        return set(os.listdir(folder)) if folder.is_dir() else set()

    def is_whole(self, server, folder=None):
        folder = folder or self.folder
        self.assertEqual(self.names(folder), {*NAMES, "fetched.json"})
        for name in NAMES:
            self.assertTrue((folder / name).read_bytes() == server.files[name], name)
        pins = json.loads((folder / "fetched.json").read_text())
        self.assertEqual(pins["unfinished"], {})
        for name in NAMES:
            self.assertEqual((pins["files"][name]["size"], pins["files"][name]["sha256"]),
                             (len(server.files[name]), sha256(server.files[name])))

    def cut_at(self, *offsets):
        """A hook that cuts the weights after these bytes of the file, one connection each."""
        left = list(offsets)

        def hook(handler, start):
            if left:
                return handler.send(WEIGHTS, start, until=left.pop(0)) or True
        return hook

    def half_way(self, server, folder=None, **options):
        """A fetch that has half of the weights and waits for the rest; the event that gives them."""
        reached, goes_on = threading.Event(), threading.Event()
        self.addCleanup(goes_on.set)

        def hook(handler, start):
            if not reached.is_set():
                handler.send(WEIGHTS, start, until=150_000)
                reached.set()
                goes_on.wait(30)
                return True
        server.hooks[WEIGHTS] = hook
        process = self.start(server, folder=folder, **options)
        self.assertTrue(reached.wait(30))
        partial = (folder or self.folder) / (WEIGHTS + ".partial")
        deadline = time.monotonic() + 30
        while not (partial.exists() and partial.stat().st_size == 150_000):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)
        return process, goes_on


def run_together(cases):
    """All tests, several at a time: most of their time is waiting."""
    def run(case):
        result = unittest.TestResult()
        case.run(result)
        return result
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, unittest.defaultTestLoader.loadTestsFromTestCase(cases)))
    wrong = [case for result in results for case in result.failures + result.errors]
    for case, text in wrong:
        print(f"FAIL: {case}\n{text}", file=sys.stderr)
    print(f"{len(results)} tests, {len(wrong)} failed", file=sys.stderr)
    return 1 if wrong or not results else 0
