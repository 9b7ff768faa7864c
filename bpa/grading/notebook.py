"""A student's notebook, read and never run here: what defines a function, what is a stub, what is foul."""

from __future__ import annotations

import ast
import json
import re
import symtable
import textwrap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bpa.textfile import utf8_text

GUARDED = {"torch", "numpy", "bpa", "builtins", "time"}  # packages whose functions nobody needs to replace
# What only IPython understands, and what stands in its place; tried in a line that Python refuses.
MAGICS = (
    (re.compile(r"^(\s*)%time\s+(.+)$"), r"\1\2"),
    (re.compile(r"^(\s*)[%!?].*$"), r"\1pass"),
    (re.compile(r"^(\s*[\w.,\s]+=\s*)[%!].*$"), r"\1None"),  # files = !ls
    (re.compile(r"^(\s*)[\w.]+\?{1,2}\s*$"), r"\1pass"),  # torch.einsum?
)
TIMED = ("%%time", "%%timeit", "%%capture", "%%prun")  # below them stands Python, below all others does not
CHECKS = "checks"
QUOTED = 80  # characters of a line that is quoted
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class Cell(NamedTuple):
    """A code cell."""

    place: str  # "cell 3", or "cell 3 of home.ipynb": among all cells of the notebook, from 1
    source: str  # without the lines that only IPython understands
    statements: list[ast.stmt]  # empty if it is no Python
    fault: str  # why it is no Python
    marked: bool = False  # whether it is marked as the place of an answer


class Sent(NamedTuple):
    """What is sent to the student's process for one function."""

    cells: list[tuple[str, str]]  # place and source, at the lines where they stand in the notebook
    stub: bool  # whether the function is the untouched stub
    fault: str  # why there is nothing to run


def read_notebook(path: Path) -> list[Cell]:
    """The code cells of a notebook.

    Raises:
        ValueError: it is no notebook.
    """
    try:
        cells = json.loads(utf8_text(str(path)))["cells"]
        sources = [
            (number, "".join(cell["source"]), is_marked(cell.get("metadata", {})))
            for number, cell in enumerate(cells, start=1)
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no notebook ({type(error).__name__}: {error})") from None
    return [code_cell(number, source, path.name, marked) for number, source, marked in sources]


def is_marked(metadata: dict[str, Any]) -> bool:
    """Whether a cell says that it takes an answer: a stub of the book, or nbgrader's."""
    return "exercise" in metadata.get("tags", ()) or metadata.get("nbgrader", {}).get("solution") is True


def code_cell(number: int, source: str, file: str = "", marked: bool = False) -> Cell:
    """A cell of this source."""
    place = f"cell {number} of {file}" if file else f"cell {number}"
    source = plain_python(source)
    try:
        return Cell(place, source, ast.parse(source).body, "", marked)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"{place}, line {line}" if line else place
        fault = f"{type(error).__name__}: {getattr(error, 'msg', error)} ({quoted(where, source, line)})"
        return Cell(place, source, [], fault, marked)


def quoted(where: str, source: str, line: int | None) -> str:
    """A place with the line that stands there: nobody counts the cells of a notebook."""
    lines = source.split("\n")
    text = lines[line - 1].strip() if line and 0 < line <= len(lines) else ""
    text = textwrap.shorten(text, QUOTED, placeholder=" ...")
    return f"{where}: {text}" if text else where


def plain_python(source: str) -> str:
    """The source of a cell without what only IPython understands, each line in its place."""
    lines = source.splitlines()
    if lines and lines[0].startswith("%%"):
        if lines[0].split()[0] not in TIMED:
            return ""
        lines[0] = ""
    for _ in range(len(lines)):
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            place = (error.lineno or 0) - 1
            if not 0 <= place < len(lines):
                break
            mended = lines[place]
            for magic, instead in MAGICS:
                mended = magic.sub(instead, mended)
            if mended == lines[place]:
                break
            lines[place] = mended
        except (ValueError, RecursionError, MemoryError):
            break
        else:
            break
    return "\n".join(lines)


def is_stub(statement: ast.stmt) -> bool:
    """Whether a function does nothing at all: constants, `pass`, an empty return, nbgrader's own stub."""
    return isinstance(statement, ast.FunctionDef) and all(
        isinstance(line, ast.Pass)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        or (isinstance(line, ast.Return) and (line.value is None or is_none(line.value)))
        or (isinstance(line, ast.Raise) and ast.unparse(line) == "raise NotImplementedError()")
        for line in statement.body
    )


def is_none(node: ast.expr) -> bool:
    """Whether an expression is the constant None."""
    return isinstance(node, ast.Constant) and node.value is None


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is in it, but for the bodies of functions and classes."""
    yield node
    if not isinstance(node, SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from outside_functions(child)


def root(node: ast.AST) -> str:
    """`a` of `a.b[c].d`; empty where it begins with no name."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a cell binds, or whose object it changes; "*" if it binds any."""
    names = set()
    for node in outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            names.add(root(node))
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
            names.add(f".{root(node.value.func)}")  # history.append(...)
    return names - {"", "."}


def used(statement: ast.stmt) -> set[str]:
    """The names of the notebook that a statement reads, in its functions too: not their own variables."""
    whole = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    names = {symbol.get_name() for symbol in whole.get_symbols() if symbol.is_referenced()}
    inner = list(whole.get_children())
    for table in inner:
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        inner += table.get_children()
    return names


def needed(cells: Sequence[Cell], name: str, check: str = "") -> list[tuple[Cell, list[ast.stmt]]]:
    """Of each cell the statements that a function of this name needs, in the order of the notebook.

    What merely shows or trains something is left out, and so is what had the name before the function did.
    What comes after the function and its last check gives names alone that had not been there before: when
    the student ran the check, a later `x = None` had not happened yet.
    """
    statements = [(cell, statement, bound(statement)) for cell in cells for statement in cell.statements]
    for place in reversed(range(len(statements))):
        cell, statement, names = statements[place]
        begins = name in names and (isinstance(statement, SCOPES) or name not in used(statement))
        if begins:  # f = faster(f) goes on with what it was
            statements[:place] = [(c, s, n - {name}) for c, s, n in statements[:place]]
            break
    ends = [place for place, (_, s, names) in enumerate(statements) if name in names or check in calls(s)]
    last = max(ends, default=len(statements)) + 1
    before = {each for _, _, names in statements[:last] for each in names}
    before |= {f".{each}" for each in before}
    statements[last:] = [(c, s, names - before) for c, s, names in statements[last:]]
    imported = {
        each
        for _, statement, names in statements
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        for each in names
    }
    wanted, taken, grown = {name}, set(), True
    while grown:
        grown = False
        for place, (_, statement, names) in enumerate(statements):
            called = {each[1:] for each in names if each.startswith(".")} - imported
            if place not in taken and ("*" in names or (names | called) & wanted):
                taken.add(place)
                wanted |= used(statement)
                grown = True
    chosen: dict[str, tuple[Cell, list[ast.stmt]]] = {}
    for place in sorted(taken):
        cell, statement, _ = statements[place]
        chosen.setdefault(cell.place, (cell, []))[1].append(statement)
    return list(chosen.values())


class WithoutChecks(ast.NodeTransformer):
    """Takes the checks out of imports outside functions: the student's process has none."""

    def __init__(self) -> None:
        self.changed = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # a name of ast's
        """Functions stay as they are: who reaches for the checks there is caught."""
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """`import bpa.checks` imports `bpa`."""
        for alias in node.names:
            if alias.name == "bpa.checks" and alias.asname is None:
                alias.name, self.changed = "bpa", True
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        """`from bpa import checks, Network` imports the network."""
        kept = [alias for alias in node.names if alias.name != CHECKS]
        if node.module == "bpa" and len(kept) < len(node.names):
            self.changed = True
            if not kept:
                return ast.Pass()
            node.names = kept
        return node


def source_of(cell: Cell, statements: Sequence[ast.stmt]) -> str:
    """The source of a cell with these statements alone, each at its own line."""
    lines, kept = cell.source.split("\n"), [""] * len(cell.source.split("\n"))
    for statement in statements:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        last = statement.end_lineno or statement.lineno
        mended = WithoutChecks()
        changed = mended.visit(ast.parse(ast.unparse(statement)))
        if mended.changed:
            kept[first] = "exec(" + repr(ast.unparse(changed)) + ")"
        else:
            kept[first:last] = lines[first:last]
    return "\n".join(kept)


def sent_for(cells: Sequence[Cell], name: str, check: str = "") -> Sent | None:
    """What to run for a function, which this check is for; None if the notebook defines none of its name."""
    chosen = needed(cells, name, check)
    defining = [s for _, statements in chosen for s in statements if name in bound(s)]
    defining = defining[-1:]  # others of the name came before
    broken = [cell for cell in cells if cell.fault and re.search(rf"\bdef\s+{name}\b", cell.source)]
    if broken:
        return Sent([], False, broken[-1].fault)
    if not defining:
        return None
    sources = [(cell.place, source_of(cell, statements)) for cell, statements in chosen]
    return Sent(sources, is_stub(defining[0]), "")


def defined(cells: Sequence[Cell]) -> set[str]:
    """All names that the cells of a notebook bind."""
    names = set().union(*(bound(statement) for cell in cells for statement in cell.statements))
    broken = (re.findall(r"\bdef\s+(\w+)", cell.source) for cell in cells if cell.fault)
    return names.union(*broken)


def marked(cells: Sequence[Cell]) -> set[str]:
    """The names that cells bind which are marked as the place of an answer."""
    return defined([cell for cell in cells if cell.marked])


def checked(cells: Sequence[Cell]) -> set[str]:
    """The checks that a notebook still calls."""
    return set().union(*(calls(statement) for cell in cells for statement in cell.statements))


def calls(statement: ast.stmt) -> set[str]:
    """The checks that a statement calls."""
    return {
        node.func.attr
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and root(node.func) == CHECKS
        and isinstance(node.func.value, ast.Name)
    }


def foul_play(cells: Sequence[Cell], public: Collection[str]) -> list[str]:
    """What in a notebook has no honest reason, a line each, with its cell and line.

    Args:
        cells: the code of the notebook.
        public: the names that `bpa.checks` offers to everybody.
    """
    trees = [(cell, statement) for cell in cells for statement in cell.statements]
    packages = {
        (alias.asname or alias.name).split(".")[0]: (
            alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        )
        for _, statement in trees
        for node in ast.walk(statement)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    guarded = {name for name, origin in packages.items() if origin.split(".")[0] in GUARDED}
    found = []
    for cell, statement in trees:
        called = {id(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
        for node in ast.walk(statement):
            fault = foul(node, called, guarded | {CHECKS, "__builtins__"}, packages, public)
            if fault:
                line = getattr(node, "lineno", None)
                found.append(f"{fault} ({quoted(f'{cell.place}, line {line}', cell.source, line)})")
    return list(dict.fromkeys(found))


def foul(
    node: ast.AST, called: set[int], guarded: set[str], packages: dict[str, str], public: Collection[str]
) -> str:
    """What is wrong with one part of a program, or nothing."""
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and root(node) in guarded:
        text = ast.unparse(node)
        return "" if text.startswith("torch.backends.") else f"it replaces {text}"
    if isinstance(node, ast.Call):
        function = ast.unparse(node.func).split(".")[-1]
        first = node.args[0] if node.args else None
        if function in ("setattr", "delattr", "vars") and first is not None and root(first) in guarded:
            return f"it replaces parts of {ast.unparse(first)}"
    if isinstance(node, ast.Attribute) and node.attr == "__dict__" and root(node) in guarded:
        return f"it looks into {ast.unparse(node)}"
    rebound = isinstance(node, ast.Name) and node.id == CHECKS and not isinstance(node.ctx, ast.Load)
    if rebound or (isinstance(node, SCOPES[:3]) and node.name == CHECKS):
        return "it defines checks anew"
    if isinstance(node, ast.Import | ast.ImportFrom):
        return foul_import(node)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == CHECKS:
        if packages.get(CHECKS, "bpa.checks") != "bpa.checks":
            return ""  # said of its import
        if node.attr not in public:
            return f"it looks into checks.{node.attr}"
        if id(node) not in called and node.attr[:1].islower():
            return f"it takes checks.{node.attr} without calling it"
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "\n"
    if "\n" not in text and re.search(r"bpa[./\\]+checks", text):
        return "it names the checks in a text"
    return ""


def foul_import(node: ast.Import | ast.ImportFrom) -> str:
    """What is wrong with an import, or nothing."""
    for alias in node.names:
        origin = alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        if origin.startswith("bpa.checks.") or (
            isinstance(node, ast.ImportFrom) and node.module == "bpa.checks"
        ):
            return f"it reads {origin}"
        if (alias.asname or alias.name) == CHECKS and origin != "bpa.checks":
            return f"it puts {origin} in the place of the checks"
    return ""
