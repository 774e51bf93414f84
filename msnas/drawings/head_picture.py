"""The head of a NAS-FCOS decoder as a picture, after Fig. 4 of arXiv 1906.04423: one row for each branch."""

from msnas.drawings import palette
from msnas.drawings.canvas import Canvas
from supernet.nas_fcos.decoder import FCOS_HEAD, HEAD_OPS, LEVELS, Head

HEAD_HEIGHT = 2.35  # inches
STEP, LEFT = 1.2, 1.6  # width of a layer's column; where the first one begins
ROWS = {"class branch": 0.95, "box branch": 1.85}  # below the head's top
BOX = (0.45, 0.19)  # half width and half height of a layer
OPERATIONS = {"deformable": "#f3c9a5", "separable": "#cfeadb", "convolution": "#cdd9f5", "skip": palette.PAPER}


def fill_of(op: str) -> str:
    """The fill of an operation's box, by its kind."""
    kinds = {"dconv": "deformable", "sep": "separable", "conv": "convolution", "skip": "skip"}
    return OPERATIONS[next(kind for prefix, kind in kinds.items() if op.startswith(prefix))]


def label_of(op: str) -> str:
    """An operation's name as a drawing has it: "sep 5x5 d6"."""
    for prefix in ("dconv", "sep", "conv"):
        if op.startswith(prefix):
            return f"{prefix} {op.removeprefix(prefix).replace('_', ' ')}"
    return op


def head_width(head: Head | None) -> float:
    """Inches that a head needs across."""
    return LEFT + STEP * (len((head or FCOS_HEAD).ops) + 1) + 1.6


def draw_head(canvas: Canvas, head: Head | None, top: float) -> None:
    """Both branches from P3..P7 to the predictions, below `top`; None: FCOS's own head."""
    plan = head or FCOS_HEAD
    name = "Head" if head is not None else "Head (FCOS's own)"
    canvas.text(0.36, top + 0.35, name, fontsize=10, fontweight="bold")
    canvas.text(LEFT, top + 0.35, _sharing(plan), fontsize=8.5, color=palette.QUIET)
    for branch, offset in ROWS.items():
        y = top + offset
        canvas.text(0.36, y, branch, fontsize=8.5, color=palette.QUIET)
        before = LEFT - 0.35
        for index, op in enumerate(HEAD_OPS[op] for op in plan.ops):
            x = LEFT + STEP * (index + 0.5)
            canvas.arrow((before, y), (x - BOX[0], y))
            for copy in range(len(LEVELS) - 1 if index < plan.share else 0, 0, -1):
                canvas.box((x + 0.03 * copy, y - 0.045 * copy), BOX, fill_of(op), "")
            canvas.box((x, y), BOX, fill_of(op), label_of(op), fontsize=8)
            before = x + BOX[0]
        _predictions(canvas, branch, before, y)


def _sharing(head: Head) -> str:
    if head.share == 0:
        return "every layer serves all levels"
    own = "layer 1 has" if head.share == 1 else f"layers 1 to {head.share} have"
    rest = "" if head.share == len(head.ops) else "; the others serve all levels"
    return f"{own} weights of their own for each of the {len(LEVELS)} levels{rest}"


def _predictions(canvas: Canvas, branch: str, x: float, y: float) -> None:
    """What a branch ends in: 3x3 convolutions."""
    outputs = {"classes": -0.22, "centerness": 0.22} if branch == "class branch" else {"box": 0.0}
    for name, offset in outputs.items():
        end = (x + 0.45 + BOX[0], y + offset)
        canvas.arrow((x, y), (end[0] - BOX[0], end[1]))
        canvas.box(end, (BOX[0], 0.16), "#9cc9f0", name, fontsize=8)
