"""What a rule holds since it was suspended: a page that sends or drops it, and notices that ask."""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import ActionChoice, TenantAdmin
from apps_registry.models import Partner
from apps_registry.roles import RIGHT_TO
from postbacks.insights import wording
from postbacks.models import CallbackRule, JobAction, PostbackJob, RuleStatus
from postbacks.rulebook import held_postbacks
from postbacks.rulebook.held_postbacks import NotReleasableError, rules_of

HELD = "_held"  # the name under which an answer is sent: send, drop or keep

_STARTED = {
    JobAction.SEND: "The held postbacks are being sent in the background, at the rule's pace.",
    JobAction.DROP: "The held postbacks are being dropped in the background.",
}


@dataclass(frozen=True, slots=True)
class HeldView:
    """What a rule holds, for its pages. `job` is the one that is running, if any.

    `refused` postbacks got the 410 that suspended the rule: sending takes them along.
    """

    count: int
    refused: int
    job: PostbackJob | None
    may_send: bool
    address: str

    @property
    def is_one(self) -> bool:
        return self.count + self.refused == 1

    @property
    def held_words(self) -> str:
        """Return what is held, and what sending takes along."""
        held = "1 held postback" if self.count == 1 else f"{self.count_text} held postbacks"
        return _with_refused(held, self.count, self.refused)

    @property
    def count_text(self) -> str:
        return wording.number(self.count)

    @property
    def done(self) -> str:
        return wording.number(self.job.done if self.job else 0)


def held_view(rule: CallbackRule) -> HeldView | None:
    """Return what a rule holds; None if that is nothing and no job is running."""
    count, job = held_postbacks.held_count(rule), held_postbacks.newest_job(rule)
    running = job if job is not None and job.finished_at is None else None
    is_suspended = rule.status == RuleStatus.SUSPENDED
    refused = len(held_postbacks.refused_as_gone(rule)) if count or is_suspended else 0
    if not count and not refused and running is None:
        return None
    address = reverse("admin:postbacks_callbackrule_held", args=[rule.pk])
    return HeldView(count, refused, running, rule.status == RuleStatus.ACTIVE, address)


def held_choice(count: int, refused: int) -> ActionChoice:
    """Return the question what to do with held postbacks when their rules are switched on."""
    which = "the held postback" if count == 1 else f"the {wording.number(count)} held postbacks"
    which = _with_refused(which, count, refused)
    options = (
        (JobAction.SEND.value, "Send, to the addresses that the rules have now"),
        (JobAction.DROP.value, "Drop"),
        ("keep", "Decide later, on each rule's page"),
    )
    return ActionChoice(HELD, f"What should happen to {which}?", options)


def _with_refused(held: str, count: int, refused: int) -> str:
    """Add to what is held what the partner refused with the 410 that suspended the rule."""
    if not refused:
        return held
    gone = f"{wording.number(refused)} that the partner refused with 410 Gone"
    return f"{held} and {gone}" if count else gone


def what_becomes_of_waiting(rule: CallbackRule, changed: Collection[str]) -> str:
    """Return what a save means for postbacks that wait; "" if none does, or nothing changes."""
    if rule.status == RuleStatus.PAUSED and "status" in changed:
        waits = held_postbacks.waiting_count([rule], most=1) > 0
        return "Postbacks that wait stay until you switch it on." if waits else ""
    if rule.status == RuleStatus.ACTIVE and "url" in changed and "partner" not in changed:
        waits = held_postbacks.has_unpinned_in_queue(rule)
        return "Retries that wait go to the new address." if waits else ""
    return ""


def what_archiving_skips(rules: "QuerySet[CallbackRule]") -> str:
    """Return how many postbacks are skipped when rules, or their partner, are archived."""
    count = held_postbacks.skipped_by_archiving(rules)
    if not count:
        return "Postbacks that wait are skipped, with the reason rule_archived."
    which = "1 waits and is" if count == 1 else f"{wording.number(count)} wait and are"
    if count == held_postbacks.MOST_COUNTED:
        which = f"{wording.number(count)} or more wait and are"
    return f"Of their postbacks, {which} skipped, with the reason rule_archived."


def what_archiving_partners_skips(partners: "QuerySet[Partner]") -> str:
    """Return how many rules stop when their partners are archived, and what is skipped."""
    rules = rules_of(partners)
    count = rules.count()
    if not count:
        return "They have no callback rules."
    which = "callback rule sends" if count == 1 else "callback rules send"
    return f"Their {wording.number(count)} {which} nothing any more. {what_archiving_skips(rules)}"


def start_job(request: HttpRequest, rule: CallbackRule, action: JobAction) -> None:
    """Start a job and say so. Raises PermissionDenied for those who may not resend."""
    if not allowed(request, RIGHT_TO["start_held"]):
        raise PermissionDenied
    try:
        held_postbacks.start_job(rule, action)
    except NotReleasableError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _STARTED[action])


class HeldPage:
    """Serve the page that asks what to do with what a rule holds."""

    def __init__(self, page: TenantAdmin) -> None:
        self.page = page

    @property
    def urls(self) -> list[URLPattern]:
        view = self.page.admin_site.admin_view(self.view)
        return [path("<path:object_id>/held/", view, name="postbacks_callbackrule_held")]

    def view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        rule = self.page.get_object(request, object_id)
        if not isinstance(rule, CallbackRule) or not self.page.has_view_permission(request, rule):
            raise Http404
        if request.method == "POST":
            action = request.POST.get("action", "")
            if action not in JobAction.values:
                raise Http404
            start_job(request, rule, JobAction(action))
            return HttpResponseRedirect(request.path)
        context = {
            **self.page.admin_site.each_context(request),
            "title": f"Held postbacks of {rule}",
            "opts": self.page.opts,
            "rule": rule,
            "held": held_view(rule),
            "may_write": allowed(request, RIGHT_TO["start_held"]),
        }
        return TemplateResponse(request, "admin/postbacks/callbackrule/held.html", context)
