"""What the site has beside docs/: README.md, other files that the pages link to, and the reference.

A hook of mkdocs, see mkdocs.yml.  The pages are written for the repository, where their links lead
from file to file; here these become links of the site.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
# Where a page of the site lies in the repository, if not at docs/ and its own name.
ELSEWHERE = re.compile(r"CHANGELOG\.md|CONTRIBUTING\.md|src/.+")
# What the reference has: the modules of each of its pages, and names where not all are for users.
REFERENCE: dict[str, dict[str, list[str]]] = {
    "danet": {
        "danet": ["Denoiser", "NoiseGenerator", "show"],
        "danet.pretrained": ["ExportedDenoiser"],
        "danet.errors": [
            "DanetError",
            "ConfigError",
            "DataError",
            "ImageError",
            "WeightsError",
            "DanetWarning",
        ],
    },
    "augment": {f"danet.augment{name}": [] for name in ("", ".torchvision", ".albumentations")},
    "bench": {"danet.bench": []},
    "data": {"danet.data": []},
    "images": {"danet.images": []},
    "inference": {
        f"danet.inference.{name}": [] for name in ("engine", "ensemble", "export", "tiling")
    }
    | {"danet.inference.settings": ["EngineSettings"]},
    "metrics": {"danet.metrics": [], "danet.metrics.classes": []},
    "networks": {"danet.networks": []},
    "noise": {"danet.noise": []},
    "pages": {"danet.pages": []},
    "train": {"danet.train": []},
    "video": {"danet.video": []},
    "scale": {"danet.scale": []},
    "weights": {"danet.weights": []},
}


class Examples(griffe.Extension):
    """Takes the doctests under "Example:" for code, as griffe does under "Examples:" alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of every object that has a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M
            )


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from elsewhere, and every file that a page links to."""
    cards = ROOT.glob("src/danet/weights_data/*/README.md")
    for path in (ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *cards):
        _add(files, config, path.relative_to(ROOT).as_posix(), path)
    _add(files, config, "index.md", ROOT / "README.md")
    for page, modules in REFERENCE.items():
        content = "".join(_section(module, names) for module, names in modules.items())
        files.append(File.generated(config, f"reference/{page}.md", content=content))
    for page in list(files.documentation_pages()):
        for target in LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, target)
            site = _in_site(path)
            if files.get_file_from_path(site) is None and (ROOT / path).is_file():
                _add(files, config, site, ROOT / path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead the links of a page to where the site has their targets."""
    here = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        site = _in_site(_in_repository(page.file.src_uri, match[1]))
        return posixpath.relpath(site, here or ".")

    return LINK.sub(moved, markdown)


def _add(files: Files, config: Any, uri: str, path: Path) -> None:
    files.append(File.generated(config, uri, abs_src_path=str(path)))


def _in_repository(page: str, target: str) -> str:
    if page == "index.md":
        source = "README.md"
    else:
        source = page if ELSEWHERE.fullmatch(page) else f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _in_site(path: str) -> str:
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def _section(module: str, names: list[str]) -> str:
    """A heading, and the names of a module, by default those of its ``__all__``."""
    path = ROOT / "src" / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {
        ast.unparse(target): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    entries = [f"::: {module}.{name}" for name in names or ast.literal_eval(assigned["__all__"])]
    return "\n\n".join(
        [f"# {module}", (ast.get_docstring(tree) or "").split("\n")[0], *entries, ""]
    )
