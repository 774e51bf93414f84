"""A search in a single space: a strategy asks, candidates are trained a little and scored, the best scored again."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from evolution.driver import Drive, Finalist, by_generations, run_search
from evolution.halving import by_halving
from evolution.history import History
from evolution.strategy import Strategy
from msnas.config.compose import build
from msnas.data.opening import Splits
from msnas.families.family import Chosen, Found, Told, family_of
from msnas.files import digest
from msnas.pipeline.candidates import evaluate_many, rungs_of
from msnas.pipeline.front import front_of
from msnas.seeds import derive
from msnas.setup.latency_table import latency_of, wants_latency
from msnas.setup.space import budget_of, input_size


def search_space(
    config: DictConfig, splits: Splits, *, space: Any, weights: Path, folder: Path, hardware: Any, told: Told
) -> Found:
    """Search `space`, on from where the history in `folder` stands. hardware: this process's."""
    strategy: Strategy = build(config.strategy, space=space, seed=derive(config.seed, "search", "strategy"))
    with (
        History(folder / "history.sqlite", fingerprint=_fingerprint(config, weights, hardware)) as history,
        evaluate_many(config, splits, weights) as engine,
    ):
        told.known(len(history.evaluations()))
        result = run_search(
            strategy,
            engine,
            history,
            drive=_drive(config),
            top_k=config.top_k,
            finalists=config.search.finalists,
            replicates=config.search.replicates,
            on_evaluation=told.evaluation,
            on_generation=told.generation,
        )
        inside = sum(space.is_valid(evaluation.genome) for evaluation in history.evaluations())

    def chosen(finalist: Finalist) -> Chosen:
        return Chosen(space.decode(finalist.genome), space.cost(finalist.genome), finalist)

    return Found(
        winners=tuple(map(chosen, result.winners)),
        finalists=tuple(map(chosen, result.finalists)),
        evaluated=result.evaluated,
        failed=result.failed,
        inside_budget=inside,
        seconds=result.seconds,
        front=front_of(strategy, space, result.finalists),
    )


def _drive(config: DictConfig) -> Drive:
    """How the strategy is taken to its end."""
    rungs = rungs_of(config)
    return by_halving(len(rungs)) if rungs else by_generations


def _fingerprint(config: DictConfig, weights: Path, hardware: Any) -> dict[str, Any]:
    """What a history's scores depend on: another of these is another search."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    budget = budget_of(config)
    return {
        "seed": config.seed,
        "space": {**plain["space"], "input_size": list(input_size(config))},
        "budget": None if budget is None else str(budget),
        "candidate": plain["candidate"],
        "proxy": plain.get("proxy"),
        "strategy": plain["strategy"],
        "threads": config.hardware.threads,
        **_kind_of_device(config, hardware),
        "supernet": digest(weights) if family_of(config).SHARES_WEIGHTS else None,
        **({} if config.fidelity == "full" else {"fidelity": config.fidelity}),
        **({"latency": latency_of(config, input_size(config))} if wants_latency(config) else {}),
    }


def _kind_of_device(config: DictConfig, hardware: Any) -> dict[str, str]:
    """Device and precision: of this process, as its workers choose alike; on a cluster the words for its nodes."""
    if config.hardware.engine == "ray":
        return {"device": config.hardware.device, "precision": config.hardware.precision}
    return {"device": hardware.device.type, "precision": hardware.precision}
