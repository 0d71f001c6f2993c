"""lamp fetch against a server on this machine that cuts, lies, redirects and goes away: what is under a file's name is right and whole."""
import concurrent.futures
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from results import LAMP, ROOT  # noqa: E402

NAMES = ["config.json", "vocab.json", "merges.txt", "model.safetensors"]
WEIGHTS = "model.safetensors"
TOKENIZER = ROOT / "tests/golden/gpt2-tokenizer"
GPT2_CONFIG = {  # the published one, byte by byte, in json.dumps(.., indent=2)
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
    "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768,
    "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None, "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True, "summary_type": "cls_index", "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}, "vocab_size": 50257}


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


class Fetch(unittest.TestCase):
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

    # connections that are cut

    def cut_at(self, *offsets):
        """A hook that cuts the weights after these bytes of the file, one connection each."""
        left = list(offsets)

        def hook(handler, start):
            if left:
                return handler.send(WEIGHTS, start, until=left.pop(0)) or True
        return hook

    def test_cut_connections_go_on_where_they_were(self):
        cuts = [0, 1, 1000, 131_072, 299_999]
        for headers in (None, lambda name, data: {"Last-Modified": "Mon, 30 Nov 2026 00:00:00 GMT"}, stated):
            server = self.server(hooks={WEIGHTS: self.cut_at(*cuts)}, headers=headers)
            folder = self.scratch / f"m{server.server_port}"
            self.fetched(server, folder=folder)
            self.is_whole(server, folder)
            self.assertEqual([start for name, start in server.log if name == WEIGHTS], [0] + cuts)
            self.assertEqual(server.sent, sum(map(len, server.files.values())))

    def test_a_server_without_ranges_starts_again(self):
        server = self.server(hooks={WEIGHTS: self.cut_at(1000)}, ranges=False)
        self.fetched(server)
        self.is_whole(server)
        self.assertEqual(server.sent, 1000 + sum(map(len, server.files.values())))

    def test_bytes_that_nothing_can_tell_are_not_gone_on_with(self):
        server = self.server(hooks={WEIGHTS: self.cut_at(1000)}, headers=lambda name, data: {})
        self.fetched(server)
        self.is_whole(server)
        self.assertEqual([start for name, start in server.log if name == WEIGHTS], [0, 0])

    def test_a_part_that_begins_elsewhere(self):
        def hook(handler, start):  # the first bytes again, said to be so, but in answer to the rest
            if start == 1000:
                headers = {**server.headers(WEIGHTS, server.files[WEIGHTS]), "Content-Range": "bytes 0-299999/300000"}
                return handler.answer(206, headers, server.files[WEIGHTS]) or True
            return cut(handler, start)
        cut = self.cut_at(1000)
        server = self.server(hooks={WEIGHTS: hook})
        self.fetched(server)
        self.is_whole(server)

    def test_it_gives_up(self):
        """Each of these takes its pauses; all at once. A connection that was open already is tried once more, by libcurl itself."""
        def vanish(server):
            def hook(handler, start):
                handler.send(WEIGHTS, start, until=1000)
                threading.Thread(target=server.__exit__).start()
                return True
            return hook
        silent = self.server(hooks={WEIGHTS: lambda handler, start: setattr(handler, "close_connection", True) or True})
        broken = self.server(hooks={WEIGHTS: lambda handler, start: handler.answer(503, {}) or True})
        same_place = self.server(ranges=False, hooks={WEIGHTS: lambda handler, start: handler.send(WEIGHTS, 0, until=1000) or True})
        changing = self.server(hooks={WEIGHTS: lambda handler, start: start > 0 and (
            handler.answer(206, {"Content-Range": "bytes 7-9/10"}, b"abc") or True) or handler.send(WEIGHTS, 0, until=1000) or True})
        gone = Server()
        gone.hooks[WEIGHTS] = vanish(gone)
        cases = [(silent, ["Empty reply", "0 bytes of model"], 6), (broken, ["503", "0 bytes of model"], 5),
                 (same_place, ["1000 bytes of model"], 6), (changing, [WEIGHTS, "are here"], None), (gone, ["1000 bytes of model"], 1)]

        def check(case):
            server, words, tries = case
            folder = self.scratch / f"m{server.server_port}"
            new = self.refused(75, ["127.0.0.1:", "the same command continues", *words], server, folder=folder)
            self.assertLessEqual(new, {*NAMES[:3], "fetched.json", WEIGHTS + ".partial"})
            if tries is not None:
                self.assertEqual(len([1 for name, _ in server.log if name == WEIGHTS]), tries)
            return folder
        with concurrent.futures.ThreadPoolExecutor() as pool:
            folders = list(pool.map(check, cases))
        # from another address: nothing says that the bytes are of the same file, and they are not
        server = self.server({**some_files(), WEIGHTS: random.Random(6).randbytes(300_000)})
        for folder in folders:
            self.fetched(server, folder=folder)
            self.is_whole(server, folder)

    def test_a_server_that_was_ill_for_a_moment(self):
        statuses = [500, 429]
        server = self.server(hooks={WEIGHTS: lambda handler, start: statuses and (handler.answer(statuses.pop(), {}) or True)})
        self.fetched(server)
        self.is_whole(server)

    # a process that ends

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

    def test_interrupted_and_resumed(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            server = self.server()
            folder = self.scratch / str(number)
            process, _ = self.half_way(server, folder)
            process.send_signal(number)
            found, out, err = self.end(process)
            self.assertEqual((found, out), (code, ""))
            if code > 0:
                self.assertIn(f"stopped by signal {code - 128}", err)
            self.assertNotIn(WEIGHTS, self.names(folder))
            told = self.fetched(server, folder=folder)
            self.assertEqual(server.log[-1], (WEIGHTS, 150_000))
            self.assertEqual(told["downloaded"], 150_000)
            self.is_whole(server, folder)

    def test_one_process_at_a_time(self):
        server = self.server()
        process, goes_on = self.half_way(server)
        self.assertEqual(self.refused(75, [str(self.folder), "another process"], server), set())
        goes_on.set()
        self.assertEqual(self.end(process)[0], 0)
        self.is_whole(server)

    def test_another_file_between_two_tries(self):
        for headers, ranges, length in ((None, True, 300_000), (None, True, 300_001), (stated, True, 300_000), (None, False, 300_000),
                                        (lambda name, data: {"ETag": '"same"'}, True, 300_001)):
            server = self.server(headers=headers, ranges=ranges)
            folder = self.scratch / f"m{server.server_port}"
            process, _ = self.half_way(server, folder)
            process.kill()
            self.end(process)
            server.files[WEIGHTS] = random.Random(7).randbytes(length)
            self.fetched(server, folder=folder)
            self.is_whole(server, folder)
        # changed bytes of the same length under the same tag: only the hash can tell, and it does
        server = self.server(headers=lambda name, data: {"ETag": '"same"', "X-Linked-Etag": f'"{sha256(server.files[name])}"'})
        process, _ = self.half_way(server)
        process.kill()
        self.end(process)
        server.files[WEIGHTS] = random.Random(8).randbytes(300_000)
        self.fetched(server)
        self.is_whole(server)

    def test_partial_files_that_are_not_right(self):
        server = self.server(headers=stated)
        partial = self.folder / (WEIGHTS + ".partial")
        self.folder.mkdir()
        partial.write_bytes(b"x" * 300_001)  # of nobody
        self.fetched(server)
        self.is_whole(server)
        pins = json.loads((self.folder / "fetched.json").read_text())
        for data, code in ((server.files[WEIGHTS] + b"x", 0), (b"x" + server.files[WEIGHTS][1:], 65), (b"x" * 1000, 65),
                           (server.files[WEIGHTS], 0)):
            asked = len(server.log)
            (self.folder / WEIGHTS).unlink()
            entry = pins["files"][WEIGHTS]
            begun = {"url": entry["url"], "size": 300_000, "sha256": entry["sha256"], "validator": f'"{entry["sha256"]}"'}
            others = {name: pin for name, pin in pins["files"].items() if name != WEIGHTS}
            (self.folder / "fetched.json").write_text(json.dumps({**pins, "files": others, "unfinished": {WEIGHTS: begun}}))
            partial.write_bytes(data)
            if code:
                self.refused(65, [str(partial), "SHA-256", sha256(server.files[WEIGHTS]), "removed"], server)
                self.assertFalse(partial.exists() or (self.folder / WEIGHTS).exists())
            self.fetched(server)
            self.is_whole(server)
            if data == server.files[WEIGHTS]:
                self.assertEqual(len(server.log), asked)  # all of it was here

    # what a server should not say

    def test_wrong_bytes(self):
        server = self.server(headers=lambda name, data: {"X-Linked-Etag": f'"{sha256(right[name])}"', "ETag": '"x"'})
        right = dict(server.files)
        server.files[WEIGHTS] = right[WEIGHTS][:-1] + bytes([right[WEIGHTS][-1] ^ 1])
        new = self.refused(65, [WEIGHTS + ".partial", sha256(server.files[WEIGHTS]), sha256(right[WEIGHTS]), "the server says"], server)
        self.assertEqual(new, {*NAMES[:3], "fetched.json"})
        server.files[WEIGHTS] = right[WEIGHTS]
        self.fetched(server)
        self.is_whole(server)
        # stated with the first bytes, but not with the rest
        said = [f'"{sha256(b"")}"']
        server = self.server(hooks={WEIGHTS: self.cut_at(1000)})
        server.headers = lambda name, data: {"ETag": '"x"', "X-Linked-Etag": said.pop() if name == WEIGHTS and said else None}
        self.refused(65, [WEIGHTS + ".partial", sha256(b""), "the server says"], server, folder=self.scratch / "other")

    def test_wrong_lengths_and_answers(self):
        def says(status=200, body=b"abc", **headers):
            return lambda handler, start: handler.answer(status, {k.replace("_", "-"): v for k, v in headers.items()}, body) or True

        def endless(handler, start):
            handler.answer(200, {"Content-Length": None, "Transfer-Encoding": "chunked"})
            for _ in range(20):
                handler.wfile.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
            return True

        def location(where):
            return says(302, b"", Location=where)

        for hook, code, words in (
                (says(body=b""), 65, ["states 0 bytes", "legal: 1 to"]), (says(Content_Length=10**8), 65, ["states 100000000 bytes"]),
                (says(Content_Length=None, Connection="close"), 65, ["states no length"]), (endless, 65, ["sends more than 16777216"]),
                (says(Content_Type="text/html; charset=utf-8"), 65, ["text/html"]),
                (says(Content_Encoding="gzip"), 65, ["Content-Encoding"]),
                (says(404), 66, ["404"]), (says(410), 66, ["410"]), (says(401), 77, ["401"]), (says(403), 77, ["403"]),
                (says(204, b""), 65, ["204"]), (says(400), 65, ["400"]), (says(302), 65, ["302"]),
                (location("/config.json"), 65, ["more than 10 redirects"]), (location("file:///etc/passwd"), 65, ["not https"]),
                (location("gopher://127.0.0.1/config.json"), 65, ["not https"])):
            server = self.server(hooks={"config.json": hook})
            new = self.refused(code, ["lamp fetch: config.json: ", *words, server.url + "/config.json"], server)
            self.assertEqual(new - {"fetched.json"}, set(), words)
        # more than any disk holds
        server = self.server(hooks={WEIGHTS: says(Content_Length=60 << 30)})
        for place in (self.scratch, pathlib.Path("/dev/shm")):
            if place.is_dir() and os.statvfs(place).f_bavail * os.statvfs(place).f_frsize < 60 << 30:
                with tempfile.TemporaryDirectory(dir=place) as folder:
                    self.refused(74, [WEIGHTS, "no space", str(60 << 30)], server, folder=pathlib.Path(folder))

    def test_chunks_and_odd_tags(self):
        def chunked(handler, start):
            handler.answer(200, {"Content-Length": None, "Transfer-Encoding": "chunked", "ETag": '"\xff\xfe"', "Last-Modified": "x" * 5000})
            data = server.files["config.json"]
            handler.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:7], data[7:])) + b"0\r\n\r\n")
            return True
        server = self.server(hooks={"config.json": chunked})
        self.fetched(server)
        self.is_whole(server)

    def test_redirects(self):
        """As Hugging Face: the first server states size and hash, and sends one elsewhere, whose tags are hashes of something else."""
        elsewhere = self.server(headers=lambda name, data: {"ETag": f'"{"e" * 64}"'})

        def hook(handler, start):
            name = handler.path.rsplit("/", 1)[1]
            hash_of = {"X-Linked-Etag": f'"{sha256(elsewhere.files[name])}"'} if name == WEIGHTS else {}
            return handler.answer(302, {"Location": f"{elsewhere.url}/{name}", **hash_of}, b"moved") or True
        server = self.server(hooks={name: hook for name in NAMES})
        elsewhere.hooks[WEIGHTS] = self.cut_at(1000)
        told = self.fetched(server)
        self.is_whole(elsewhere)
        self.assertEqual([f["checked"] for f in told["files"]], ["length"] * 3 + ["stated"])
        self.assertEqual(elsewhere.log[-2:], [(WEIGHTS, 0), (WEIGHTS, 1000)])

    def test_https(self):
        key, certificate = self.scratch / "key.pem", self.scratch / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                        certificate, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        server, plain = self.server(tls=tls), self.server()
        self.assertEqual(self.refused(75, ["cannot reach 127.0.0.1", "certificate"], server), set())
        self.environment["SSL_CERT_FILE"] = str(certificate)
        self.fetched(server)
        self.is_whole(server)
        (self.folder / "config.json").unlink()
        server.hooks["config.json"] = lambda handler, start: handler.answer(302, {"Location": plain.url + "/config.json"}) or True
        self.assertEqual(self.refused(65, ["config.json", "not https"], server), set())
        self.assertEqual(plain.log, [])

    def test_nobody_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{s.getsockname()[1]}"
            words = [f"cannot reach {url[7:]}: ", "resumed by the same command", "by hand: " + ", ".join(NAMES), str(self.folder)]
            self.refused(75, words, url)
        self.assertFalse(self.folder.exists())
        self.refused(75, ["cannot reach no-such-host.invalid: "], "https://no-such-host.invalid/x")

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
        self.assertIn(b"\r[" + b"#" * 24 + b"] model.safetensors: 293 KiB of 293 KiB, ", shown)

    def test_what_is_asked_for(self):
        for name, words in (("gpt3", ["unknown checkpoint", "distilgpt2", 'did you mean "gpt2"?']), ("../x", ["unknown checkpoint"])):
            self.refused(66, words, "http://127.0.0.1:9", name=name)
        for url in ("", "ftp://x/y", "file:///etc", "http://", "http:///x", "127.0.0.1", "http://u:p@h/x", "http://h/x?y", "http://h/x#y",
                    "http://h/x y", "http://h/\n", "http://h/\xff"):
            self.refused(2, ["--from", "legal: https://"], url)
        self.assertFalse(self.folder.exists())


def run_together():
    """All tests, several at a time: most of their time is waiting."""
    def run(case):
        result = unittest.TestResult()
        case.run(result)
        return result
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, unittest.defaultTestLoader.loadTestsFromTestCase(Fetch)))
    wrong = [case for result in results for case in result.failures + result.errors]
    for case, text in wrong:
        print(f"FAIL: {case}\n{text}", file=sys.stderr)
    print(f"{len(results)} tests, {len(wrong)} failed", file=sys.stderr)
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        unittest.main()
    sys.exit(run_together())
