"""Every statement that stands in a file of its own is one that PostgreSQL accepts."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from django.db import connection, transaction

import postbacks
from postbacks.infrastructure.database import prepared
from postbacks.models import RuleStatus

_ROOT = Path(postbacks.__file__).parent
# The scripts of a generated load work on tables that only its session has: its own tests run them.
FILES = sorted(
    str(path.relative_to(_ROOT))
    for path in _ROOT.rglob("sql/*.sql")
    if path.parents[1].name != "generated_load"
)
_PARAMETER = re.compile(r"%\((\w+)\)s")


@pytest.fixture(scope="module")
def loaded() -> dict[str, str]:
    """Return the text of each file as a module of ours loads it."""
    texts: dict[str, str] = {}
    for module in pkgutil.walk_packages(postbacks.__path__, "postbacks."):
        if module.name.startswith(("postbacks.migrations", "postbacks.wsgi", "postbacks.settings")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, str) and value.startswith("-- ") and name.isupper():
                texts[value.splitlines()[0]] = value
    return texts


@pytest.mark.parametrize("path", FILES)
@pytest.mark.django_db
def test_a_statement_says_what_it_does_and_can_be_prepared(
    path: str, loaded: dict[str, str]
) -> None:
    first_line = (_ROOT / path).read_text(encoding="utf-8").splitlines()[0]

    assert first_line.startswith("-- "), "the first line says what the statement does"
    assert first_line in loaded, "no module loads it into a constant"
    statement, numbers = loaded[first_line], dict[str, str]()

    def numbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[1], f"${len(numbers) + 1}")

    text = _PARAMETER.sub(numbered, statement).replace("%%", "%")
    with transaction.atomic(), connection.connection.cursor() as cursor:
        cursor.execute(f"PREPARE checked AS {text}")
        cursor.execute("DEALLOCATE checked")


def test_a_word_that_no_enum_holds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no enum holds PostbackStatus\.PENDING"):
        prepared.load_sql("postbacks.delivery", "enqueue_postbacks", RuleStatus)
