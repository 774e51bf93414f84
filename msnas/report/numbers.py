"""Numbers as a page shows them; a dash where there is none. APs are in percent, as the papers print them."""

from msnas.drawings.palette import DASH

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """`0.312`."""
    return DASH if value is None else f"{value:z.{digits}f}".replace("-", MINUS)


def ap(value: float | None, digits: int = 1) -> str:
    """`31.2`, from 0.312."""
    return number(None if value is None else 100 * value, digits)


def score(value: float | None, is_loss: bool = False) -> str:
    """What a search scored by: `31.20`, an AP, or `−1.2041`, minus a loss as it is."""
    return number(value, 4) if is_loss else ap(value, 2)


def signed(value: float | None) -> str:
    """`+2.1`, from a difference of 0.021."""
    return DASH if value is None else f"{100 * value:+z.1f}".replace("-", MINUS)


def macs(value: float | None) -> str:
    """`145.85 G`."""
    if value is None:
        return DASH
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"


def millions(value: float | None) -> str:
    """`11.53 M`."""
    return DASH if value is None else f"{value / 1e6:.2f} M"


def whole(value: float | None) -> str:
    """`209,524`."""
    return DASH if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """`1.6 %`, from 0.016."""
    return DASH if value is None else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """`45 s`, `12.0 min`, `3.5 h`."""
    if seconds is None:
        return DASH
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
