"""What an HTML page asks of the network, and the pictures it holds."""
import base64
import html.parser
import re


class Page(html.parser.HTMLParser):
    """network: every reference that a browser would fetch on opening the page; pictures: the bytes of every embedded PNG."""

    FETCHED = {"src", "srcset", "data", "poster", "background", "action"}

    def __init__(self, text):
        super().__init__()
        self.network, self.pictures, self.scripts, self._style = [], [], 0, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._style = tag == "style"
        self.scripts += tag == "script"
        for name, value in attributes:
            value = (value or "").strip()
            if name == "style":
                self.styles(value)
            if name in self.FETCHED or (name == "href" and tag == "link"):
                if value.startswith("data:image/png;base64,"):
                    self.pictures.append(base64.b64decode(value.split(",", 1)[1]))
                elif not value.startswith(("data:", "#")):
                    self.network.append(value)

    def handle_data(self, data):
        if self._style:
            self.styles(data)
            self._style = False

    def styles(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        found = re.findall(r"""url\(\s*["']?\s*([^"')]+)""", text) + re.findall(r"""@import\s+["']([^"']+)""", text)
        self.network += [f for f in found if not f.startswith(("data:", "#"))]
