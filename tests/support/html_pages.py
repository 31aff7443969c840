"""Pages taken apart: their tags, their text, their images."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from PIL import Image

HOSTILE = ['"><img src=x onerror=alert(1)>.png', "<script>alert(2)<.png", "a&amp;b.png", "\u202egnp.png", "\udcff.png"]


class Tags(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def image_of(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
