"""What a stranger can try with the API: its own description says what each address takes."""

import itertools
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import models
from django.utils.text import slugify
from drf_spectacular.generators import SchemaGenerator

from tests.isolation.calls import Call
from tests.isolation.routes import Route
from tests.isolation.story import MARKER, Story
from tests.isolation.visitors import Visitor

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SAMPLES: Mapping[str, object] = {
    "url": "https://ads.example.com/{{event_name}}?k={{credential.api_key}}",
    "identifier": "com.example.probe",
    "event_name": "purchase",
}
_NUMBERS: Mapping[str, object] = {"number": 1}  # of a rule's version: every rule has a first
_numbers = itertools.count(1)


class Description:
    """The OpenAPI document, asked for what a path's method takes."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)

    def questions(self, path: str) -> list[str]:
        """Return the names of a list's query parameters."""
        operation = self._document["paths"].get(path, {}).get("get", {})
        return [item["name"] for item in operation.get("parameters", []) if item["in"] == "query"]

    def body(self, method: str, path: str) -> dict[str, dict[str, Any]]:
        """Return the fields that a body may hold, by name; none if there is no body."""
        operation = self._document["paths"].get(path, {}).get(method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        schema = schema["oneOf"][0] if "oneOf" in schema else schema
        fields: dict[str, dict[str, Any]] = self._resolved(schema).get("properties", {})
        return {name: field for name, field in fields.items() if not field.get("readOnly")}

    def required(self, method: str, path: str) -> set[str]:
        """Return the names of the fields that a body must hold."""
        operation = self._document["paths"][path][method.lower()]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        schema = schema["oneOf"][0] if "oneOf" in schema else schema
        return set(self._resolved(schema).get("required", ()))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        resolved: dict[str, Any] = self._document["components"]["schemas"][name] if name else schema
        return resolved


def api_calls(
    route: Route, victim: Story, visitor: Visitor, description: Description
) -> Iterator[Call]:
    """Yield calls of one route with the victim's ids in address, query and body.

    As in the admin, only a thorough visitor asks a list for more than all its rows.
    """
    documented = re.sub(r"%\((\w+)\)s", r"{\1}", route.template)
    stranger = visitor.story
    for path in _paths(route, victim):
        for method in _METHODS:
            yield Call(method, path, json=_body(method, documented, victim, description))
    if not route.parameters:
        yield Call("GET", route.template, accept="text/csv")
    for path in _paths(route, stranger) if route.parameters else ():
        for method in ("PUT", "PATCH"):
            yield Call(method, path, json=_body(method, documented, victim, description))
    for name in description.questions(documented) if visitor.is_thorough else ():
        yield from _asked(name, {*_paths(route, victim), *_paths(route, stranger)}, victim)


def _asked(name: str, paths: Iterable[str], victim: Story) -> Iterator[Call]:
    for path, value in itertools.product(paths, _answers(name, victim)):
        for accept in ("application/json", "text/csv"):
            yield Call("GET", path, query={name: value}, accept=accept)


def _paths(route: Route, story: Story) -> list[str]:
    if not route.parameters:
        return [route.template]
    (parameter,) = set(route.parameters) - _NUMBERS.keys()
    return [route.template % {**_NUMBERS, parameter: row_id} for row_id in _ids_for(route, story)]


def _ids_for(route: Route, story: Story) -> list[uuid.UUID]:
    """Return the ids of the resource that the address names, or all; one where no page is."""
    segments = set(route.template.split("/"))
    for model, ids in story.uuids.items():
        if segments & _segments(model):
            return ids
    every_id = [key for ids in story.uuids.values() for key in ids]
    return every_id[:1] if "address" in route.parameters else every_id


def _segments(model: type[models.Model]) -> set[str]:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", model.__name__).lower()
    return {slugify(model._meta.verbose_name_plural), f"{words}s"}


def _named(story: Story) -> dict[str, uuid.UUID]:
    """Return one id per way in which the API names a thing of the tenant."""
    named = {str(model._meta.model_name): ids[0] for model, ids in story.uuids.items()}
    return {**named, "rule": named["callbackrule"], "event_id": named["event"]}


def _answers(name: str, victim: Story) -> list[object]:
    named = _named(victim)
    return [named[name]] if name in named else [MARKER[:-1], "archived", "2020-01-01T00:00:00Z"]


def _body(method: str, path: str, victim: Story, description: Description) -> dict[str, object]:
    fields = description.body(method, path)
    if not fields:
        return {}
    names = description.required(method, path) | (fields.keys() & _named(victim).keys())
    return {name: _value(name, fields.get(name, {}), victim) for name in sorted(names)}


def _value(name: str, field: dict[str, Any], victim: Story) -> object:
    named = _named(victim)
    if name in named:
        return str(named[name])
    if name in _SAMPLES:
        return _SAMPLES[name]
    return field["enum"][0] if field.get("enum") else f"probe {next(_numbers)}"
