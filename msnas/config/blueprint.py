"""A class of this library with some of its arguments, as a configuration names it; built when the others are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msnas.config.compose import build


@dataclass(frozen=True)
class Blueprint:
    """`target`: the class's full name. options: arguments that the configuration gives."""

    target: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "Blueprint":
        """What a group of options with a `_target_` describes."""
        return cls(str(node["_target_"]), {key: value for key, value in node.items() if not key.startswith("_")})

    def __call__(self, **arguments: Any) -> Any:
        """The object; `arguments` win over the options. Raises ConfigError for a class outside of the library."""
        return build({"_target_": self.target}, **{**self.options, **arguments})

    def __str__(self) -> str:
        return str({"_target_": self.target, **self.options})
