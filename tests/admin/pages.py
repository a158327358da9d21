"""A browser of the admin for tests: signed in, and quick at filling forms in."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.test import Client

from apps_registry.models import User


def sign_in(user: User) -> Client:
    """Return a client whose session is this person's."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def filled_form(html: str) -> dict[str, Any]:
    """Return what the page's main form would send as it stands."""
    reader = _FormReader()
    reader.feed(html)
    return reader.values


def submit(client: Client, path: str, changes: Mapping[str, object]) -> HttpResponse:
    """Open a page, change some of its fields and send it."""
    form = filled_form(client.get(path).content.decode())
    return client.post(path, {**form, **changes})


class _FormReader(HTMLParser):
    """Reads the inputs, selects and textareas of the form that ends in `_form`."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._inside = False
        self._select = ""
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = (
                attributes.get("id", "").endswith("_form") and "logout" not in attributes["id"]
            )
        if not self._inside or "__prefix__" in attributes.get("name", ""):
            return
        if tag == "input" and attributes.get("name"):
            self._read_input(attributes)
        elif tag == "select":
            self._select = attributes.get("name", "")
        elif tag == "option" and self._select and ("selected", "") in attributes.items():
            self.values[self._select] = attributes.get("value", "")
        elif tag == "textarea":
            self._text = attributes["name"]
            self.values[self._text] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.values[self._text] += data.removeprefix("\n")

    def _read_input(self, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text")
        if kind == "submit" or (kind == "checkbox" and "checked" not in attributes):
            return
        value = attributes.get("value", "on" if kind == "checkbox" else "")
        if kind == "checkbox" and attributes["name"] in self.values:  # one of several of this name
            value = [*_as_list(self.values[attributes["name"]]), value]
        self.values[attributes["name"]] = value


def _as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
