"""What a run is doing, since when, until when, and what to do next; read from its folder alone.

Whether a process works on it is told by the run's lock, which dies with its holder: a number of a process may have
been given to another one since.
"""

import math
import shlex
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from msnas.files import read_json
from msnas.runs.folder import (
    DONE,
    ENVIRONMENT,
    FRONT,
    PLAN,
    REPORT,
    RESULT,
    STATUS,
    SUPERNET,
    completing,
    is_held,
    stages_of,
)
from msnas.runs.progress import duration, rate_text

SILENT = 120.0  # seconds without a sign of life that are worth a word
State = dict[str, Any]


class StageState(StrEnum):
    """How far a stage is. STOPPED: begun, and no process works on it."""

    COMPLETE = "complete"
    RUNNING = "running"
    STOPPED = "stopped"
    WAITING = "waiting"


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    pretrains: what its first stage trains, "" where that is nothing; named: architectures are named, and no search is.
    """

    pretrains: str
    named: bool


def run_state(folder: Path, plan: Plan, now: float | None = None) -> State:
    """The state of a run as plain values.

    `stages` has for each stage its `state` and, where they are known, `done` of `total`, `rate` a second, and
    `began`, `updated`, `ends` in seconds of the epoch; for the first one what it `trains`, "" where that is nothing.
    `next`: the command to give now, None while a process works on the run.
    """
    now = time.time() if now is None else now
    running = is_held(folder)
    stages: list[State] = []
    for name in stages_of(folder, named=plan.named):
        current = running and all(stage["state"] == StageState.COMPLETE for stage in stages)
        stages.append(_stage(folder, name, plan, running=current, now=now))
    return {
        "run": folder.name,
        "folder": str(folder),
        "running": running,
        "stages": stages,
        "next": None if running else _next(folder, stages),
    }


def _stage(folder: Path, name: str, plan: Plan, *, running: bool, now: float) -> State:
    known = {"stage": name, "trains": plan.pretrains} if name == SUPERNET else {"stage": name}
    state = stage_state(folder / name, running=running)
    if state == StageState.COMPLETE:
        return {**known, "state": state, **read_json(folder / name / DONE)}
    return {**known, "state": state, **_progress(folder, name, plan, running=running, now=now)}


def stage_state(folder: Path, *, running: bool = False) -> StageState:
    """The state of the stage with this folder. running: a process works on it, unless it is complete."""
    if (folder / DONE).exists():
        return StageState.COMPLETE
    if running:
        return StageState.RUNNING
    return StageState.STOPPED if folder.exists() else StageState.WAITING


def _progress(folder: Path, name: str, plan: Plan, *, running: bool, now: float) -> State:
    """What the newest `status.json` of a stage says; a running stage that has written none yet says since when."""
    commands = (read_json(folder / ENVIRONMENT) or {"commands": []})["commands"]
    began = datetime.strptime(commands[-1]["began"], "%Y-%m-%dT%H:%M:%S%z").timestamp() if commands else None
    written = sorted((folder / name).rglob(STATUS), key=lambda path: path.stat().st_mtime)
    status = read_json(written[-1]) if written else None
    if status is None or (running and began is not None and status["updated"] < began):
        return {"began": began} if running else {}  # a status of before the stage was given again says nothing
    found: State = {key: status[key] for key in ("done", "total", "rate", "began", "updated")}
    if (folder / name / PLAN).exists():
        found |= {"network": status["stage"], **_networks(folder / name)}
    if running and status["left"] is not None:
        found["ends"] = max(status["updated"] + status["left"] + _later_networks(found, status), now)
    return found


def _networks(stage: Path) -> State:
    """How many networks a stage has trained, of how many, and how many at a time."""
    finished = [read_json(path)["seconds"] for path in sorted(stage.glob(f"*/{RESULT}"))]
    plan = {"side_by_side": 1, **read_json(stage / PLAN)}
    return {"networks_done": len(finished), **plan, "network_seconds": finished}


def _later_networks(found: State, status: State) -> float:
    """Seconds that the networks after the present ones will take: each as long as those before, or as this one."""
    if "networks" not in found:
        return 0.0
    finished = found["network_seconds"]
    each = sum(finished) / len(finished) if finished else status["total"] / max(status["rate"], 1e-9)
    later, at_once = found["networks"] - found["networks_done"] - found["side_by_side"], found["side_by_side"]
    return float(each * max(math.ceil(later / at_once), 0))


def _next(folder: Path, stages: list[State]) -> str:
    """The command that goes on with the run: the first stage that is not complete, then the report, the model."""
    run = [f"run={folder.name}", *([] if folder.parent == Path("runs") else [f"runs_root={folder.parent}"])]
    for stage in stages:
        if stage["state"] != StageState.COMPLETE:
            command = "demo" if _last_command(folder).startswith("msnas demo ") else completing(stage["stage"])
            return shlex.join(["msnas", *command.split(), *run])
    export = ["export", *([FRONT] if stages[-1]["stage"] == FRONT else [])]
    return shlex.join(["msnas", *(export if (folder / REPORT).exists() else ["report"]), *run])


def _last_command(folder: Path) -> str:
    commands = (read_json(folder / ENVIRONMENT) or {"commands": []})["commands"]
    return str(commands[-1]["command"]) if commands else ""


def state_lines(state: State, now: float | None = None) -> list[str]:
    """The state as a user reads it."""
    now = time.time() if now is None else now
    lines = [f"Run {state['run']}"]
    for stage in state["stages"]:
        if name := stage.get("trains", stage["stage"]):
            lines.append(f"  {name:<10}{_text(stage, now)}")
    if state["next"] is not None:
        stopped = any(stage["state"] == StageState.STOPPED for stage in state["stages"])
        lines.append(f"{'No process works on it. Go on with' if stopped else 'Next'}: {state['next']}")
    elif all(stage["state"] == StageState.COMPLETE for stage in state["stages"]):
        lines.append("A process works on it.")
    return lines


def _text(stage: State, now: float) -> str:
    if stage["state"] == StageState.WAITING:
        return "not begun"
    if stage["state"] == StageState.COMPLETE:
        return "complete" + (f", in {duration(stage['seconds'])}" if "seconds" in stage else "")
    parts = []
    if "network" in stage:
        parts.append(
            f"{stage['networks_done']} of {stage['networks']} networks done, the last begun {stage['network']}"
        )
    if "done" in stage:
        parts.append(f"{stage['done']}/{stage['total']}")
    if stage["state"] == StageState.STOPPED:
        ended = f" after {_clock(stage['updated'], now)}" if "updated" in stage else ""
        return ", ".join([f"stopped{ended}", *parts])
    if "done" in stage:
        parts.append("finishing" if stage["done"] >= stage["total"] else rate_text(stage["rate"]))
    if "ends" in stage:
        parts.append(f"ends about {_clock(stage['ends'], now)} ({duration(stage['ends'] - now)} left)")
    if "updated" in stage and now - stage["updated"] > SILENT:
        parts.append(f"last sign of life {duration(now - stage['updated'])} ago")
    since = f" since {_clock(stage['began'], now)}" if stage.get("began") is not None else ""
    return ", ".join([f"running{since}", *(parts or ["starting"])])


def _clock(seconds: float, now: float) -> str:
    """A time of the day, with the date where it is another day's."""
    then, today = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)
