"""`msnas cost`, `msnas space`, `msnas sample`: the space in numbers, before anything is trained and without torch."""

import json
from typing import Any

import numpy as np

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.setup.space import bounded_space, input_size, plain_space
from supernet.nas_fcos.decoder import Decoder
from supernet.nas_fcos.decoder_space import DecoderSpace


def main(call: Call) -> int:
    """Print what was asked, as text or (`--json`) as JSON."""
    answer = {"cost": _cost, "space": _space, "sample": _sample}[call.stage](call)
    print(json.dumps(answer) if call.json else _text(answer))
    return 0


def _cost(call: Call) -> Any:
    from msnas.families.zoo import published

    config = call.config
    if config.zoo is not None and call.positionals:
        raise ConfigError(
            f"Give architectures or zoo=, not both, but got zoo={config.zoo} and {call.positionals[0]!r}."
        )
    if config.zoo is not None:
        asked = any(word.startswith("input=") for word in call.words)
        return published(config.zoo).cost_row(input_size(config) if asked else None)
    if not call.positionals:
        raise ConfigError('Give an architecture such as "1,2,2,1|8,8,16,16,32", or zoo=NAME.')
    space = plain_space(config)
    rows = [_row_of(space, text) for text in call.positionals]
    return rows if len(rows) > 1 else rows[0]


def _row_of(space: Any, text: str) -> dict[str, Any]:
    """An architecture of the space; of a NAS-FCOS space also a whole decoder, such as its winners are."""
    if isinstance(space, DecoderSpace) and "/" in text:
        decoder = Decoder.parse(text)
        return {"architecture": str(decoder), **space.decoder_cost(decoder).by_name()}
    return _row(space, space.parse(text))


def _row(space: Any, architecture: Any) -> dict[str, Any]:
    cost = space.cost(space.encode(architecture))
    return {"architecture": str(architecture), **cost.by_name()}


def _space(call: Call) -> dict[str, Any]:
    space = plain_space(call.config)
    low, high = space.cost_range()
    bounded = bounded_space(call.config)
    counted = getattr(bounded, "counted", "exactly")
    return {
        **space.sizes(),
        "in_budget": bounded.count(),
        **({"in_budget_is": counted} if counted != "exactly" else {}),
        "min_macs": low,
        "max_macs": high,
    }


def _sample(call: Call) -> list[dict[str, Any]]:
    config = call.config
    if config.n < 1:
        raise ConfigError(f"n >= 1 must hold, but got n={config.n}.")
    space = bounded_space(config)
    rng = np.random.default_rng(config.seed)
    return [_row(space, space.decode(space.sample(rng))) for _ in range(config.n)]


def _text(answer: Any) -> str:
    rows = answer if isinstance(answer, list) else [answer]
    return "\n".join("  ".join(f"{key}={_number(value)}" for key, value in row.items()) for row in rows)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
