"""What a stranger can try in the admin with the ids of somebody else's rows."""

from collections.abc import Iterator, Mapping, Sequence

from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test import Client

from apps_registry.models import Organization
from tests.admin.pages import filled_form
from tests.isolation.calls import Call
from tests.isolation.routes import Route
from tests.isolation.story import MARKER, Story
from tests.isolation.visitors import Visitor

_PART_OF_MARKER = MARKER[:-1]  # a page repeats what was searched for, so never the whole of it
_VALUES: Mapping[str, Sequence[object]] = {
    "app_label": ["apps_registry", "postbacks", "auth", "django_q"],
    "url": ["nothing"],
}


def admin_calls(route: Route, victim: Story, visitor: Visitor, browser: Client) -> Iterator[Call]:
    """Yield calls of one route, with every id of the victim that fits into it.

    What a list can be asked is no matter of roles, nor of policies, which act on a table whatever
    is asked: only a thorough visitor asks.
    """
    model = _model_of(route)
    for path in _paths(route, model, victim):
        yield Call("GET", path)
        yield Call("POST", path, form={"post": "yes", **_form(model, victim, {})})
    if model is None:
        yield from _autocomplete(route) if visitor.is_thorough else ()
    elif route.template.endswith("/add/"):
        yield from _add(route, model, victim, browser)
    elif _is_list(route):
        yield from _act(route, model, victim)
        if visitor.is_thorough:
            yield from _questions(route, model, victim)
        if visitor.is_thorough and _is_for_questions(route, model):
            yield from _other_ids(route, model, victim)
            yield from _columns(route, model)
    elif route.template.endswith("/change/"):
        yield from _change_own(route, model, victim, visitor.story, browser)


def _model_of(route: Route) -> type[models.Model] | None:
    """Return the model whose page this is, as the address says: /admin/package/model/…"""
    for model in admin.site._registry:
        if route.template.startswith(f"/admin/{model._meta.label_lower.replace('.', '/')}/"):
            return model
    return None


def _paths(route: Route, model: type[models.Model] | None, victim: Story) -> Iterator[str]:
    if "content_type_id" in route.parameters:
        for kind, keys in victim.keys.items():
            content_type = ContentType.objects.get_for_model(kind).pk
            for key in keys:
                yield route.template % {"content_type_id": content_type, "object_id": key}
        return
    if not route.parameters:
        yield route.template
        return
    (parameter,) = set(route.parameters)
    others = _VALUES.get(parameter, victim.uuids[Organization])
    values: Sequence[object] = victim.keys[model] if model else others
    for value in values:
        yield route.template % {parameter: value}


def _is_list(route: Route) -> bool:
    """Tell whether a page answers a list's questions: the list itself, or its export."""
    segments = route.template.removeprefix("/admin/").strip("/").split("/")
    return segments[2:] in ([], ["export"]) and not route.parameters


def _is_for_questions(route: Route, model: type[models.Model]) -> bool:
    """Tell whether to ask everything here: an export reads its list's rows, and is quicker."""
    has_export = hasattr(admin.site._registry[model], "export_view")
    return route.template.endswith("/export/") == has_export


def _act(route: Route, model: type[models.Model], victim: Story) -> Iterator[Call]:
    for action in _actions(model):
        chosen = {"action": action, "_selected_action": victim.keys[model]}
        sure = {"post": "yes", "confirmed": "yes"}
        yield Call("POST", route.template, form={**chosen, "index": "0"})
        yield Call("POST", route.template, form={**chosen, **sure})


def _questions(route: Route, model: type[models.Model], victim: Story) -> Iterator[Call]:
    questions: list[dict[str, object]] = [{"id__exact": key} for key in victim.keys[model]]
    questions += [{f"{name}__exact": key} for name, key in _foreign_keys(model, victim).items()]
    questions += [{"q": word} for word in (_PART_OF_MARKER, *victim.uuids.get(model, []))]
    questions += [{"_facets": "True"}, {"all": ""}, {"_popup": "1"}, {"e": "1"}]
    yield from (Call("GET", route.template, query=question) for question in questions)


def _other_ids(route: Route, model: type[models.Model], victim: Story) -> Iterator[Call]:
    for other, ids in victim.uuids.items():
        if other is not model:
            yield from (Call("GET", route.template, query={"q": key}) for key in ids)


def _columns(route: Route, model: type[models.Model]) -> Iterator[Call]:
    for field in model._meta.concrete_fields:
        yield Call("GET", route.template, query={f"{field.name}__isnull": "0"})
        if isinstance(field, models.CharField | models.TextField):
            query = {f"{field.name}__startswith": _PART_OF_MARKER}
            yield Call("GET", route.template, query=query)


def _add(route: Route, model: type[models.Model], victim: Story, browser: Client) -> Iterator[Call]:
    page = browser.get(route.template)
    if page.status_code == 200:
        blank = filled_form(page.content.decode())
        yield Call("POST", route.template, form=_form(model, victim, blank))


def _change_own(
    route: Route, model: type[models.Model], victim: Story, stranger: Story, browser: Client
) -> Iterator[Call]:
    """Point the stranger's own rows, and the rows inside their pages, at the victim's."""
    for key in stranger.keys[model]:
        path = route.template % {"object_id": key}
        fields = filled_form(browser.get(path).content.decode())
        yield Call("POST", path, form=_form(model, victim, fields))
        yield Call("POST", path, form={**fields, **_foreign_rows_inside(model, victim)})


def _autocomplete(route: Route) -> Iterator[Call]:
    if not route.template.endswith("/autocomplete/"):
        return
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if field.is_relation:
                names = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                query = {**names, "field_name": field.name, "term": _PART_OF_MARKER}
                yield Call("GET", route.template, query=query)


def _form(
    model: type[models.Model] | None, victim: Story, fields: Mapping[str, str]
) -> dict[str, object]:
    """Return a page's form as it stands, pointed at the victim's rows, with nothing left empty."""
    form: dict[str, object] = dict(fields)
    if model is None:
        return form
    for field in model._meta.concrete_fields:
        if isinstance(field, models.CharField | models.TextField) and not form.get(field.name):
            sample = _SAMPLES.get(field.name, "probe1")
            form[field.name] = field.choices[0][0] if field.choices else sample
    return {**form, **_foreign_keys(model, victim)}


_SAMPLES = {"url": "https://ads.example.com/{{event_name}}?k={{credential.api_key}}", "body": ""}


def _foreign_keys(model: type[models.Model], victim: Story) -> dict[str, int]:
    return {
        field.name: victim.keys[field.related_model][0]
        for field in model._meta.concrete_fields
        if field.related_model in victim.keys
    }


def _foreign_rows_inside(model: type[models.Model], victim: Story) -> dict[str, object]:
    """Return inline forms which claim that the victim's rows belong to this page."""
    form: dict[str, object] = {}
    for inline in admin.site._registry[model].inlines:
        relation = next(
            field for field in inline.model._meta.concrete_fields if field.related_model is model
        )
        prefix = relation.remote_field.get_accessor_name()
        form |= {f"{prefix}-TOTAL_FORMS": 1, f"{prefix}-INITIAL_FORMS": 1}
        form |= {f"{prefix}-0-id": victim.keys[inline.model][0]}
        form |= {f"{prefix}-0-{relation.name}": victim.keys[model][0]}
        form |= {f"{prefix}-0-{name}": "probe_1" for name in ("identifier", "name", "secret")}
    return form


def _actions(model: type[models.Model]) -> list[str]:
    return [*(str(action) for action in admin.site._registry[model].actions), "delete_selected"]
