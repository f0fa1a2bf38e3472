"""The house rules that no linter knows: which way imports point, and who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vgsearch"

# Imports point from a higher level to a lower one; rooms on one level never import each other.
LEVELS = {
    "errors": 0,
    "config": 1,
    "data": 2,
    "models": 3,
    "retrieval": 4,
    "rerank": 4,
    "translation": 4,
    "registry": 5,
    "training": 5,
    "reporting": 6,
    "search": 6,
    "ensembling": 6,
    "cli": 7,
}
OWNERS = {"ray": "search", "optuna": "search", "mlflow": "registry", "faiss": "retrieval"}


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(file: Path):
    """Every module that a file imports anywhere, also inside functions, with its line."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield node.module, node.lineno


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) != "__init__")


def test_every_room_has_a_level():
    assert {room_of(file) for file in FILES} <= set(LEVELS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file):
    room = room_of(file)
    for module, line in imported_modules(file):
        if not module.startswith("vgsearch."):
            continue
        target = module.split(".")[1]
        assert target == room or LEVELS[target] < LEVELS[room], f"{file}:{line}: {room} imports {target}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_platform_library_has_one_owner(file):
    for module, line in imported_modules(file):
        owner = OWNERS.get(module.split(".")[0])
        assert owner in (None, room_of(file)), f"{file}:{line}: {module} belongs in {owner}"


def test_no_file_is_called_utils():
    assert not [file for file in FILES if "util" in file.stem]


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("vgsearch.config.document", ("torch", "ray", "mlflow", "optuna")),
        ("vgsearch.cli.main", ("torch", "ray", "mlflow", "optuna", "timm")),
    ],
)
def test_importing_stays_cheap(module, unwanted):
    code = f"import sys, {module}; print(*sorted({set(unwanted)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
