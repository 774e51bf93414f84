"""The documentation is true: its commands run, its examples work, its links lead somewhere."""

from pathlib import Path

import pytest
from added_files import added
from doc_blocks import LINKED, PAGES, ROOT, Block, anchors, blocks, links
from doc_commands import PRINTING, Shell
from yaml_comments import without_meaning

from msnas.config.comments import summary
from msnas.config.compose import folders

WITH_BLOCKS = [page for page in PAGES[1:] if blocks(page)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def files_of(page: Path) -> list[Block]:
    """The files that a page adds to the library."""
    return [block for block in blocks(page) if block.option("file")]


def test_every_command_of_the_readme_runs(workplace):
    assert (workplace / "winner" / "model.json").exists()


@pytest.mark.filterwarnings("ignore:.*DEBUG_:pytest.PytestUnraisableExceptionWarning")  # submitit's logs, left open
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name)
def test_every_command_and_example_runs(page, here, tmp_path, monkeypatch):
    added(files_of(page), tmp_path, monkeypatch)
    shell = Shell()
    for block in blocks(page):
        shell.run(block)
    assert shell.given == [
        command for block in blocks(page) if block.language in PRINTING for command, _ in block.commands
    ]


@pytest.mark.parametrize("page", [page for page in WITH_BLOCKS if files_of(page)], ids=name)
def test_every_option_of_a_file_that_a_page_adds_has_a_meaning(page, tmp_path, monkeypatch):
    added(files_of(page), tmp_path, monkeypatch)
    for path in (Path(block.option("file")) for block in files_of(page)):
        if path.suffix == ".yaml":
            assert without_meaning(f"{path.parent.name}={path.stem}") == []
            assert summary(folders(), path.parent.name, path.stem).endswith(".")


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_stand_in_fences_that_are_run(page):
    assert not [line for line in page.read_text().splitlines() if line.startswith("    msnas ")]


def test_the_readme_leads_to_every_page():
    led = {(ROOT / link.partition("#")[0]).resolve() for link in links(PAGES[0])}
    assert set(PAGES[1:]) <= led


def test_a_command_that_fails_fails_its_block(here):
    with pytest.raises(AssertionError, match="no stage 'serach'"):
        Shell().run(Block("page", 1, "sh", (), "msnas serach\n"))


def test_a_command_that_does_not_compose_fails_its_block(here):
    with pytest.raises(Exception, match="serach"):
        Shell().run(Block("page", 1, "sh", (("needs", "coco"),), "msnas train serach.finalists=2\n"))
