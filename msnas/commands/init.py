"""`msnas init D`: a file of options for the data in D, from what `msnas check` finds; then a search is three commands.

The file holds `key=value` words, one a line, with the reason above each. Wherever words are taken, `@FILE` stands
for the words of a file.
"""

import shlex
import sys
from pathlib import Path

from rich.console import Console

from msnas.call import Call
from msnas.config.compose import compose, split
from msnas.data.check.data_report import CheckReport, refitted
from msnas.data.check.object_sizes import ANCHOR_SCALE, BASE_SCALE_OPTION, Fit
from msnas.data.check.report_text import report_text
from msnas.data.size_groups import FEW
from msnas.data.splits import search_val_size
from msnas.engine.machine import cores
from msnas.errors import ConfigError
from msnas.files import write_text
from msnas.pipeline.data_checking import checked
from msnas.setup.box_choices import EMPTY, tied_heads
from msnas.setup.open_run import setup_of
from msnas.setup.pretrained_start import (
    HEADS_OPTION,
    baseline_option,
    finest_option,
    size_options,
    space_options,
    starts_pretrained,
    training_options,
    width_option,
)
from msnas.setup.setup import Setup
from supernet.errors import SpaceError

SUFFIX = ".msnas"
MOST_WORKERS = 4  # processes on a CPU, each of which holds the images
ENOUGH = 100  # architectures inside the budget that a search is worth its while for
ENOUGH_SCORED = 200  # images of search_val; with fewer, every one is worth more in the search
SELECTION = 0.3
_TOLERANCES = (0.01, 0.02, 0.05, 0.1, 0.2)
Option = tuple[str, str]  # the word, and why


def main(call: Call) -> int:
    """Check the data, write the options (to `out=`, default D.msnas here), print the commands; 1 if not sound."""
    if len(call.positionals) != 1:
        raise ConfigError("Give one folder in COCO format: msnas init D.")
    root = Path(call.positionals[0])
    if not root.is_dir():
        raise ConfigError(f"D must be a folder in COCO format, but {root} is none.")
    file = setup_of(call.words).arguments.out or Path(f"{root.resolve().name}{SUFFIX}")
    if file.exists():
        raise ConfigError(f"{file} exists already; remove it, or give another name with out=.")
    given = [word for word in call.words if split(word)[0] != "out"]
    options = [("data=coco", f"{root}: any folder in COCO format."), (f"data.root={root.resolve()}", "")]
    options += [(f"data.name={root.resolve().name}", "Names the run's folder."), *_scale(given, root)]
    setup = Setup(compose([*_words(options), *given]))
    if not setup.family_class.has_size_groups:
        raise ConfigError(
            f"Options are fitted to MSNAS's spaces, but got space={setup.space_name}; "
            f"give the data to its first stage: data=coco data.root={root}."
        )
    report = checked(setup)
    if not report.sound or report.suggestion is None:
        Console(file=sys.stderr).print(report_text(report))
        print(f"msnas: Nothing is written: {_refusal(report)}", file=sys.stderr)
        return 1
    images = report.splits[0].images
    if starts_pretrained([*_words(options), *given], given, images):
        options, report = _behind_backbone(report, given, options)
    else:
        options += _sizes(report, given, options)
        options += _ties([*_words(options), *given])
    options += _selection([*_words(options), *given], images)
    options += _workers(given)
    options += _budget([*_words(options), *given])
    options += [(word, "Given to `msnas init`.") for word in given]
    last = {split(word)[0]: (word, why) for word, why in options}  # a key has one line, with its last value
    write_text(file, _text(report, list(last.values())))
    print(f"{_summary(report)}\nThe options, each with its reason, are in {file}. Next:\n")
    for stage in ("train", "search", "retrain"):
        words = [f"@{file}"] if stage == "train" else []
        print(f"    {shlex.join(['msnas', stage, *words])}")
    print("\nand then `msnas report`. `msnas search` and what follows take the newest run.")
    return 0


def _words(options: list[Option]) -> list[str]:
    return [word for word, _ in options]


def _says(given: list[str], key: str) -> bool:
    return any(split(word)[0] == key for word in given)


def _scale(given: list[str], root: Path) -> list[Option]:
    """`small` where there is a GPU, else `tiny`; nothing where the user chose."""
    if _says(given, "scale") or _says(given, "experiment"):
        return []
    gpu = Setup(compose(["data=coco", f"data.root={root}", *given])).hardware.for_training().device.type == "cuda"
    if gpu:
        return [("scale=small", "For one GPU; `paper` is the published size, for 16, and `tiny` is for a CPU.")]
    return [("scale=tiny", "For a CPU; with a GPU take `small`, and `paper` is the published size, for 16 GPUs.")]


def _selection(words: list[str], images: int) -> list[Option]:
    """A part of search_val that is kept for the finalists, where candidates have enough images without it."""
    number = search_val_size(images, setup_of(words).data.search_val)
    if number < ENOUGH_SCORED or _says(words, "data.selection"):
        return []
    why = f"Of the {number:,} training images that score candidates this share is kept for the finalists: images whose "
    why += "luck did not choose them."
    return [(f"data.selection={SELECTION}", why)]


def _workers(given: list[str]) -> list[Option]:
    """A process for each GPU, or for each core, up to what small data sets are worth."""
    if _says(given, "hardware"):
        return []
    hardware = setup_of(given).hardware
    gpus = hardware.gpus()
    number = gpus or min(cores(), MOST_WORKERS)
    if number < 2 or _says(given, "hardware.workers"):
        return []
    what = f"{gpus} GPUs" if gpus else f"{cores()} cores"
    return [(f"hardware.workers={number}", f"For {what}: candidates, then networks alone, so many at a time.")]


def _behind_backbone(report: CheckReport, given: list[str], options: list[Option]) -> tuple[list[Option], CheckReport]:
    """The options with those that a search behind a pretrained backbone starts with, and the report under them.

    Each is chosen under those before it.
    """
    images, options = report.splits[0].images, list(options)

    def add(more: list[Option]) -> None:
        options.extend(option for option in more if not _says(given, split(option[0])[0]))

    def setup() -> Setup:
        return Setup(compose([*_words(options), *given]))

    add(space_options(given, images))
    known = setup()
    if not _says(given, "data.short_side") and not _says(given, "data.long_side"):
        add(size_options(known, report))
        known = setup()
    report = refitted(report, known.data, known.fit, known.fit_options)
    add([finest_option(report)])
    add(_anchors(report))
    add([HEADS_OPTION])
    add(baseline_option(setup()))
    if not _says(given, "space.channels"):
        add(width_option(setup()))
    add(training_options(known, images))
    return options, report


def _sizes(report: CheckReport, given: list[str], so_far: list[Option]) -> list[Option]:
    """What the sizes of the objects ask for, where it is not the default."""
    found, here = report.suggestion, report.configured
    assert found is not None
    options = list[Option]()
    if report.options.start is not None and found.fit.finest != here.finest:
        why = f"Where maps begin; the default is a stride of {here.finest}.{_because(report, report.options.start)}"
        options.append((f"{report.options.start}={found.fit.finest}", why))
        if not _says(given, "scale") and found.fit.finest == 2 and _words(so_far)[-1] == "scale=tiny":
            options.append(("scale=tiny_fine", "Maps are twice as large each way, so networks are half as wide."))
    options += _anchors(report)
    return [(word, why) for word, why in options if not _says(given, split(word)[0])]


def _ties(words: list[str]) -> list[Option]:
    """Heads of groups with hardly a box are not searched, where there are any."""
    config = compose([*words, f"space.tied={EMPTY}"])
    if _says(words, "space.tied") or _says(words, "space.heads") or "groups" not in config.detector:
        return []
    tied = ", ".join(map(str, tied_heads(config)))
    why = f"Heads of groups with less than {FEW:.0%} of the boxes read what the one before reads, unsearched: {tied}."
    return [(f"space.tied={EMPTY}", why)] if tied else []


def _anchors(report: CheckReport) -> list[Option]:
    """The scales that the detector has options for, where they are not the default."""
    found, options = report.suggestion, list[Option]()
    assert found is not None
    fit, here = found.fit, report.configured
    values, configured = report.options.values(fit), report.options.values(here)
    if ANCHOR_SCALE in values and fit.anchor_scale != here.anchor_scale:
        why = f"Sizes of anchors; the default is {configured[ANCHOR_SCALE]:.4g}.{_because(report, ANCHOR_SCALE)}"
        options.append((f"{ANCHOR_SCALE}={values[ANCHOR_SCALE]:.4g}", why))
    follows = Fit.of(report.short_side, fit.base_stride, fit.anchor_scale).base_scale
    if BASE_SCALE_OPTION in values and fit.base_scale != follows:
        why = f"Side in pixels that decides which head a region goes to; the default is {follows:.4g}."
        options.append((f"{BASE_SCALE_OPTION}={fit.base_scale:.4g}", why + _because(report, BASE_SCALE_OPTION)))
    return options


def _because(report: CheckReport, option: str) -> str:
    assert report.suggestion is not None
    return "".join(f" {reason}." for reason in report.suggestion.reasons if reason.startswith(f"{option}="))


def _budget(words: list[str]) -> list[Option]:
    """The FPN baseline's own cost, as exactly as leaves something to choose from."""
    if any(split(word)[0].startswith("budget") for word in words):
        return []
    for tolerance in _TOLERANCES:
        setup = Setup(compose([*words, f"budget.tolerance={tolerance}"]))
        inside = _count(setup)
        if inside >= ENOUGH:
            height, width = setup.input_size
            why = f"At {height}x{width} the FPN baseline costs what the budget is, {setup.budget}: {inside:,} "
            why += f"of {setup.space.count():,} architectures lie inside."
            return [(f"budget.tolerance={tolerance}", why)]
    return [("budget=none", "The FPN baseline costs what hardly any architecture of the space does.")]


def _count(setup: Setup) -> int:
    try:
        return setup.bounded_space.count() or 0
    except SpaceError:  # the budget lies outside the space
        return 0


def _refusal(report: CheckReport) -> str:
    if not report.sound:
        return f"training would refuse the data ({report.count('refused')} faults, above)."
    return "there is no box to learn from."


def _summary(report: CheckReport) -> str:
    """The data in a line."""
    images = ", ".join(f"{split.images:,} images in {split.name}" for split in report.splits)
    assert report.sizes is not None
    low, *_, high = report.sizes.resized
    sides = f"boxes of {low:.0f} to {high:.0f} pixels at {report.short_side}"
    repaired = f", {report.count('repaired')} records repaired (`msnas check` lists them)"
    return f"{images}; {len(report.classes)} classes; {sides}{repaired if report.count('repaired') else ''}."


def _text(report: CheckReport, options: list[Option]) -> str:
    lines = [
        "# Options of a search, written by `msnas init` from what it found; edit what you like.",
        f"# {_summary(report)}",
        *(f"# {note}" for note in report.all_notes),
        "# One key=value a line; `msnas train @THIS_FILE` reads them, words beside it have the last say.",
    ]
    for word, why in options:
        lines += ["", f"# {why}", word] if why else [word]
    return "\n".join(lines) + "\n"
