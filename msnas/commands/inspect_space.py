"""`msnas cost`, `msnas space`, `msnas sample`: the space in numbers, before anything is trained and without torch."""

import json
from typing import Any

import numpy as np

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.setup.open_run import setup_of
from msnas.setup.zoo import published


def main(call: Call) -> int:
    """Print what was asked, as text or (`--json`) as JSON."""
    answer = {"cost": _cost, "space": _space, "sample": _sample}[call.command](call)
    print(json.dumps(answer) if call.json else _text(answer))
    return 0


def _cost(call: Call) -> Any:
    setup = setup_of(call.words)
    zoo = setup.arguments.zoo
    if zoo is not None and call.positionals:
        raise ConfigError(f"Give architectures or zoo=, not both, but got zoo={zoo} and {call.positionals[0]!r}.")
    if zoo is not None:
        asked = any(word.startswith("input=") for word in call.words)
        return published(zoo, setup.config_dir).cost_row(setup.input_size if asked else None)
    if not call.positionals:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or zoo=NAME.')
    rows = [setup.family.row(text) for text in call.positionals]
    return rows if len(rows) > 1 else rows[0]


def _space(call: Call) -> dict[str, Any]:
    setup = setup_of(call.words)
    low, high = setup.space.cost_range()
    bounded = setup.bounded_space
    return {
        **setup.space.sizes(),
        "in_budget": bounded.count(),
        **({"in_budget_is": bounded.counted} if bounded.counted != "exactly" else {}),
        "min_macs": low,
        "max_macs": high,
    }


def _sample(call: Call) -> list[dict[str, Any]]:
    setup = setup_of(call.words)
    space, n = setup.bounded_space, setup.arguments.n
    rng = np.random.default_rng(setup.seed)
    return [setup.family.row(str(space.decode(space.sample(rng)))) for _ in range(n)]


def _text(answer: Any) -> str:
    rows = answer if isinstance(answer, list) else [answer]
    return "\n".join("  ".join(f"{key}={_number(value)}" for key, value in row.items()) for row in rows)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
