"""What networks that are trained alone have of their own: `retrain.data`, `retrain.schedule`, `retrain.detector`.

Every option that they may give follows the stages before, as a reference to the group of that name, until it is given.
A run keeps those that differ.
"""

from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

RETRAIN = "retrain"
# The groups, each with what may differ in it; (): all. Which images are read, and how they are split, may not.
OWN: dict[str, tuple[str, ...]] = {
    "data": ("short_side", "long_side", "flip", "jitter", "crop"),
    "schedule": (),
    "detector": (),
}
# What is said of the others.
REFUSED = f" All stages read the same images in the same splits; {RETRAIN}.data has {', '.join(OWN['data'])}."
SIDES = ("data.short_side", "data.long_side")


def followed(key: str) -> str:
    """The option that `key` follows, such as `data.flip` for `retrain.data.flip`; else `key` itself."""
    first, _, rest = key.partition(".")
    return rest if first == RETRAIN and rest.partition(".")[0] in OWN else key


def unknown(config: DictConfig) -> list[str]:
    """The options that retraining gives, but may not."""
    given = [(group, key) for group in OWN for key in config[RETRAIN][group]]
    return [f"{RETRAIN}.{group}.{key}" for group, key in given if key not in _options(config, group)]


def follow(config: DictConfig) -> DictConfig:
    """The configuration itself, with a reference for every option that retraining may give and does not."""
    with open_dict(config):
        for group in OWN:
            if config[RETRAIN].get(group) is None:
                config[RETRAIN][group] = {}
            for key in _options(config, group):
                if key not in config[RETRAIN][group]:
                    config[RETRAIN][group][key] = f"${{{group}.{key}}}"
    return config


def changes(config: DictConfig) -> dict[str, Any]:
    """What retraining has of its own as plain values, by the options that it replaces, such as `data.short_side`."""
    groups: dict[str, Any] = {group: config[RETRAIN].get(group) or {} for group in OWN}
    own = {f"{group}.{key}": groups[group][key] for group in OWN for key in groups[group]}
    differing = {key: value for key, value in own.items() if value != OmegaConf.select(config, key)}
    return {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in differing.items()}


def lean(config: DictConfig) -> DictConfig:
    """A copy whose retraining has only what differs."""
    kept = config.copy()
    with open_dict(kept):
        for group in OWN:
            kept[RETRAIN][group] = {}
    for key, value in changes(config).items():
        OmegaConf.update(kept, f"{RETRAIN}.{key}", value, force_add=True)
    return kept


def retrained(config: DictConfig) -> DictConfig:
    """A copy as retraining reads it: its own options in the place of the ones that they follow.

    Costs are counted at `retrain.input`; where that is null, at what most images are padded to if they become of
    another size than before, else at `input`. The groups of object sizes that boxes placed hold at the size before.
    """
    changed, own = config.copy(), changes(config)
    resized = any(side in own for side in SIDES)
    for key, value in own.items():
        OmegaConf.update(changed, key, value)
    changed.input = config[RETRAIN].get("input") or ("auto" if resized else config.input)
    if resized and "chosen" in changed:
        changed.chosen.pop("groups", None)
    return changed


def _options(config: DictConfig, group: str) -> list[str]:
    """What retraining may give of a group."""
    return [str(key) for key in OWN[group] or config[group] if not str(key).startswith("_")]
