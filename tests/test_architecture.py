"""The structure that keeps the project readable: imports go down, and files, folders and functions stay small."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    "support", "bodies", "data", "detectors", "priors", "regressors", "evaluation", "losses", "fitting", "training",
    "adapting", "recording", "export", "synthetic", "checking", "reports", "commands", "cli", "__main__",
)  # fmt: skip
"""Rooms of `adaptation`, the lowest first. A room imports from lower ones."""
LINES, FILES, FUNCTION_LINES, PARAMETERS = 400, 14, 60, 8
NATIVE = (".cpp", ".h", ".cu", ".cuh")
TREES = ("adaptation", "topokernels", "tests", "benchmarks", "tools")
# Their parameters are the options that users see.
PROGRAMS = {("benchmarks/evidence/program.py", "main")}
# The operators of published papers, what implements them, and what they are compared with.
OPERATORS = {
    ("topokernels/chamfer.py", "chamfer"),
    ("topokernels/m2s.py", "m2s"),
    ("topokernels/m2s.py", "_m2s"),
    ("topokernels/reference.py", "chamfer"),
    ("topokernels/reference.py", "m2s"),
}


@dataclass(frozen=True)
class Import:
    """One imported module of `adaptation`, and whether it is imported when the importing module is."""

    file: str
    line: int
    module: str
    at_import: bool


def python_files(*trees: str) -> list[Path]:
    return [path for tree in trees for path in sorted((ROOT / tree).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@lru_cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@lru_cache
def modules() -> dict[str, Path]:
    return {module_of(path): path for path in python_files("adaptation")}


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Modules of `adaptation` that a statement imports, and not the names in them."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        assert node.level == 0, "relative imports hide which room is meant"
        parts = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [part if part in modules() else str(node.module) for part in parts]
    yield from (name for name in names if name.split(".")[0] == "adaptation")


def imports_of(path: Path) -> Iterator[Import]:
    """All imports of a file: also those in functions and those for type checkers alone."""

    def visit(node: ast.AST, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for module in imported(child):
                    yield Import(name_of(path), child.lineno, module, at_import)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for part in child.body:
                    yield from visit(ast.Module([part], []), False)
                for part in child.orelse:
                    yield from visit(ast.Module([part], []), at_import)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from visit(child, at_import and not inside)

    yield from visit(parsed(path), True)


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    yield from (node for node in ast.walk(parsed(path)) if isinstance(node, Function))


def length_of(function: Function, *, signature: bool = True) -> int:
    """Lines of a function without its decorators and its docstring, and without its signature where asked to."""
    first, end = function.body[0], function.end_lineno
    assert first.end_lineno is not None and end is not None
    lines = end - (function.lineno if signature else first.lineno) + 1
    return lines - (first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0)


def parameters_of(function: Function) -> int:
    """Parameters that a caller has to know: all but self and cls."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    count = len(named) + (given.vararg is not None) + (given.kwarg is not None)
    return count - (bool(named) and named[0].arg in ("self", "cls"))


def report(broken: list[str]) -> None:
    assert not broken, "\n" + "\n".join(broken)


def test_every_room_has_a_floor() -> None:
    rooms = {room for module in modules() if (room := room_of(module)) is not None}
    assert rooms == set(FLOORS)


def test_imports_go_down() -> None:
    floor = {room: number for number, room in enumerate(FLOORS)}
    report(
        [
            f"{each.file}:{each.line}: imports {each.module}, which is above {room_of(module_of(path))}"
            for path in python_files("adaptation")
            if room_of(module_of(path)) is not None
            for each in imports_of(path)
            if floor[room_of(each.module) or "cli"] > floor[room_of(module_of(path)) or "cli"]
        ]
    )


def test_operators_do_not_need_the_system() -> None:
    report(
        [
            f"{each.file}:{each.line}: imports {each.module}"
            for path in python_files("topokernels")
            for each in imports_of(path)
        ]
    )


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {
        module: sorted({each.module for each in imports_of(path) if each.at_import} - {module})
        for module, path in modules().items()
    }
    done: set[str] = set()
    circles: list[str] = []

    def visit(module: str, above: tuple[str, ...]) -> None:
        if module in above:
            circles.append(" -> ".join([*above[above.index(module) :], module]))
            return
        if module in done:
            return
        for other in graph.get(module, ()):
            visit(other, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())
    report(circles)


def test_files_are_short() -> None:
    native = [path for tree in ("csrc", "tests") for path in (ROOT / tree).rglob("*") if path.suffix in NATIVE]
    files = [*python_files(*TREES), *sorted(native)]
    assert len(native) > 10 and len(files) > 100
    counted = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in files}
    report([f"{name}: {lines} lines, more than {LINES}" for name, lines in counted.items() if lines > LINES])


def test_folders_hold_few_files() -> None:
    folders = [
        path for path in sorted((ROOT / "adaptation").rglob("*")) if path.is_dir() and path.name != "__pycache__"
    ]
    assert len(folders) >= len(FLOORS) - 1
    counted = {name_of(path): sum(file.is_file() for file in path.iterdir()) for path in folders}
    report([f"{name}: {files} files, more than {FILES}" for name, files in counted.items() if files > FILES])


def test_functions_are_short() -> None:
    # The signature of a program lists its options with their help.
    programs = PROGRAMS | commands()
    counted = [
        (path, function, length_of(function, signature=(name_of(path), function.name) not in programs))
        for path in python_files(*TREES)
        for function in functions(path)
    ]
    report(
        [
            f"{name_of(path)}:{function.lineno}: {function.name} has {lines} lines, more than {FUNCTION_LINES}"
            for path, function, lines in counted
            if lines > FUNCTION_LINES
        ]
    )


def test_functions_have_few_parameters() -> None:
    allowed = PROGRAMS | OPERATORS | commands()
    report(
        [
            f"{name_of(path)}:{function.lineno}: {function.name} has {parameters_of(function)} parameters, "
            f"more than {PARAMETERS}"
            for path in python_files(*TREES)
            for function in functions(path)
            if parameters_of(function) > PARAMETERS and (name_of(path), function.name) not in allowed
        ]
    )


def commands() -> set[tuple[str, str]]:
    """File and name of the functions in `adaptation.cli.COMMANDS`, whose parameters are options."""
    tree = parsed(ROOT / "adaptation" / "cli.py")
    (listed,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS"
    )
    assert isinstance(listed, ast.Tuple)
    registered = {ast.unparse(name) for name in listed.elts}
    places = {
        alias.asname or alias.name: (f"{node.module.replace('.', '/')}.py", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return {places[name] for name in registered}


def test_commands_are_found() -> None:
    found = commands()
    assert ("adaptation/commands/networks/adapt.py", "adapt") in found
    assert {file for file, _ in found} <= {name_of(path) for path in python_files("adaptation/commands")}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import adaptation.cli", [("adaptation.cli", True)]),
        ("from adaptation.bodies import camera", [("adaptation.bodies.camera", True)]),
        ("from adaptation.bodies.camera import project", [("adaptation.bodies.camera", True)]),
        ("def f():\n    from adaptation.cli import app", [("adaptation.cli", False)]),
        ("if TYPE_CHECKING:\n    from adaptation.cli import app", [("adaptation.cli", False)]),
        ("class C:\n    from adaptation.cli import app", [("adaptation.cli", True)]),
        ("try:\n    import adaptation.cli\nexcept ImportError:\n    import torch", [("adaptation.cli", True)]),
    ],
)
def test_imports_are_found_wherever_they_are(
    code: str, expected: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.parsed", lambda _path: ast.parse(code))
    assert [(each.module, each.at_import) for each in imports_of(ROOT / "a.py")] == expected


def test_lines_and_parameters_are_counted() -> None:
    code = inspect.cleandoc(
        '''
        class C:
            def method(self, a, *rest, b=1, **named):
                """One line.

                Another.
                """
                x = a

                return x
        '''
    )
    (method,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, Function))
    assert length_of(method) == 4 and parameters_of(method) == 4
    assert length_of(method, signature=False) == 3
