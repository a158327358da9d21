"""The configuration as a file: download it, upload one, and see its plan before it is applied."""

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

from apps_registry.admin_base.permissions import allowed, membership_of, user_of
from apps_registry.roles import Right
from postbacks.configuration.document import Document, UnreadableDocumentError, parse_document
from postbacks.configuration.exporting import export_configuration
from postbacks.configuration.importing import (
    ImportProblem,
    ImportProblemsError,
    ImportResult,
    ImportRunningError,
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
    "alerts": "Alert",
    "export_schedules": "Scheduled export",
}


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem at a place in the file."""

    location: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportedPart:
    """A heading of the plan with its rows."""

    title: str
    rows: tuple[str, ...]


@require_safe
def export_page(request: HttpRequest) -> HttpResponse:
    """Return the configuration as a file."""
    if not allowed(request, Right.EXPORT):
        raise PermissionDenied
    membership = membership_of(request)
    name = slugify(membership.organization.name) if membership else ""
    exported = export_configuration(with_callbacks=allowed(request, Right.SET_UP))
    text = msgspec.json.format(msgspec.json.encode(exported), indent=2)
    disposition = f'attachment; filename="postbacks-{name or "organization"}.json"'
    return HttpResponse(
        text, content_type="application/json", headers={"Content-Disposition": disposition}
    )


@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Take a file and show its plan; apply it once the person has confirmed."""
    if not allowed(request, Right.MANAGE):
        raise PermissionDenied
    if request.method != "POST":
        return _page(request, {})
    try:
        document = parse_document(_text(request))
        return (
            _apply(request, document) if request.POST.get("confirmed") else _plan(request, document)
        )
    except (UnreadableDocumentError, ImportRunningError) as error:
        return _page(request, {"problems": [ProblemRow("", str(error))]})
    except ImportProblemsError as error:
        return _page(request, {"problems": [_problem_row(fault) for fault in error.problems]})


def _text(request: HttpRequest) -> bytes:
    file = request.FILES.get("file")
    if file is not None and (file.size or 0) > LARGEST:
        raise UnreadableDocumentError("The file is larger than 1 MB; bring it in by the API.")
    text = file.read() if file is not None else request.POST.get("document", "").encode()
    if not text:
        raise UnreadableDocumentError("Choose a file first.")
    return text


def _plan(request: HttpRequest, document: Document) -> HttpResponse:
    result = import_document(document, by=user_of(request), only_plan=True)
    plan = [part for part in _parts(result) if part.rows]
    context = {"plan": plan, "document": msgspec.json.encode(document).decode()}
    if not plan:
        messages.success(request, "Everything is as the file says: there is nothing to do.")
    return _page(request, context)


def _apply(request: HttpRequest, document: Document) -> HttpResponse:
    result = import_document(document, by=user_of(request))
    messages.success(request, "The configuration is as the file says.")
    for secrets in _missing(result):
        messages.warning(request, f"Enter the secrets of {secrets}.")
    return HttpResponseRedirect(reverse("admin:import_configuration"))


def _parts(result: ImportResult) -> Iterator[ImportedPart]:
    yield ImportedPart("New", tuple(_titles(result.created)))
    yield ImportedPart("Changed", tuple(_titles(result.changed)))
    yield ImportedPart("Secrets to enter afterwards", tuple(_missing(result)))
    yield ImportedPart("Come in as drafts until then", tuple(result.drafts))


def _titles(names: Mapping[str, list[str]]) -> Iterator[str]:
    for kind, title in _KINDS.items():
        yield from (f"{title} {name}" for name in names.get(kind, ()))


def _missing(result: ImportResult) -> Iterator[str]:
    for partner, names in result.credentials_to_enter.items():
        yield f"{partner}: {', '.join(names)}"


def _problem_row(fault: ImportProblem) -> ProblemRow:
    steps = (str(step + 1) if isinstance(step, int) else step for step in fault.pointer)
    return ProblemRow(" ".join(steps).replace("_", " "), fault.detail)


def _page(request: HttpRequest, context: Mapping[str, object]) -> TemplateResponse:
    shell = {**admin.site.each_context(request), "title": "Upload a configuration"}
    return TemplateResponse(request, "admin/configuration/import.html", {**shell, **context})
