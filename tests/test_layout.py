"""The floors of the package: imports run downward only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "danet"
FLOORS = {
    name: floor
    for floor, names in enumerate(
        [
            "arrays errors lazy",
            "files devices filters rules",
            "networks images",
            "noise data inference weights",
            "metrics pretrained",
            "augment bench pages scale train video",
            "demo",
            "cli __init__",
            "__main__",
        ]
    )
    for name in names.split()
}
# The package itself brings only this; its other names are those of the modules they come from.
ROOT_NAMES = {"__version__"}
RE_EXPORTS = {
    "DanetError": "errors",
    "Denoiser": "pretrained",
    "NoiseGenerator": "pretrained",
    "show": "pages",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def module_of(path: Path) -> str:
    """The module or subpackage of danet, one level deep, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """The modules of danet that a source names, one level deep, wherever it imports them."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (
                    name.name.split(".")[1] for name in names if name.name.startswith("danet.")
                )
            case ast.ImportFrom(level=level) if level > 0:
                raise ValueError("relative imports hide the floor: write them out")
            case ast.ImportFrom(module="danet", names=names):
                yield from (name.name for name in names if name.name not in ROOT_NAMES)
            case ast.ImportFrom(module=str(module)) if module.startswith("danet."):
                yield module.split(".")[1]
            case ast.Attribute(value=ast.Name(id="danet"), attr=name) if name not in ROOT_NAMES:
                yield name


def upward_imports(module: str, source: str) -> list[str]:
    """The imports of a source in ``module`` that neither it nor a lower floor has."""
    floor = FLOORS[module]
    found = (RE_EXPORTS.get(name, name) for name in imported(source))
    return [name for name in found if FLOORS[name] >= floor and name != module]


def inner_imports(package: str, source: str) -> Iterator[str]:
    """The modules of a package that a source in it imports; ``__init__`` is the package itself."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.module == f"danet.{package}":
            yield from (name.name for name in node.names)
        elif (node.module or "").startswith(f"danet.{package}."):
            yield str(node.module).split(".")[2]


def order(sources: Mapping[str, str], package: str) -> list[str]:
    """The modules of a package, by name, each after those that it imports.

    Raises:
        CycleError: some import each other.
    """
    graph = {
        name: {part if part in sources else "__init__" for part in inner_imports(package, source)}
        for name, source in sources.items()
    }
    return list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    assert upward_imports(module_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_within_a_package(package: str) -> None:
    files = (PACKAGE / package).glob("*.py")
    order({path.stem: path.read_text(encoding="utf-8") for path in files}, package)


def test_a_circle_is_found() -> None:
    face, late = "from danet.noise.a import x", "def late():\n    from danet.noise import x"
    assert order({"__init__": face, "a": ""}, "noise") == ["a", "__init__"]
    with pytest.raises(CycleError):
        order({"__init__": face, "a": late}, "noise")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_names_are_listed(path: Path) -> None:
    if path.name == "__main__.py":
        return
    targets = [
        target.id
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in targets


@pytest.mark.parametrize(
    "source",
    [
        "from danet.train import train",
        "from danet import train",
        "from danet import Denoiser",
        "import danet.train.loop",
        "import danet\n\ndanet.train.train",
        "def late():\n    from danet.pretrained import Denoiser",
        "from danet.pretrained import NoiseGenerator",
        "if TYPE_CHECKING:\n    from danet.bench import evaluate",
    ],
)
def test_an_upward_import_is_found(source: str) -> None:
    assert len(upward_imports("metrics", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import danet",
        "from danet import __version__",
        "from danet import images, noise",
        "from danet.errors import DanetError",
        "import torch\nfrom numpy import danet",
    ],
)
def test_a_downward_import_is_allowed(source: str) -> None:
    assert upward_imports("metrics", source) == []


def test_a_module_in_no_floor_is_an_error() -> None:
    with pytest.raises(KeyError, match="attic"):
        upward_imports("attic", "")
    with pytest.raises(KeyError, match="attic"):
        upward_imports("metrics", "from danet.attic import images")


def test_the_map_names_every_file_with_its_first_line() -> None:
    page = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    expected = {}
    for path in MODULES:
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        expected[path.relative_to(PACKAGE).as_posix()] = about.split("\n")[0]
    floor = -1
    found = {}
    for line in page.splitlines():
        if heading := re.match(r"## (\d)\.", line):
            floor = int(heading[1])
        elif entry := re.match(r"- `(.+?\.py)`: (.+)", line):
            found[entry[1]] = entry[2]
            assert FLOORS[module_of(PACKAGE / entry[1])] == floor
    assert found == expected
