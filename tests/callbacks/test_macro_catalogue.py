"""The catalogue is complete, and says of each macro what a marketer needs to know."""

import pytest

from postbacks.callbacks.macros import CATALOGUE, Macro, RequestTemplate, compile_request
from postbacks.callbacks.macros.entries import ENTRIES
from postbacks.callbacks.macros.sources import SOURCES


@pytest.mark.parametrize("macro", CATALOGUE.values(), ids=lambda it: it.name)
def test_every_macro_is_explained_and_can_be_used(macro: Macro) -> None:
    assert macro.description
    assert macro.example
    assert macro.group
    template = RequestTemplate("GET", "https://a.com/?x={{" + macro.name + "}}")
    assert compile_request(template).macros == {macro.name}


def test_names_are_there_once() -> None:
    assert len(ENTRIES) == len(CATALOGUE)


def test_every_macro_has_a_source_and_nothing_else_has() -> None:
    assert set(SOURCES) == set(CATALOGUE)


@pytest.mark.parametrize(
    "name", ["idfa", "gaid", "advertising_id", "ip_address", "user_agent", "customer_user_id"]
)
def test_what_identifies_a_person_is_marked(name: str) -> None:
    assert CATALOGUE[name].personal
