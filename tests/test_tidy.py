"""The house rules that no linter knows, executed: sizes, docstrings, names, dead modules, the map.

Every rule reads the tree as git sees it (tracked or not, never what .gitignore hides) and names all
offenders at once. An exception stands in EXCEPTIONS beside its reason, and an entry that nothing
needs any more fails too. Generated code (podium/conductor, podium/v1) is judged by its generator.
"""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

pytestmark = pytest.mark.timeout(180)  # it reads the whole tree, on a machine that may be busy
ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = ("server/", "workers/python/")
GENERATED = ("server/podium/conductor/", "server/podium/v1/")

COLUMNS_MAX = 100
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50

# Names that say nothing about the one job of a module.
EMPTY_NAMES = frozenset(
    {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)
# In brackets, so that this file keeps its own rule.
LEFTOVERS = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")

# Modules that something outside Python's imports starts.
ENTRY_POINTS = {
    "podium.cli.main": "the script `podium` of pyproject.toml",
    "podium.sandbox.child": "the program that sandbox/process.py starts",
    "podium_worker": "the SDK's public face",
}

# (rule, place) -> why this one may break the rule.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("dead module", "server/podium/store/faulty.py"): "a shipped double: the simulation runs on it",
    ("file lines", "server/podium/store/port.py"): "one contract, read as a whole",
    ("file lines", "tests/engine/test_operators.py"): "one table per operator, read by operator",
}

MAP_MARK = "<!-- folder map -->"


def test_lines_fit_the_columns() -> None:
    judge(
        "columns",
        {
            f"{path}:{number}": f"expected <= {COLUMNS_MAX} columns, found {len(line)}"
            for path in python_files()
            for number, line in enumerate(text(path).splitlines(), 1)
            if len(line) > COLUMNS_MAX
        },
    )


def test_files_are_short() -> None:
    judge(
        "file lines",
        {
            path: f"expected <= {FILE_LINES_MAX} lines, found {count}"
            for path in python_files()
            if (count := len(text(path).splitlines())) > FILE_LINES_MAX
        },
    )


def test_functions_are_short() -> None:
    judge(
        "function lines",
        {
            f"{path}:{node.name}": f"expected <= {FUNCTION_LINES_MAX} lines, found {count}"
            for path in python_files()
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (count := lines_without_docstring(node)) > FUNCTION_LINES_MAX
        },
    )


def test_every_module_says_what_it_is_for() -> None:
    judge(
        "docstring",
        {
            path: "expected a module docstring, found none"
            for path in python_files()
            if not (ast.get_docstring(tree(path)) or "").strip()
        },
    )


def test_no_note_is_left_over() -> None:
    judge(
        "note",
        {
            f"{path}:{number}": f"expected no leftover note, found {found[0]}"
            for path in tree_files()
            if path.endswith((".py", ".proto", ".toml", ".md", "Makefile", ".ci/run"))
            and not path.startswith(GENERATED)
            for number, line in enumerate(text(path).splitlines(), 1)
            if (found := LEFTOVERS.search(line))
        },
    )


def test_names_say_the_one_job() -> None:
    judge(
        "name",
        {
            path: f"expected a name for one job, found {sorted(empty)}"
            for path in python_files()
            if (empty := EMPTY_NAMES.intersection(PurePosixPath(path).with_suffix("").parts))
        },
    )


def test_no_module_is_dead() -> None:
    modules = {name_of(path): path for path in product_files()}
    wanted = set(ENTRY_POINTS)
    for path in [*product_files(), *generated_files()]:
        wanted |= names_used_by(path, frozenset(modules) - {name_of(path)})
    judge(
        "dead module",
        {
            path: f"expected an importer of {name} outside the tests, found none"
            for name, path in modules.items()
            if not path.endswith("__main__.py") and not is_reached(name, wanted)
        },
    )


def test_readme_maps_the_real_tree() -> None:
    assert "README.md" in tree_files(), "expected README.md with the folder map, found no README.md"
    listed = folder_map(text("README.md"))
    real = real_folders()
    files = set(tree_files())
    problems = {
        path: "listed, but not in the tree"
        for path in listed
        if path.rstrip("/") not in (real if path.endswith("/") else files)
    }
    mapped = {str(parent) for path in listed for parent in PurePosixPath(path).parents}
    shown = mapped | {path.rstrip("/") for path in listed}
    for folder in real:
        parent = str(PurePosixPath(folder).parent)
        hidden = PurePosixPath(folder).name.startswith(".")
        if parent in mapped and folder not in shown and not hidden:
            problems[f"{folder}/"] = f"in the tree, but not listed under {parent}"
    judge("folder map", problems)


def judge(rule: str, offenders: dict[str, str]) -> None:
    """Fail on each offender without an exception, and on each exception without an offender."""
    excused = {place for known, place in EXCEPTIONS if known == rule}
    lines = [f"{place}: {what}" for place, what in offenders.items() if place not in excused]
    lines += [f"{place}: listed in EXCEPTIONS, needed no more" for place in excused - {*offenders}]
    if lines:
        pytest.fail(f"rule '{rule}'\n" + "\n".join(sorted(lines)), pytrace=False)


@cache
def tree_files() -> tuple[str, ...]:
    """All files that git tracks or would track, as paths from the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = sorted({path for path in listing.stdout.split("\0") if path})
    return tuple(path for path in paths if (ROOT / path).is_file())


def python_files() -> list[str]:
    """Hand-written Python: product, tests, and the generator beside the protos."""
    roots = (*SOURCE_ROOTS, "tests/", "protos/")
    return [
        path
        for path in tree_files()
        if path.endswith(".py") and path.startswith(roots) and not path.startswith(GENERATED)
    ]


def product_files() -> list[str]:
    """Hand-written Python of the distribution."""
    return [path for path in python_files() if path.startswith(SOURCE_ROOTS)]


def generated_files() -> list[str]:
    """Generated Python of the distribution: it may import, and is not judged."""
    return [path for path in tree_files() if path.startswith(GENERATED) and path.endswith(".py")]


@cache
def text(path: str) -> str:
    """The file as text."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: str) -> ast.Module:
    """The file as a syntax tree."""
    return ast.parse(text(path), filename=path)


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end; the docstring is free."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def name_of(path: str) -> str:
    """The dotted name: server/podium/store/__init__.py is podium.store."""
    for root in SOURCE_ROOTS:
        path = path.removeprefix(root)
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def names_used_by(path: str, modules: frozenset[str]) -> set[str]:
    """The modules that a file imports, or names in full in a string (to start or load them)."""
    used: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                used |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(origin), names=names):
                used |= {origin, *(f"{origin}.{alias.name}" for alias in names)}
            case ast.Constant(value=str(value)):
                used.add(value)
            case _:
                pass
    return used & modules


def is_reached(name: str, wanted: set[str]) -> bool:
    """Whether the module is wanted itself, or is the package around one that is."""
    return name in wanted or any(other.startswith(f"{name}.") for other in wanted)


def real_folders() -> set[str]:
    """All folders that hold a file, from the root."""
    return {
        str(parent)
        for path in tree_files()
        for parent in PurePosixPath(path).parents
        if str(parent) != "."
    }


def folder_map(readme: str) -> list[str]:
    """The paths of README's map; folders end in a slash.

    Form: the mark on a line of its own, then a fenced block; one line per entry, children indented,
    the names first (several are divided by spaces or commas), two spaces, the description.
    """
    expected = f"README.md: expected the line {MAP_MARK} and a fenced block after it, found none"
    block = re.search(re.escape(MAP_MARK) + r"\s*\n```[^\n]*\n(.*?)\n```", readme, re.DOTALL)
    assert block, expected
    paths: list[str] = []
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, block[1].splitlines()):
        entry = line.lstrip("│├└─ ")
        indent = len(line) - len(entry)
        above = [(depth, path) for depth, path in above if depth < indent]
        base = above[-1][1] if above else ""
        names = re.split(r"[\s,]+", re.split(r"\s{2,}", entry.strip())[0])
        paths += [f"{base}{name}" for name in names]
        if names[-1].endswith("/"):
            above.append((indent, f"{base}{names[-1]}"))
    return paths
