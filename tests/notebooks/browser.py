"""A page in headless chromium without network, driven as a reader would: real clicks and keys, over the DevTools protocol.

tornado, which ipykernel brings, has the WebSocket. CHROMIUM is None where there is no browser: tests are then skipped, saying so.
"""
import asyncio
import base64
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

from tornado.websocket import websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 90  # seconds for anything; a busy machine


class Browser:
    """with Browser(file) as page: .. ; `requests`: every address that the page asked for, `errors`: what its scripts threw."""

    def __init__(self, file):
        self.file, self.requests, self.errors = pathlib.Path(file).resolve(), [], []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lamp-browser-", ignore_cleanup_errors=True)
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--window-size=1200,900",
                   "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
                   f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen([CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.loop = asyncio.new_event_loop()
        self.number, self.socket = 0, None
        try:
            self.loop.run_until_complete(self._connect())
            for domain in ("Page", "Runtime", "Network"):
                self.call(f"{domain}.enable")
            self.call("Page.navigate", url=self.file.as_uri())
            self.until("document.readyState === 'complete' && !!document.querySelector('#plot .main-svg')")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.socket:
            self.socket.close()
            self.loop.run_until_complete(asyncio.sleep(0.1))  # its reader ends
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.loop.close()
        self.folder.cleanup()

    async def _connect(self):
        deadline, port = time.monotonic() + PATIENCE, pathlib.Path(self.folder.name) / "DevToolsActivePort"
        while not port.exists() or not port.read_text().strip():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{CHROMIUM} does not start")
            await asyncio.sleep(0.1)
        address = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
        while True:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                pages = [t for t in json.load(answer) if t["type"] == "page"]
            if pages:
                break
            await asyncio.sleep(0.1)
        self.socket = await websocket_connect(pages[0]["webSocketDebuggerUrl"], max_message_size=1 << 28)

    def call(self, method, **parameters):
        async def ask():
            self.number += 1
            await self.socket.write_message(json.dumps({"id": self.number, "method": method, "params": parameters}))
            while True:
                answer = json.loads(await asyncio.wait_for(self.socket.read_message(), PATIENCE))
                if answer.get("method") == "Network.requestWillBeSent":
                    self.requests.append(answer["params"]["request"]["url"])
                elif answer.get("method") == "Runtime.exceptionThrown":
                    self.errors.append(answer["params"]["exceptionDetails"].get("exception", {}).get("description", "?"))
                elif answer.get("id") == self.number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]
        return self.loop.run_until_complete(ask())

    def evaluate(self, script):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise RuntimeError(f"never came true: {condition}; {self.errors}")
            time.sleep(0.05)

    def click(self, element):
        """A click of the mouse in the middle of an element, by its id."""
        x, y = self.evaluate(f"(() => {{ const r = document.getElementById('{element}').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose(self, element, words):
        """The entry `words` of a list, by its id: focused, then walked to with the arrow keys."""
        state = f"(() => {{ const s = document.getElementById('{element}'); return [s.selectedIndex, [...s.options].map((o) => o.text)]; }})()"
        at, entries = self.evaluate(state)
        wanted = entries.index(words)
        self.evaluate(f"document.getElementById('{element}').focus()")
        while at != wanted:
            key, code = ("ArrowDown", 40) if wanted > at else ("ArrowUp", 38)
            for kind in ("rawKeyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
            before, (at, _) = at, self.evaluate(state)
            assert at == before + (1 if key == "ArrowDown" else -1), (element, words, before, at)

    def picture(self, file):
        pathlib.Path(file).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
