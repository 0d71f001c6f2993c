"""lamp fetch against a server that cuts, lies, redirects and goes away: what is under a file's name is right and whole."""
import concurrent.futures
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fetching import NAMES, WEIGHTS, FetchCase, Server, run_together, sha256, some_files, stated  # noqa: E402


class Fetch(FetchCase):
    # connections that are cut

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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        unittest.main()
    sys.exit(run_together(Fetch))
