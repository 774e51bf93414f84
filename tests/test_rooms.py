"""The rules of the rooms (docs/architecture.md): who imports whom, who reads the configuration, who prints."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from msnas.runs import folder
from msnas.runs.state import StageState

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("evolution", "supernet", "msnas")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
# From the top down: a room imports rooms below it, and itself. The files beside the folders stand where they are named.
FLOORS = (
    {"msnas.cli"},
    {"msnas.commands"},
    {"msnas.report"},
    {"msnas.pipeline"},
    {"msnas.setup"},
    {"msnas", "msnas.families"},
    {"msnas.export"},
    {"msnas.engine", "msnas.detectors", "msnas.controller", "msnas.drawings"},
    {"msnas.data"},
    {"msnas.config"},
    {"msnas.runs"},
    {f"msnas.{name}" for name in ("call", "differences", "endings", "errors", "files", "seeds", "worker_process")},
    {"supernet", "evolution"},
)
READERS = ("msnas.commands", "msnas.config", "msnas.setup", "msnas.cli")
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def imports(module: str) -> Iterator[str]:
    """Our modules that a module imports, at its head or inside a function, but for what only a type checker sees."""
    typing = {id(node) for block in _type_checking(TREES[module]) for node in ast.walk(block)}
    for node in ast.walk(TREES[module]):
        if id(node) in typing:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            found = name if name in MODULES else name.rpartition(".")[0]
            if found in MODULES and found != module:
                yield found


def _type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield node


def floor(module: str) -> int:
    """How far down a module's room lies."""
    rooms = [(len(room), number) for number, level in enumerate(FLOORS) for room in level if _inside(module, room)]
    return max(rooms)[1]


def _inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def functions(module: str) -> Iterator[ast.FunctionDef]:
    """Every function and method."""
    return (node for node in ast.walk(TREES[module]) if isinstance(node, ast.FunctionDef))


def strings(module: str) -> Iterator[str]:
    """Every text that stands in the code, and each part of a formatted one."""
    return (n.value for n in ast.walk(TREES[module]) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def takes_configuration(function: ast.FunctionDef) -> bool:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    return any(a.annotation is not None and "DictConfig" in ast.unparse(a.annotation) for a in arguments)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: set(imports(module)) for module in MODULES}
    while removable := [module for module, uses in graph.items() if not uses & graph.keys()]:
        for module in removable:
            del graph[module]
    assert {module: sorted(uses & graph.keys()) for module, uses in graph.items()} == {}


def test_no_room_imports_one_above_it():
    upward = [f"{module} -> {used}" for module in MODULES for used in imports(module) if floor(used) < floor(module)]
    assert upward == []


def test_the_configuration_stops_at_setup():
    outside = [m for m in MODULES if not any(_inside(m, room) for room in READERS)]
    assert [f"{m}.{f.name}" for m in outside for f in functions(m) if takes_configuration(f)] == []


def test_a_setup_hands_its_configuration_to_nobody():
    [setup] = [n for n in ast.walk(TREES["msnas.setup.setup"]) if isinstance(n, ast.ClassDef) and n.name == "Setup"]
    fields = {node.target.id: node.annotation for node in setup.body if isinstance(node, ast.AnnAssign)}
    methods = {node.name: node.returns for node in setup.body if isinstance(node, ast.FunctionDef)}
    given = {name for name, kind in (fields | methods).items() if "DictConfig" in ast.unparse(kind)}
    assert given == {"_config"}


def test_at_most_forty_functions_take_the_configuration():
    assert 0 < sum(takes_configuration(f) for module in MODULES for f in functions(module)) <= 40


def test_only_the_dispatcher_imports_a_command():
    commands = {m for m in MODULES if m.startswith("msnas.commands.")} - {"msnas.commands.command_list"}
    assert {m for m in MODULES if commands & set(imports(m))} == {"msnas.cli"}


def prints(module: str) -> bool:
    """Whether it says `print(`, `.print(`, or writes to a standard stream."""
    called = [ast.unparse(node.func) for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    return any(re.search(r"(^|\.)print$|^sys\.std(out|err)\.write$|print_exception$", name) for name in called)


def test_only_commands_print():
    printing = {module for module in MODULES if prints(module) and not _inside(module, "msnas.commands")}
    assert printing == {
        "msnas.cli",  # help, and why a command ends
        "msnas.runs.progress",
        "msnas.runs.tables",  # into a text
        "msnas.engine.distributed",  # the last words of a rank that dies
    }


def test_only_the_run_folder_names_the_files_of_a_run():
    names = {text for name, text in vars(folder).items() if name.isupper() and Path(str(text)).suffix}
    names.remove(folder.CONFIG)  # conf/ has a file of that name too
    others = TREES.keys() - {folder.__name__, "msnas.data.layouts"}  # those are names in users' data
    assert [(module, text) for module in others for text in strings(module) if Path(text).name in names] == []


def stage_folders(module: str) -> Iterator[str]:
    """The folders of stages that stand as texts where a path is made, or a run is asked for its stage."""
    asked = ("stage", "done", "require", "forget_unless_begun")
    for node in ast.walk(TREES[module]):
        said: list[ast.expr] = [node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else []
        if isinstance(node, ast.Call):
            said += node.args if ast.unparse(node.func).rpartition(".")[2] in asked else []
            said += [word.value for word in node.keywords if word.arg == "stage"]
        yield from (n.value for n in said if isinstance(n, ast.Constant) and n.value in (*folder.STAGES, folder.RANK))


def test_only_the_run_folder_names_the_folders_of_the_stages():
    assert [(module, text) for module in TREES for text in stage_folders(module)] == []


def test_only_the_run_s_state_names_the_states_of_a_stage():
    others = {m for m in TREES if _inside(m, "msnas")} - {StageState.__module__}
    named = {(module, text) for module in others for text in strings(module) if text in {*StageState}}
    assert named == {("msnas.report.sentences", "stopped")}  # why a strategy had no more generations


FAMILIES = [
    f"{place}.{name}" for place in ("supernet", "msnas.families") for name in ("strides", "nas_fpn", "nas_fcos")
]


def classes_of_families(module: str) -> set[str]:
    """What a module imports from the folders of the families."""
    nodes = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.ImportFrom) and node.module]
    own = [node for node in nodes if any(_inside(str(node.module), room) for room in FAMILIES)]
    return {alias.asname or alias.name for node in own for alias in node.names}


def questions(module: str) -> Iterator[str]:
    """Where a module asks for one of those classes, or compares something with a text that names a family."""
    asserted = {id(part) for node in ast.walk(TREES[module]) if isinstance(node, ast.Assert) for part in ast.walk(node)}
    known = classes_of_families(module)
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            if asked & known and id(node) not in asserted:
                yield ast.unparse(node)
        texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        if isinstance(node, ast.Compare) and any(re.search(r"nas_f|msnas_|Family$", str(text)) for text in texts):
            yield ast.unparse(node)


def test_outside_of_the_families_nobody_asks_which_one_it_is():
    outside = [m for m in MODULES if _inside(m, "msnas") and not _inside(m, "msnas.families")]
    assert [(m, question) for m in outside for question in questions(m)] == []


def test_few_functions_below_setup_return_anything_at_all():
    below = [m for m in MODULES if floor(m) > floor("msnas.setup.setup")]
    untyped = [f"{m}.{f.name}" for m in below for f in functions(m) if f.returns and ast.unparse(f.returns) == "Any"]
    # JSON, what a name stands for, what torchvision's models return, and libraries without types
    assert len([name for name in untyped if not name.endswith("__getattr__")]) <= 25, untyped


def test_the_engine_knows_no_family():
    words = ("msnas.families", "supernet.strides", "supernet.nas_fpn", "supernet.nas_fcos")
    uses = {(m, used) for m in MODULES if _inside(m, "msnas.engine") for used in imports(m)}
    assert [pair for pair in uses if any(_inside(pair[1], word) for word in words)] == []


@pytest.mark.parametrize("family", ["strides", "nas_fpn", "nas_fcos"])
def test_outside_of_a_family_nobody_imports_its_folder_above(family):
    own = (f"msnas.families.{family}", "tests")
    users = {m for m in MODULES for used in imports(m) if _inside(used, own[0])}
    assert [m for m in users if not _inside(m, own[0])] == []


def test_no_two_files_have_one_name():
    names = [path.name for path in FILES if path.name not in ("__init__.py", "errors.py")]  # a package's own errors
    assert sorted({name for name in names if names.count(name) > 1}) == []


def first_paragraphs(module: str) -> Iterator[list[str]]:
    """The lines of the first paragraph of every docstring."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text.split("\n\n")[0].splitlines()


def test_no_docstring_begins_with_a_paragraph_that_ends_in_a_word_or_two():
    orphans = [
        lines[-1] for m in TREES for lines in first_paragraphs(m) if len(lines) > 1 and len(lines[-1].split()) < 3
    ]
    assert orphans == []


def test_few_modules_stand_beside_the_folders():
    assert len([path for path in (ROOT / "msnas").glob("*.py") if path.name != "__init__.py"]) <= 8
