"""What networks that are trained alone have of their own, in words: on the terminal and on the page."""

import json
from typing import Any

from msnas.setup.setup import Setup


def recipe_line(setup: Setup, *, sized: bool = True) -> str:
    """How retraining differs from the stages before, and at which inputs MACs are counted; "" where it does not.

    sized: the data are there, which may decide an input's size.
    """
    alone = setup.for_retraining
    if alone is setup.for_search:
        return ""
    told = [f"{key}={_typed(value)}" for key, value in setup.retraining_changes.items()]
    said = [f"All networks here were trained with {', '.join(told)}, unlike the search."] if told else []
    if sized:
        here, there = ("x".join(map(str, one.input_size)) for one in (alone, setup.for_search))
        said += [f"MACs are counted at {here}{'' if here == there else f', those of the search at {there}'}."]
    return " ".join(said)


def _typed(value: Any) -> str:
    """As it can be typed."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
