"""A fault in a data set: where it stands (file, record, field), which rule it breaks, and what is done about it."""

import reprlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from msnas.errors import DataError

Severity = Literal["refused", "repaired", "noted"]
# refused: training would corrupt a result, so it does not start. repaired: clipped, dropped or filled in, and
# counted. noted: legal, nothing is changed, but the user should know.

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `record` is empty where a whole file is meant, `field` where a whole record is."""

    file: str
    record: str
    field: str
    rule: str
    severity: Severity
    got: str = ""

    def __str__(self) -> str:
        """`train.json: annotations[3] (id 7), bbox: every number must be finite, but got [nan, 1, 2, 3]`."""
        place = ", ".join(part for part in (self.record, self.field) if part)
        got = f", but got {self.got}" if self.got else ""
        return f"{self.file}: {place}{': ' if place else ''}{self.rule}{got}"

    def to_dict(self) -> dict[str, str]:
        """The fields as plain text, for JSON."""
        return asdict(self)


def shown(value: object) -> str:
    """`value` on one short line that every terminal can print: long content cut, odd characters escaped."""
    return _SHORT.repr(value)


def refusal(faults: Sequence[Fault], root: str) -> DataError:
    """The one line that training answers bad data with: the first refused fault, and how many more there are."""
    refused = [fault for fault in faults if fault.severity == "refused"]
    assert refused, "nothing to refuse"
    more = f" (and at least {len(refused) - 1} more)" if len(refused) > 1 else ""
    return DataError(f"{refused[0]}{more}. Run `msnas check data=coco data.root={root}` for the whole list.")
