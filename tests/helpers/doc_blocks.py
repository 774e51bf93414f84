"""What the pages of the documentation hold: fenced blocks, the commands in them, links and headings."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *sorted((ROOT / "experiments").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\S*)(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind its ``` are its language and options, such as `sh needs=coco`."""

    page: str
    line: int
    language: str
    options: tuple[tuple[str, str], ...]
    text: str

    def option(self, name: str) -> str | None:
        return dict(self.options).get(name)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the lines that it is shown to print; of a `console` block, those behind `$ `."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if self.language == "sh":
                command = " ".join(shlex.split(line, comments=True)) and line
                found += [(command, [])] if command else []
            elif line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, opened = [], None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and opened is None:
            words = [word.partition("=") for word in fence[3].split()]
            opened = (number, fence[2], tuple((name, value) for name, _, value in words))
            lines = []
        elif fence:
            assert opened is not None
            found.append(Block(str(page.relative_to(ROOT)), *opened, "\n".join(lines) + "\n"))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{page} has a fence that is not closed"
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """The targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))
