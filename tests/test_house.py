"""The house: which room of the package may import which, and that imports never go round in a circle.

Imports are read from the syntax tree, so that one inside a function or under TYPE_CHECKING counts as well.
"""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import bpa

ROOT = Path(bpa.__file__).parent
MODULES = {
    ".".join(("bpa", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# Modules on the ground floor belong to a room too.
ROOMS = {"network": "cells", "maze": "envs", "train": "training", "commands": "cli", "__main__": "cli"}

GROUND = {"arguments", "fields", "noise", "textfile", "version", "console"}
MAY_IMPORT = {
    "arguments": set(),
    "textfile": set(),
    "version": set(),
    "console": set(),
    "noise": {"arguments"},
    "fields": {"arguments"},
    "data": {"arguments"},
    "engines": {"arguments"},
    "cells": {"arguments", "noise", "textfile", "engines"},
    "tasks": {"arguments", "noise"},
    "envs": {"arguments", "noise", "engines", "tasks"},
    "training": {*GROUND, "data", "engines", "cells", "tasks", "envs"},
    "experiments": {*GROUND, "data", "engines", "cells", "tasks", "envs", "training"},
    "show": {*GROUND, "data", "engines", "cells", "tasks", "envs", "training", "experiments"},
    "checks": {*GROUND, "data", "engines", "cells", "tasks", "envs", "training", "experiments", "show"},
    "grading": {"arguments", "textfile", "cells", "envs", "training", "checks", "bpa"},
    "cli": {
        *GROUND,
        "data",
        "engines",
        "cells",
        "tasks",
        "envs",
        "training",
        "experiments",
        "show",
        "grading",
    },
    "bpa": {*GROUND, "data", "engines", "cells", "tasks", "envs", "training", "experiments", "show"},
}

# Imports that break a rule above and are to go, importer and imported; no other may join them.
OFFENDERS: set[tuple[str, str]] = set()


def room_of(module: str) -> str:
    """The room of `bpa.x.y`."""
    first = [*module.split("."), "bpa"][1]
    return ROOMS.get(first, first)


def imports_of(source: str, package: str) -> set[str]:
    """The modules of bpa that `source` imports, anywhere; `package`: where its relative imports begin."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {
                f"{origin}.{alias.name}" if f"{origin}.{alias.name}" in MODULES else origin
                for alias in node.names
            }
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return {name for name in found if name.split(".")[0] == "bpa"}


def package_of(module: str) -> str:
    """The package in which `module` is, itself if it is one."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


IMPORTS = {
    module: imports_of(path.read_text(encoding="utf-8"), package_of(module))
    for module, path in MODULES.items()
}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import bpa.maze, torch", {"bpa.maze"}),
        ("from bpa import engines, __version__", {"bpa.engines", "bpa"}),
        ("def f():\n    from bpa.engines import numba", {"bpa.engines.numba"}),
        ("if TYPE_CHECKING:\n    from bpa.maze import GridMaze", {"bpa.maze"}),
        ("from . import cell\nfrom .numba import lstm", {"bpa.engines.cell", "bpa.engines.numba.lstm"}),
        ("from ..maze import GridMaze", {"bpa.maze"}),
        ("importlib.import_module('bpa.show.play')", {"bpa.show.play"}),
        ('"""import bpa.maze"""', set()),
    ],
)
def test_every_kind_of_import_is_seen(source, names):
    assert imports_of(source, "bpa.engines") == names


def test_every_module_is_in_a_room():
    assert {room_of(module) for module in MODULES} == set(MAY_IMPORT)


def breaks_a_rule(importer: str, imported: str) -> bool:
    """Whether a module imports one of a room that is not open to its own."""
    return room_of(imported) not in {room_of(importer), *MAY_IMPORT[room_of(importer)]}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_the_rooms_that_are_open_to_it(module):
    wrong = {name for name in IMPORTS[module] if breaks_a_rule(module, name)}
    assert wrong <= {imported for importer, imported in OFFENDERS if importer == module}


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; empty without one."""
    try:
        list(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_imports_go_round_in_no_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) in (["b", "c", "b"], ["c", "b", "c"])
    kept = {
        importer: {imported for imported in names if (importer, imported) not in OFFENDERS}
        for importer, names in IMPORTS.items()
    }
    assert circle(kept) == []


def test_the_list_of_offenders_names_no_innocent():
    for importer, imported in OFFENDERS:
        assert imported in IMPORTS[importer], f"{importer} no longer imports {imported}: take it off the list"
        without = {
            module: {name for name in names if (module, name) not in OFFENDERS - {(importer, imported)}}
            for module, names in IMPORTS.items()
        }
        assert breaks_a_rule(importer, imported) or circle(without), f"{imported} is open to {importer} now"


def test_engines_know_no_network_and_no_environment():
    for module in MODULES:
        if room_of(module) == "engines":
            assert {room_of(name) for name in IMPORTS[module]} <= {"arguments", "engines"}, module


def texts_of(tree: ast.AST) -> list[str]:
    """The texts of a program, without its docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, kinds) and is_said(node)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    ]


def is_said(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the body of `node` begins with a docstring."""
    return ast.get_docstring(node, clean=False) is not None


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) != "checks"])
def test_only_the_checks_know_the_book(module):
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert [text for text in texts_of(tree) if "chapter" in text or "book/" in text or text == "book"] == []
