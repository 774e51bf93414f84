"""A check report for a terminal."""

from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from msnas.data.check.data_report import CheckReport
from msnas.data.check.object_sizes import ANCHOR_SCALE, BASE_SCALE_OPTION, BASE_STRIDE, AnchorRecall
from msnas.data.faults import Fault

_SHOWN = 5  # records a rule, pairs of pictures
_CLASSES = 25
_STYLE = {"refused": "bold red", "repaired": "yellow", "noted": "cyan"}
_WRITTEN = {ANCHOR_SCALE: ".4f", BASE_SCALE_OPTION: ".1f"}
_HEADS = (
    ("as in an FPN", (4, 8, 16, 32, 64)),
    ("published winners' (R18)", (8, 8, 16, 16, 32)),
    ("finer", (4, 4, 8, 16, 32)),
)


def report_text(report: CheckReport) -> Group:
    """All of `report`; faults come last, where they are read."""
    parts: list[RenderableType] = [_counts(report), _classes(report)]
    if report.sizes is not None:
        parts.append(_sizes(report))
    if report.groups:
        parts += [_groups(report), _recalls(report), _suggestion(report)]
    parts += [Text(note, style="cyan") for note in report.all_notes]
    parts += [_duplicates(report), _faults(report), _verdict(report)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _counts(report: CheckReport) -> Table:
    table = _table(f"\nData in {report.root}", "split", "file", "images", "boxes", "crowds", "images without boxes")
    for split in report.splits:
        numbers = (split.images, split.boxes, split.crowds, split.empty)
        table.add_row(split.name, Text(split.file), *(f"{number:,}" for number in numbers))
    return table


def _classes(report: CheckReport) -> Table:
    table = _table("\nClasses", "class", "id", "train boxes", "val boxes")
    ranked = sorted(report.classes, key=lambda item: -item.train)
    for item in ranked[:_CLASSES]:
        table.add_row(Text(item.name), str(item.id), f"{item.train:,}", f"{item.val:,}")
    rest = ranked[_CLASSES:]
    if rest:
        sums = (sum(item.train for item in rest), sum(item.val for item in rest))
        table.add_row(f"{len(rest)} more", "", *(f"{number:,}" for number in sums))
    return table


def _sizes(report: CheckReport) -> Table:
    assert report.sizes is not None
    sizes = _table("\nBox sides, square root of the area, pixels", "", *(f"{q:.0%}" for q in report.sizes.quantiles))
    sizes.add_row("original", *(f"{side:.1f}" for side in report.sizes.original))
    resized = f"resized to {report.short_side} (long side at most {report.long_side})"
    sizes.add_row(resized, *(f"{side:.1f}" for side in report.sizes.resized))
    return sizes


def _groups(report: CheckReport) -> Table:
    groups = _table("\nWhat each head would get", "head", "sides from", "to", "anchors", "boxes", "share")
    groups.add_column("")
    for group in report.groups:
        high = "" if group.high is None else f"{group.high:.0f}"
        bar = Text("█" * round(30 * group.share), style="blue")
        sizes = (f"{group.low:.0f}", high, f"{group.anchor:.0f}")
        groups.add_row(str(group.group), *sizes, f"{group.boxes:,}", f"{group.share:.1%}", bar)
    return groups


def _recalls(report: CheckReport) -> Table:
    title = "\nAnchor recall: share of boxes with an anchor of IoU >= 0.5"
    start = (report.options.start or BASE_STRIDE).partition(".")[2]
    table = _table(title, "strides the heads read", *(f"{start} {recall.finest}" for recall in report.recalls))

    def scaled(heads: tuple[int, ...], recall: AnchorRecall) -> tuple[int, ...]:
        return tuple(max(stride * recall.base_stride // 4, recall.finest) for stride in heads)

    for name, heads in _HEADS:
        read = [scaled(heads, recall) for recall in report.recalls]
        written = " | ".join(",".join(map(str, one)) for one in read)
        cells = (f"{recall.choices[one]:.3f}" for recall, one in zip(report.recalls, read, strict=True))
        table.add_row(f"{written}  ({name})", *cells)
    for name in ("best", "worst"):
        chosen = [getattr(recall, name) for recall in report.recalls]
        written = " | ".join(",".join(map(str, heads)) for heads in chosen)
        values = [f"{recall.choices[heads]:.3f}" for recall, heads in zip(report.recalls, chosen, strict=True)]
        table.add_row(f"{written}  ({name})", *values)
    counts = " | ".join(dict.fromkeys(str(len(recall.choices)) for recall in report.recalls))
    table.add_row(f"mean of all {counts} choices", *(f"{recall.mean:.3f}" for recall in report.recalls))
    return table


def _suggestion(report: CheckReport) -> Table:
    found = report.suggestion
    assert found is not None
    table = _table("\nWhat fits these boxes", "", "suggested", "configured")
    configured = report.options.values(report.configured)
    for name, value in report.options.values(found.fit).items():
        written = _WRITTEN.get(name, "d")
        table.add_row(name, format(value, written), format(configured[name], written))
    for reason in found.reasons:
        table.add_row(Text(f"  {reason}", style="dim"), "", "")
    return table


def _duplicates(report: CheckReport) -> Group:
    if not report.duplicates:
        return Group()
    lines = [Text(f"\nPictures of val that are nearly in train too: {len(report.duplicates)}", style="bold yellow")]
    for pair in report.duplicates[:_SHOWN]:
        lines.append(Text(f"  {pair.val}  is like  {pair.train}  ({pair.similarity:.3f})"))
    return Group(*lines, *_more(len(report.duplicates)))


def _faults(report: CheckReport) -> Group:
    def key(fault: Fault) -> tuple[int, str, str]:
        return list(_STYLE).index(fault.severity), fault.file, fault.rule

    lines: list[Text] = []
    for (_, file, rule), found in groupby(sorted(report.faults, key=key), key):
        faults = list(found)
        severity = faults[0].severity
        lines.append(Text(f"\n{severity}: {len(faults)} x {file}: {rule}", style=_STYLE[severity]))
        for fault in faults[:_SHOWN]:
            place = ", ".join(part for part in (fault.record, fault.field) if part)
            got = f"got {fault.got}" if fault.got else ""
            lines.append(Text("  " + ": ".join(part for part in (place, got) if part)))
        lines += _more(len(faults))
    return Group(*(line for line in lines if line.plain.strip()))


def _more(count: int) -> list[Text]:
    return [Text(f"  ... and {count - _SHOWN} more (--json lists all)", style="dim")] if count > _SHOWN else []


def _verdict(report: CheckReport) -> Text:
    refused, repaired, noted = (report.count(severity) for severity in _STYLE)
    counts = f"{refused} refused, {repaired} repaired (dropped, clipped or filled in), {noted} noted"
    if report.sound:
        return Text(f"\nSound: {counts}.", style="bold green")
    return Text(f"\nNot sound, training refuses it: {counts}.", style="bold red")
