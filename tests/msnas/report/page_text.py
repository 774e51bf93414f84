"""What a reader of a page sees."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Text(HTMLParser):
    """The words of a page, tags, scripts and styles left out."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self._hidden, self.words = 0, ""
        self.feed(page.read_text())
        self.words = re.sub(r"\s+", " ", self.words)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data
