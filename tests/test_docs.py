"""What the documentation names is there, and each setting is explained once."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r'\]\(([^)\s]+)\)|src="([^"]+)"')
_PATH = re.compile(r"`((?:postbacks|apps_registry|tests|static|templates)/[\w/.-]*)`")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_SETTING = re.compile(r"environment\.(?:text|parsed|required)\(\s*\"([A-Z_]+)\"")
# Set by our own commands for the processes that they start.
_INTERNAL = {"SUPERVISOR_PID", "WORKER_NAME"}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [one or other for one, other in _LINK.findall(page.read_text())]

    for target in targets:
        if target.startswith(("http://", "https://")):
            continue
        name, _, fragment = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if fragment:
            anchors = {_anchor(heading) for heading in _HEADING.findall(path.read_text())}
            assert fragment in anchors, f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_named_path_exists(page: Path) -> None:
    for path in _PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_each_setting_is_explained_once() -> None:
    code = "".join(
        path.read_text()
        for path in [
            *(ROOT / "postbacks").glob("*.py"),
            *(ROOT / "postbacks" / "infrastructure").rglob("*.py"),
            *(ROOT / "postbacks" / "management").rglob("*.py"),
        ]
    )
    rows = [
        line.split("|")[1]
        for line in (ROOT / "docs" / "settings.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    explained = Counter(name for row in rows for name in re.findall(r"`([A-Z_]+)`", row))
    prose = (ROOT / "docs" / "settings.md").read_text()

    for name in set(_SETTING.findall(code)) - _INTERNAL:
        assert explained[name] == 1 or (not explained[name] and f"`{name}`" in prose), name


def _texts_for_people(module: Path) -> Iterator[tuple[int, str]]:
    """Yield a module's texts of several words, with their lines: neither SQL nor docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_sql = re.search(
                r"%\(\w+\)s|\b(?:SELECT|UPDATE|WHERE|FROM|ORDER BY|RETURNING)\b", node.value
            )
            if " " in node.value.strip() and not is_sql and id(node) not in docstrings:
                yield node.lineno, node.value


def test_refusals_warnings_and_labels_write_id_in_capitals() -> None:
    word = re.compile(r"(?<![\w`/.{\[“\"'?&=<-])[Ii]ds?(?![\w`/:”\"'>=-])")
    modules = [
        module
        for package in ("postbacks", "apps_registry")
        for module in sorted((ROOT / package).rglob("*.py"))
        if not {"migrations", "models", "demo"} & set(module.parts)  # nobody reads their texts
    ]

    wrong = [
        f"{module.relative_to(ROOT)}:{line}: {text}"
        for module in modules
        for line, text in _texts_for_people(module)
        if word.search(text)
    ]

    assert wrong == []
