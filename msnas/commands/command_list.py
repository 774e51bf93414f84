"""Every command of the command line: its module, its summary, and the options that its help shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command: where it lives, what it does in a line, and which options its help shows."""

    module: str
    summary: str
    positionals: str = ""
    options: tuple[str, ...] = ()
    estimates: bool = False  # takes --estimate


_OWN = ("config_dir", "plugins")
_TRAINING = ("seed", "run", "space", "data", "detector", "schedule", "scale", "hardware", "experiment", "log", *_OWN)
_SPACE = ("space", "input", "budget", "scale", *_OWN)
COMMANDS: dict[str, Command] = {
    "demo": Command("msnas.commands.demo", "everything below, on data that it draws itself", "", ("run", "seed")),
    "check": Command(
        "msnas.commands.check", "is the data sound, which sizes do the objects have", "[D]", ("data", "space", "scale")
    ),
    "convert": Command("msnas.commands.convert", "YOLO text or Pascal VOC files as a COCO folder", "D", ("out",)),
    "import": Command(
        "msnas.commands.import_weights", "a public NAS-FPN or NAS-FCOS checkpoint as a model", "FILE", ("out",)
    ),
    "init": Command("msnas.commands.init", "a file of options that fit your own data", "D", ("out", "scale", "space")),
    "train": Command(
        "msnas.commands.train",
        "the supernet: every step a random valid path",
        "",
        (*_TRAINING, "train", "budget"),
        True,
    ),
    "search": Command(
        "msnas.commands.search",
        "evolution under the budget",
        "",
        (
            "run",
            "strategy",
            "budget",
            "candidate",
            "fidelity",
            "search",
            "top_k",
            "hardware",
            "log",
            *_OWN,
        ),
        True,
    ),
    "retrain": Command(
        "msnas.commands.retrain",
        "winners, architectures that you name, or networks along the front, and baselines",
        "[ARCH...|front]",
        (*_TRAINING, "retrain", "front", "baseline", "top_k"),
        True,
    ),
    "rank": Command(
        "msnas.commands.rank",
        "can the supernet's ranking be believed",
        "",
        ("run", "n", "budget", "candidate", "retrain", "top_k", "hardware"),
    ),
    "report": Command(
        "msnas.commands.report", "one page: what was found, how sure, at which cost", "[RUN...]", ("run",)
    ),
    "export": Command(
        "msnas.commands.export",
        "stand-alone detectors: a winner, or a front's; ONNX of any model",
        "[front] [RUN|MODEL]",
        ("run", "rank", "out", "onnx", "export", "data"),
    ),
    "predict": Command(
        "msnas.commands.predict",
        "a model over your images and videos, boxes drawn",
        "MODEL IMAGES... OUT",
        ("score", "every", "hardware"),
    ),
    "eval": Command("msnas.commands.eval", "the 12 COCO numbers of a model", "MODEL", ("data", "split", "hardware")),
    "cost": Command(
        "msnas.commands.inspect_space", "MACs and parameters of architectures", "ARCH...", (*_SPACE, "zoo")
    ),
    "space": Command(
        "msnas.commands.inspect_space", "how large the space is, and how much of it the budget holds", "", _SPACE
    ),
    "latency": Command(
        "msnas.commands.latency",
        "times every part of a space's networks on this device, a whole exported detector, or networks by name",
        "[MODEL|ARCH...]",
        (*_SPACE, "latency", "data", "hardware"),
    ),
    "sample": Command(
        "msnas.commands.inspect_space",
        "architectures drawn uniformly inside the budget",
        "",
        (*_SPACE, "n", "seed"),
    ),
    "draw": Command("msnas.commands.draw", "pictures of architectures", "ARCH...", ("space", "input", "zoo")),
    "runs": Command(
        "msnas.commands.runs", "lists runs with size and state, prunes checkpoints", "", ("runs_root", "keep")
    ),
    "status": Command(
        "msnas.commands.status", "what a run is doing, and when it will end", "[RUN]", ("run", "runs_root")
    ),
    "completion": Command("msnas.commands.completion", "a script that completes all this", "bash|zsh|fish"),
}
