"""Settings as a file: download, and upload with a look at what would happen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.models import User
from apps_registry.roles import Right
from postbacks.configuration.document import Document, UnreadableDocumentError, parse_document
from postbacks.configuration.exporting import export_configuration
from postbacks.configuration.importing import (
    ImportProblem,
    ImportProblemsError,
    ImportResult,
    import_document,
)

LARGEST = 1024 * 1024
_KINDS = {
    "organization": "Organization",
    "apps": "App",
    "partners": "Partner",
    "campaigns": "Campaign",
    "tracking_links": "Tracking link",
    "attribution_settings": "Attribution settings",
    "callback_rules": "Callback rule",
}


@dataclass(frozen=True, slots=True)
class ShownFault:
    """A place in the file, and what is wrong there."""

    place: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportedPart:
    """A heading of the plan, and what stands below it."""

    title: str
    lines: tuple[str, ...]


@require_safe
def export_page(request: HttpRequest) -> HttpResponse:
    """Give the configuration as a file."""
    if not allowed(request, Right.EXPORT):
        raise PermissionDenied
    membership = membership_of(request)
    name = slugify(membership.organization.name) if membership else ""
    text = msgspec.json.format(msgspec.json.encode(export_configuration()), indent=2)
    disposition = f'attachment; filename="postbacks-{name or "organization"}.json"'
    return HttpResponse(
        text, content_type="application/json", headers={"Content-Disposition": disposition}
    )


@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Take a file, show what it would do, and do it once the person has said yes."""
    if not allowed(request, Right.MANAGE):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request, {})
    try:
        document = parse_document(_text(request))
        return (
            _done(request, document) if request.POST.get("confirmed") else _plan(request, document)
        )
    except UnreadableDocumentError as error:
        return _page(request, {"faults": [ShownFault("", str(error))]})
    except ImportProblemsError as error:
        return _page(request, {"faults": [_shown(fault) for fault in error.problems]})


def _text(request: HttpRequest) -> bytes:
    given = request.FILES.get("file")
    if given is not None and (given.size or 0) > LARGEST:
        raise UnreadableDocumentError("The file is larger than 1 MB; bring it in by the API.")
    text = given.read() if given is not None else request.POST.get("document", "").encode()
    if not text:
        raise UnreadableDocumentError("Choose a file first.")
    return text


def _plan(request: HttpRequest, document: Document) -> HttpResponse:
    outcome = import_document(document, by=_person(request), only_plan=True)
    plan = [part for part in _parts(outcome) if part.lines]
    context = {"plan": plan, "document": msgspec.json.encode(document).decode()}
    if not plan:
        messages.success(request, "Everything is as the file says: there is nothing to do.")
    return _page(request, context)


def _done(request: HttpRequest, document: Document) -> HttpResponse:
    outcome = import_document(document, by=_person(request))
    messages.success(request, "The configuration is as the file says.")
    for line in _missing(outcome):
        messages.warning(request, f"Enter the secrets of {line}.")
    return HttpResponseRedirect(reverse("admin:import_configuration"))


def _parts(outcome: ImportResult) -> Iterator[ImportedPart]:
    yield ImportedPart("New", tuple(_lines(outcome.created)))
    yield ImportedPart("Changed", tuple(_lines(outcome.changed)))
    yield ImportedPart("Secrets to enter afterwards", tuple(_missing(outcome)))
    yield ImportedPart("Come in as drafts until then", tuple(outcome.drafts))


def _lines(names: Mapping[str, list[str]]) -> Iterator[str]:
    for kind, title in _KINDS.items():
        yield from (f"{title} {name}" for name in names.get(kind, ()))


def _missing(outcome: ImportResult) -> Iterator[str]:
    for partner, names in outcome.credentials_to_enter.items():
        yield f"{partner}: {', '.join(names)}"


def _shown(fault: ImportProblem) -> ShownFault:
    steps = (str(step + 1) if isinstance(step, int) else step for step in fault.pointer)
    return ShownFault(" ".join(steps).replace("_", " "), fault.detail)


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _page(request: HttpRequest, context: Mapping[str, object]) -> TemplateResponse:
    shell = {**admin.site.each_context(request), "title": "Bring a configuration in"}
    return TemplateResponse(request, "admin/configuration/import.html", {**shell, **context})
