"""Everything that a configuration means, as frozen, typed values. Below this package nobody reads a configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from evolution.history import AUTO, JOURNALS
from msnas.config.blueprint import Blueprint
from msnas.config.compose import build, compose, continued, plain, split
from msnas.config.retrain_recipe import OWN, changes, retrained
from msnas.data.check.object_sizes import Fit, FitOptions
from msnas.data.settings import PATHS, DataSettings, check_cached, check_views
from msnas.engine.hardware_options import HardwareOptions
from msnas.engine.training_options import ScheduleOptions
from msnas.errors import ConfigError
from msnas.export.onnx_options import OnnxOptions
from msnas.families.family import Family, Sides
from msnas.families.search_settings import SearchSettings
from msnas.files import digest
from msnas.setup.box_choices import fit_of, listed
from msnas.setup.command_options import CommandOptions
from msnas.setup.fitting import fit_options
from msnas.setup.latency_table import check_measurable, latency_of, wants_latency, write_table
from msnas.setup.make_family import (
    check_weights,
    family_class,
    fixed_options,
    from_group,
    make_family,
    option_groups,
    own_groups,
)
from msnas.setup.make_space import budget_advice, exported_ceiling, input_size, make_budget, make_space
from msnas.setup.options import FrontOptions, LatencyOptions, RetrainOptions, TrainOptions
from supernet.cost import Cost
from supernet.errors import BudgetError
from supernet.space import Budget, SearchSpace

if TYPE_CHECKING:
    from msnas.data.opening import Splits

HALVING = "halving"
MANY = 1000  # batches of an epoch, where data are not read


@dataclass(frozen=True)
class Setup:
    """What a configuration means; every value is made when it is first asked for, and raises what is wrong with it."""

    _config: DictConfig
    _searched: "Setup | None" = None  # of `for_retraining`: what the stages before are told

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs, which makes the values again."""
        return {"_config": self._config, "_searched": self._searched}

    @cached_property
    def for_retraining(self) -> "Setup":
        """The same as networks that are trained alone read it: by `retrain.data`, `.schedule`, `.detector`, `.input`.

        Its budget and bounded space are those of the search. Its family has the same networks, the FPN baseline
        included; what they cost is counted at the input size of retraining.
        """
        if self._searched is not None:
            return self
        changed = retrained(self._config)
        same = not self.retraining_changes and changed.input == self._config.input
        return self if same else Setup(changed, self)

    @property
    def for_search(self) -> "Setup":
        """The same as the stages before retraining read it."""
        return self._searched or self

    @property
    def retraining_changes(self) -> dict[str, Any]:
        """What retraining has of its own, by the options that it replaces; {} where it has nothing."""
        return changes(self.for_search._config)

    @property
    def seed(self) -> int:
        """Of every random draw."""
        return int(self._config.seed)

    @property
    def top_k(self) -> int:
        """Winners that are retrained."""
        return int(self._config.top_k)

    @property
    def space_name(self) -> str:
        """The space as the command line calls it."""
        return str(self._config.space_name)

    @property
    def data_name(self) -> str:
        """The data set in a run's name."""
        return str(self._config.data.name)

    @property
    def scale_name(self) -> str:
        """The scale."""
        return str(self._config.scale_name)

    @property
    def arguments(self) -> CommandOptions:
        """What single commands are told."""
        return CommandOptions.of(self._config)

    @property
    def config_dir(self) -> str | None:
        """The folder of the user's own yaml files."""
        folder = self._config.get("config_dir")
        return None if folder is None else str(folder)

    @property
    def tensorboard(self) -> bool:
        """Whether event files are written."""
        return bool(self._config.log.tensorboard)

    # What is searched

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels that costs are counted at."""
        return input_size(self._config)

    def at_default_size(self) -> "Setup":
        """The same at the space's own input size, whatever size the data have."""
        changed = self._config.copy()
        by_boxes = [key for key in ("heads", "tied") if isinstance(self._config.space.get(key), str)]
        changed.input = "x".join(map(str, build(self._config.space, **dict.fromkeys(by_boxes)).input_size))
        changed.retrain.input = changed.input
        return Setup(changed)

    @property
    def space_options(self) -> dict[str, Any]:
        """The options `space.*`, as plain values."""
        return plain(self._config.space)

    @cached_property
    def space(self) -> SearchSpace:
        """The search space, without a budget."""
        if self._searched is None:
            return make_space(self._config, self.input_size)
        return make_space(self._searched._config, self.input_size, timed=False)  # the same one at another size

    @cached_property
    def budget(self) -> Budget | None:
        """The budget; None where there is none."""
        if self._searched is not None:
            return self._searched.budget
        return make_budget(self._config, lambda: self.baseline_cost)

    @property
    def exported_ms(self) -> float | None:
        """The ceiling on what a finalist's exported detector takes, milliseconds; None where there is none."""
        return exported_ceiling(self._config)

    @cached_property
    def bounded_space(self) -> SearchSpace:
        """The search space inside the budget; the space itself where there is none. Raises BudgetError."""
        if self._searched is not None:
            return self._searched.bounded_space
        if self.budget is None:
            return self.space
        try:
            return self.space.within(self.budget)
        except BudgetError as error:
            advice = budget_advice(self._config, self.budget, lambda: self.family.baseline_name)
            raise BudgetError(f"{error} {advice}") from error

    @property
    def family_class(self) -> type[Family]:
        """The class of the family, which says what it can without any options."""
        return family_class(str(self._config.family))

    def check(self) -> None:
        """Raise ConfigError for options that a stage would refuse once it has begun; reads no data, writes nothing."""
        groups = option_groups(self._config)
        check_weights(groups)
        views = self._views
        if views:
            check_views(views)
        self._check_schedule()
        if self._config.search.journal not in (AUTO, *JOURNALS):
            known, got = ", ".join((AUTO, *JOURNALS)), self._config.search.journal
            raise ConfigError(f"search.journal is one of {known}, but got {got!r}.")
        if self.family_class.learns_on_features(groups):
            number = groups["backbone"].views
            check_cached(self._config.data.jitter, self._config.data.crop, views=number)
            if views:
                check_cached(views["jitter"], views["crop"], of="retrain.data", views=number)

    def refuse_unread(self, words: Sequence[str], *, behind: Sequence[str] = ()) -> None:
        """Raise ConfigError where one of `words`, behind a run's own, changes an option that nothing reads here.

        What stands there unasked, by a scale, an experiment or a default of an older run, may stand.
        """
        unread = self.family_class.unread(option_groups(self._config))
        for key, value in map(split, words):
            if key not in unread:
                continue
            default = compose(continued(_without(behind, key), _without(words, key)))
            if OmegaConf.select(self._config, key) != OmegaConf.select(default, key):
                raise ConfigError(f"{unread[key]}: {key} does nothing here, but got {key}={value}; leave it out.")

    def _check_schedule(self) -> None:
        """Raise ConfigError for a schedule of retraining that is none, which would be told when all before is done."""
        if any(key.startswith("schedule.") for key in self.retraining_changes):
            own = self.for_retraining.schedule
            try:
                own.over(MANY * own.batch, steps=None)
            except ConfigError as error:
                raise ConfigError(f"Of retrain.schedule: {error}") from error

    @property
    def _views(self) -> dict[str, Any]:
        """How retraining reads images; {} where it does so as the stages before."""
        if not any(key.startswith("data.") for key in self.retraining_changes):
            return {}
        data = plain(self.for_retraining._config.data)
        return {key: data[key] for key in OWN["data"]}

    def check_detector(self) -> None:
        """Raise ConfigError for a detector that the family's networks cannot stand under; costs ask for none."""
        self.family_class.check_detector(Blueprint.of(plain(self._config.detector)))

    @property
    def fixed_options(self) -> dict[str, tuple[str, ...]]:
        """Which options each stage fixes."""
        return fixed_options(self.family_class)

    @cached_property
    def family(self) -> Family:
        """The family of the space's networks."""
        macs = self._config.budget.macs
        family = make_family(
            self._config,
            space=self.for_search.space,
            detector=self.detector,
            sides=Sides(self._config.data.short_side, self._config.data.long_side),
            budget_macs=round(macs) if isinstance(macs, int | float) else None,
            schedule=self.schedule,
        )
        return family if self._searched is None else family.counted_in(self.space)

    @property
    def baseline_cost(self) -> Cost:
        """Exact cost of the FPN baseline."""
        return self.family.baseline_cost

    @cached_property
    def fit(self) -> Fit:
        """The settings that decide which head and which anchors a box gets."""
        return fit_of(self._config)

    @property
    def fit_options(self) -> FitOptions:
        """Which of those settings the space and the detector have, and how they are written."""
        return fit_options(self._config)

    @property
    def detector(self) -> Blueprint:
        """The detector, with the groups of object sizes where the boxes place them."""
        options = plain(self._config.detector)
        if "groups" in options:
            placed = self.fit.placed
            options["groups"] = None if placed is None else listed(placed)
        return Blueprint.of(options)

    def departures(self, words: Sequence[str]) -> list[str]:
        """What the options of these `key=value` words are, where they are other than there; the space, where it is."""
        now = {key: OmegaConf.select(self._config, "space_name" if key == "space" else key) for key in map(_key, words)}
        told = {key: str(value).lower() for key, value in now.items() if key != "experiment"}
        return [f"{key}={text}" for key, text in told.items() if f"{key}={text}" not in words]

    # Data, and where the work is done

    @cached_property
    def data(self) -> DataSettings:
        """The data set and how it is read; masks are where the detector has a mask branch."""
        return self._data_at()

    def data_in(self, folder: Path) -> DataSettings:
        """Another COCO folder, in the layout that `msnas convert` writes, read as configured."""
        return replace(self._data_at(**{**dict.fromkeys(PATHS), "root": str(folder)}), shapes=None)

    def _data_at(self, **places: str | None) -> DataSettings:
        masks = self._config.detector.get("mask", False)
        return DataSettings.from_mapping({**plain(self._config.data), **places}, masks=masks)

    @property
    def pixel_limit(self) -> int:
        """Pixels that one image may have, whatever data it belongs to."""
        return self.data_in(Path()).pixel_limit

    def splits(self, *, scoring: bool = True) -> "Splits":
        """The data in its splits, opened; what was clipped, dropped or split off is logged.

        scoring: candidates are scored on them, so that search_val must have boxes.
        """
        from msnas.data.opening import open_data  # torch

        return open_data(self.data, seed=self.seed, scoring=scoring)

    @cached_property
    def hardware(self) -> HardwareOptions:
        """Device, precision, threads, workers."""
        address = OmegaConf.select(self._config, "ray.address")
        return from_group(HardwareOptions, {**plain(self._config.hardware), "address": address}, name="hardware")

    # What the stages are told

    @cached_property
    def schedule(self) -> ScheduleOptions:
        """The recipe of every training."""
        return from_group(ScheduleOptions, plain(self._config.schedule), name="schedule")

    @cached_property
    def train(self) -> TrainOptions:
        """Of `msnas train`."""
        return from_group(TrainOptions, plain(self._config.train), name="train")

    @cached_property
    def retrain(self) -> RetrainOptions:
        """Of `msnas retrain`. Raises ConfigError where the named architectures are no list of different texts."""
        words = self._config.retrain.architectures
        if words is not None and (not OmegaConf.is_list(words) or not words or len(set(words)) < len(words)):
            raise ConfigError(f"retrain.architectures must be a list of different texts or zoo names, but got {words}.")
        options = {key: value for key, value in plain(self._config.retrain).items() if key not in (*OWN, "input")}
        return from_group(RetrainOptions, options, name="retrain")

    @property
    def names_architectures(self) -> bool:
        """Whether architectures are named that are trained instead of a search's winners."""
        return self._config.retrain.get("architectures") is not None

    @cached_property
    def front(self) -> FrontOptions:
        """Of `msnas retrain front`."""
        return from_group(FrontOptions, plain(self._config.front), name="front")

    @cached_property
    def latency(self) -> LatencyOptions:
        """Of `msnas latency`."""
        return from_group(LatencyOptions, plain(self._config.latency), name="latency")

    def check_latency(self) -> None:
        """Raise ConfigError unless the latency of the family's networks is a sum over parts."""
        check_measurable(self._config)

    def write_latencies(self, table: dict[str, Any]) -> Path:
        """Write what `msnas latency` measured where a budget finds it; returns the file."""
        return write_table(self._config, self.input_size, table)

    @cached_property
    def export(self) -> OnnxOptions:
        """Of `msnas export onnx=true`."""
        return from_group(OnnxOptions, plain(self._config.export), name="export")

    @cached_property
    def strategy(self) -> Blueprint:
        """The search strategy."""
        return Blueprint.of(plain(self._config.strategy))

    @property
    def candidate_options(self) -> dict[str, Any]:
        """How a candidate is scored, as plain values."""
        return plain(self._config.candidate)

    @cached_property
    def rungs(self) -> tuple[float, ...]:
        """With `fidelity=halving` the share of a candidate's iterations in each rung, else ().

        Candidates that have no rungs get one, the whole: their family refuses it.
        """
        if self._config.fidelity not in ("full", HALVING):
            raise ConfigError(f"fidelity is full or halving, but got {self._config.fidelity!r}.")
        return tuple(self._config.candidate.get("rungs", (1,))) if self._config.fidelity == HALVING else ()

    def search(self, *, weights: Path, folder: Path) -> SearchSettings:
        """What a search is made with. weights: what `msnas train` left; folder: where it keeps its history."""
        return SearchSettings(
            seed=self.seed,
            space=self.bounded_space,
            budget=self.budget,
            strategy=self.strategy,
            top_k=self.top_k,
            finalists=self._config.search.finalists,
            replicates=self._config.search.replicates,
            journal=self._config.search.journal,
            rungs=self.rungs,
            data=self.data,
            hardware=self.hardware,
            weights=weights,
            folder=folder,
            fingerprint=self._fingerprint(weights),
        )

    @property
    def random_search(self) -> bool:
        """Whether as many uniform draws are scored beside a search."""
        return bool(self._config.search.random)

    @property
    def evaluations(self) -> int:
        """How many evaluations a search will ask for, about: it may find fewer children than it wants."""
        again = int(self._config.search.finalists * self._config.search.replicates)
        rungs = max(1, len(self.rungs))
        strategies = self.family.evaluations(self.strategy.options)
        once = sum(_asked(dict(strategy), rungs) + again for strategy in strategies)
        return 2 * once if self.random_search else once

    def _fingerprint(self, weights: Path) -> dict[str, Any]:
        """What a history's scores depend on beside the kind of device: another of these is another search."""
        options = plain(self._config)
        groups, trained = own_groups(self.family_class), self.family.pretraining == "supernet"
        own = groups["search"] if trained else [*groups["supernet"], *groups["search"]]  # else the weights tell
        return {
            "seed": self.seed,
            "space": {**options["space"], "input_size": list(self.input_size)},
            "budget": None if self.budget is None else str(self.budget),
            "candidate": options["candidate"],
            **{name: options.get(name) for name in own},
            "strategy": options["strategy"],
            "threads": self.hardware.threads,
            "supernet": digest(weights) if trained and weights.is_file() else None,  # an estimate comes before it
            **({"fidelity": HALVING} if self.rungs else {}),
            **({"latency": latency_of(self._config, self.input_size)} if wants_latency(self._config) else {}),
        }

    @property
    def network_fingerprint(self) -> dict[str, str]:
        """What a checkpoint of a network must have been made with, beside its schedule and seed."""
        made_with = {"space": str(self._config.space), "detector": str(self._config.detector)}
        return made_with if self._searched is None or not self._views else {**made_with, "data": str(self._views)}


def _without(words: Sequence[str], key: str) -> list[str]:
    return [word for word in words if _key(word) != key]


def _key(word: str) -> str:
    return word.partition("=")[0]


def _asked(strategy: dict[str, Any], rungs: int) -> int:
    children = strategy.get("children", 1) + strategy.get("n_random", 0)
    searched = strategy.get("population_size", 0) + strategy.get("iterations", 0) * children
    return int(searched * sum(0.5**rung for rung in range(rungs)))
