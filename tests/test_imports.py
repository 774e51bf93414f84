"""Which package may import which, and that counting and help do not wait for torch."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import supernet

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "evolution": {"torch", "torchvision", "timm", "hydra", "omegaconf", "supernet", "msnas"},
    "supernet": {"hydra", "omegaconf", "deap", "pycocotools", "evolution", "msnas"},
}
TORCH_FREE = [
    "supernet",
    "supernet.strides.architecture",
    "supernet.cost",
    "supernet.errors",
    "supernet.nas_fcos.head_space",
    "supernet.nas_fcos.pyramid_space",
    "supernet.space",
    "supernet.strides.stride_space",
    "evolution",
    "msnas",
    "msnas.cli",
    "msnas.config.compose",
    "msnas.errors",
    "msnas.commands.inspect_space",
    "msnas.engine.recipe",
    "msnas.families.nas_fcos.decoder_recipe",
    "msnas.families.nas_fcos.fcos_family",
    "msnas.families.nas_fpn.scratch_recipe",
    "msnas.setup.make_space",
    "msnas.setup.zoo",
]


def imported(path):
    """Top-level packages that a file imports, at its head or inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_file_imports_against_the_direction(package):
    files = sorted((ROOT / package).rglob("*.py"))
    found = {str(path.relative_to(ROOT)): set(imported(path)) & FORBIDDEN[package] for path in files}
    assert files
    assert {path: names for path, names in found.items() if names} == {}


def unreasoned(path):
    """Where functions import without a word beside or above that says why it is not at the head of the file."""
    text = path.read_text(encoding="utf-8")
    lines, said = text.splitlines(), 0  # the last line of imports that a reason covers
    inner = {node for f in ast.walk(ast.parse(text)) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    for node in sorted((n for n in inner if isinstance(n, ast.Import | ast.ImportFrom)), key=lambda n: n.lineno):
        above = node.lineno - 1
        if "#" in lines[above] or lines[above - 1].lstrip().startswith("#") or said == above:
            said = node.end_lineno
        else:
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_an_import_inside_a_function_says_why():
    files = [path for package in ("evolution", "supernet", "msnas") for path in sorted((ROOT / package).rglob("*.py"))]
    assert [place for path in files for place in unreasoned(path)] == []


def starts_of_processes(path):
    """What a file calls that starts Python processes: the name, and the start method where it names one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        if name in ("fork", "Process", "Pool", "set_start_method", "get_context"):
            yield name, *(ast.literal_eval(word) for word in node.args if name == "get_context")


def test_processes_are_spawned_as_on_macos_and_windows():
    files = [path for package in ("evolution", "supernet", "msnas") for path in sorted((ROOT / package).rglob("*.py"))]
    assert {start for path in files for start in starts_of_processes(path)} == {("get_context", "spawn")}


def test_windows_is_told_where_msnas_runs():
    code = "import sys; sys.platform = 'win32'; import msnas.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "on Windows, run it in WSL 2" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("module", TORCH_FREE)
def test_module_does_not_import_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'torchvision', 'timm'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_counting_sampling_and_costs_do_not_import_torch():
    code = (
        "import sys, numpy\n"
        "from supernet import Budget, StrideSpace\n"
        "space = StrideSpace(block='basic', depth=6, channels=8, input_size=(64, 64))\n"
        "inside = space.within(Budget('macs', sum(space.cost_range()) / 2, 0.2))\n"
        "inside.cost(inside.sample(numpy.random.default_rng(0)))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


def test_every_public_name_of_supernet_can_be_imported():
    names = [name for name in supernet.__all__ if name != "Genome"]
    assert [getattr(supernet, name).__name__ for name in names] == names
    assert supernet.Genome == tuple[int, ...]


def test_an_unknown_name_of_supernet_is_an_attribute_error():
    assert not hasattr(supernet, "NoSuchSpace")


def test_every_folder_of_code_travels_in_the_wheel():
    folders = {path.parent for name in ("evolution", "supernet", "msnas") for path in (ROOT / name).rglob("*.py")}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} == {*listed} - {"msnas.conf"}
