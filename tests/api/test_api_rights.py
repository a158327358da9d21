"""Which role may do what: each action of each address, against the one table of rights."""

import re
from datetime import UTC, datetime
from itertools import product
from uuid import uuid4

import pytest
from django.test import Client

from apps_registry.roles import Right, Role, allows
from apps_registry.tenancy import tenant as tenant_of
from postbacks.api.routes import router
from postbacks.models import CallbackRule, DryRunJob, Event
from tests import make
from tests.admin import test_admin_matrix as matrix
from tests.admin.pages import sign_in
from tests.alerts.scenes import make_tenant_alert
from tests.api.calling import DRAFT, PROBLEM, Program, make_postback, owner_of, program_of, report
from tests.insights.credits import make_install
from tests.isolation.story import live_through
from tests.refusals import make_refusal
from tests.touches import make_network, touch

pytestmark = pytest.mark.django_db(transaction=True)

READ, EXPORT, SET_UP, RESEND, MANAGE = Right
_SET_UP_ROWS = {
    "list": READ,
    "retrieve": READ,
    "create": SET_UP,
    "update": SET_UP,
    "partial_update": SET_UP,
    "destroy": SET_UP,
}

# Written out once more, so that no change of rights goes unseen.
RIGHTS = {
    "v1/apps": _SET_UP_ROWS,
    "v1/partners": _SET_UP_ROWS,
    "v1/campaigns": _SET_UP_ROWS,
    "v1/attribution-settings": _SET_UP_ROWS,
    "v1/tracking-links": _SET_UP_ROWS,
    "v1/callback-rules": {
        **_SET_UP_ROWS,
        "preview": SET_UP,
        "translate": READ,
        "versions": READ,
        "version": READ,
        "restore": SET_UP,
        "copy": SET_UP,
        "test_send": RESEND,
        "dry_run": SET_UP,
        "dry_run_state": SET_UP,
        "cancel_dry_run": SET_UP,
        "held": READ,
        "start_held": RESEND,
    },
    "v1/alerts": {**_SET_UP_ROWS, "preview": SET_UP, "test": RESEND},
    "v1/bundle-ids": {"list": READ, "retrieve": READ, "create": SET_UP, "destroy": SET_UP},
    "v1/sdk-keys": {
        "list": READ,
        "retrieve": READ,
        "create": MANAGE,
        "destroy": MANAGE,
        "rotate": MANAGE,
    },
    "v1/click-signing-keys": {
        "list": READ,
        "retrieve": READ,
        "create": MANAGE,
        "destroy": MANAGE,
    },
    "v1/test-devices": {"list": READ, "retrieve": READ, "create": SET_UP, "destroy": SET_UP},
    "v1/api-tokens": {"list": READ, "retrieve": READ, "create": READ, "destroy": READ},
    "v1/partner-templates": {"list": READ, "retrieve": READ},
    "v1/organization/signing-secrets": {"list": READ, "retrieve": READ, "rotate": MANAGE},
    "v1/audit-log": {"list": READ, "retrieve": READ},
    "v1/events": {"list": READ, "retrieve": READ, "explain": READ},
    "v1/installs": {"list": READ, "retrieve": READ, "explain": READ},
    "v1/touchpoints": {"list": READ, "retrieve": READ},
    "v1/refused-events": {"list": READ, "retrieve": READ, "counts": READ},
    "v1/members": {
        "list": READ,
        "retrieve": READ,
        "partial_update": MANAGE,
        "destroy": MANAGE,
    },
    "v1/invitations": {"list": READ, "retrieve": READ, "create": MANAGE, "destroy": MANAGE},
    "v1/skan-postbacks": {"list": READ, "retrieve": READ},
    "v1/postbacks": {"list": READ, "retrieve": READ, "resend": RESEND},
    "v1/replays": {"list": READ, "retrieve": READ, "create": RESEND, "cancel": RESEND},
    "v1/discrepancies": {
        "list": READ,
        "retrieve": READ,
        "create": EXPORT,
        "cancel": EXPORT,
        "destroy": EXPORT,
    },
    "v1/saved-views": {"list": READ, "retrieve": READ, "create": READ, "destroy": READ},
    "v1/exports": {
        "list": READ,
        "retrieve": READ,
        "create": EXPORT,
        "cancel": EXPORT,
        "destroy": EXPORT,
        "download": EXPORT,
    },
    "v1/export-schedules": {**_SET_UP_ROWS, "run": EXPORT},
}
# The same deed by the page: a model's adding, changing or deleting, its action, or a page.
_RULES = "postbacks/callbackrule"
PAGES_OF = {
    ("v1/alerts", "preview"): "postbacks/alert/preview/",
    ("v1/alerts", "test"): "postbacks/alert/%(object_id)s/test/",
    ("v1/callback-rules", "preview"): f"{_RULES}/preview/",
    ("v1/callback-rules", "dry_run"): f"{_RULES}/dry-run/",
    ("v1/callback-rules", "dry_run_state"): f"{_RULES}/dry-run/",
    ("v1/callback-rules", "cancel_dry_run"): f"{_RULES}/dry-run/",
    ("v1/callback-rules", "test_send"): f"{_RULES}/test/",
    ("v1/callback-rules", "translate"): f"{_RULES}/translate/",
    ("v1/callback-rules", "copy"): f"{_RULES}/%(object_id)s/copy/",
    ("v1/callback-rules", "versions"): f"{_RULES}/%(object_id)s/versions/",
    ("v1/callback-rules", "held"): f"{_RULES}/%(object_id)s/held/",
    ("v1/partner-templates", "list"): f"{_RULES}/templates/",
    ("v1/postbacks", "resend"): "postbacks/postback/%(object_id)s/resend/",
    ("v1/replays", "create"): "postbacks/postback/replay/",
    ("v1/replays", "cancel"): "postbacks/replay/%(object_id)s/cancel/",
    ("v1/discrepancies", "create"): "postbacks/discrepancy/start/",
    ("v1/discrepancies", "cancel"): "postbacks/discrepancy/%(object_id)s/cancel/",
    ("v1/discrepancies", "destroy"): "postbacks/discrepancy/%(object_id)s/remove/",
    ("v1/exports", "create"): "postbacks/export/start/",
    ("v1/exports", "cancel"): "postbacks/export/%(object_id)s/cancel/",
    ("v1/exports", "destroy"): "postbacks/export/%(object_id)s/remove/",
    ("v1/exports", "download"): "postbacks/export/%(object_id)s/download/",
    ("v1/export-schedules", "run"): "postbacks/exportschedule/%(object_id)s/run/",
    ("v1/sdk-keys", "rotate"): "apps_registry/sdkkey/%(object_id)s/rotate/",
    ("v1/invitations", "destroy"): "apps_registry/invitation/%(pk)s/revoke/",
}
# What a page has no address of its own for, and how the page of the row, form or list is asked.
ON_THE_FORM: dict[tuple[str, str], tuple[str, str, dict[str, str]]] = {
    ("v1/saved-views", "create"): ("POST", "postbacks/postback/views/", {"do": "save"}),
    ("v1/saved-views", "destroy"): ("POST", "postbacks/postback/views/", {"do": "delete"}),
    ("v1/callback-rules", "version"): ("GET", f"{_RULES}/{{rule}}/versions/", {"newer": "1"}),
    ("v1/callback-rules", "restore"): ("POST", f"{_RULES}/{{rule}}/versions/", {"number": "1"}),
    ("v1/callback-rules", "start_held"): ("POST", f"{_RULES}/{{rule}}/held/", {"action": "drop"}),
    ("v1/partner-templates", "retrieve"): ("GET", f"{_RULES}/templates/", {"q": "adjust"}),
    ("v1/refused-events", "counts"): ("GET", "postbacks/refusedevent/", {}),
    ("v1/installs", "explain"): ("GET", "device/", {}),
    ("v1/events", "explain"): ("GET", "postbacks/event/{event}/change/", {}),
}
# Pages of what the API has at an address beside its rows, or not at all.
PAGES_ALONE = {
    *("", "configuration/export/", "configuration/import/", "forget-device/", "fraud-report/"),
    *("search/", "device/", "live/", "live/rows/"),
    *("installation/", "organizations/", "store-ids/", "store-ids/decide/"),
    *("organizations/%(organization)s/enter/", "apps_registry/invitation/%(pk)s/resend/"),
    "apps_registry/sdkkey/from-tenjin/",
    *(f"apps_registry/trackinglink/%(object_id)s/qr.{kind}" for kind in ("svg", "png")),
    *("postbacks/postback/%(object_id)s/details/", "postbacks/replay/%(object_id)s/progress/"),
    *(f"postbacks/export/%(object_id)s/{page}/" for page in ("progress", "again")),
    "postbacks/alert/%(object_id)s/news/",
    *(f"postbacks/discrepancy/%(object_id)s/{page}/" for page in ("progress", "lines")),
    *(f"{_RULES}/templates/%(name)s/", f"{_RULES}/macros/"),
}
REQUESTS = {
    "list": ("GET", ""),
    "retrieve": ("GET", "/{id}"),
    "explain": ("GET", "/{id}/explain"),
    "counts": ("GET", "/counts"),
    "download": ("GET", "/{id}/download"),
    "create": ("POST", ""),
    "update": ("PUT", "/{id}"),
    "partial_update": ("PATCH", "/{id}"),
    "destroy": ("DELETE", "/{id}"),
    "preview": ("POST", "/preview"),
    "translate": ("POST", "/translate"),
    "resend": ("POST", "/{id}/resend"),
    "cancel": ("POST", "/{id}/cancel"),
    "rotate": ("POST", "/{id}/rotate"),
    "run": ("POST", "/{id}/run"),
    "versions": ("GET", "/{id}/versions"),
    "version": ("GET", "/{id}/versions/1"),
    "restore": ("POST", "/{id}/versions/1/restore"),
    "copy": ("POST", "/{id}/copy"),
    "test": ("POST", "/{id}/test"),
    "test_send": ("POST", "/{id}/test-send"),
    "dry_run": ("POST", "/{id}/dry-run"),
    "dry_run_state": ("GET", "/{id}/dry-run"),
    "cancel_dry_run": ("DELETE", "/{id}/dry-run"),
    "held": ("GET", "/{id}/held"),
    "start_held": ("POST", "/{id}/held"),
}
# Some stand beside the rows.
ELSEWHERE = {("v1/organization/signing-secrets", "rotate"): ("POST", "/rotate")}
ACTIONS = [(path, action) for path, actions in RIGHTS.items() for action in actions]


def test_the_table_above_is_the_one_of_the_views() -> None:
    assert {path: view.rights for path, view, _ in router.registry} == RIGHTS


def test_both_doors_ask_for_the_same_right() -> None:
    """Every route of either door is compared, or named as one that the other door lacks."""
    differing = []
    for path, view, _ in router.registry:
        if path == "v1/organization/signing-secrets":
            model = "apps_registry.SigningSecret"
        else:
            model = view.model._meta.label if hasattr(view, "model") else ""
        add, change, delete, actions = matrix.PAGES.get(model, (None, None, None, {}))
        removing = {delete, *(actions.get(name) for name in ("archive", "revoke", "remove"))}
        of_form = {"create": {add}, "update": {change}, "partial_update": {change}}
        of_form |= {"destroy": removing, "list": {READ}, "retrieve": {READ}, "rotate": {add}}
        for action, right in view.rights.items():
            if page := PAGES_OF.get((path, action)):
                page_rights = {matrix.OTHERS[page][1]}
            elif (path, action) in ON_THE_FORM:
                continue  # the next test asks the pages
            else:
                page_rights = of_form[action]
            if right not in page_rights:
                differing.append((path, action, right, page_rights))

    assert differing == []
    assert matrix.OTHERS.keys() == {*PAGES_OF.values(), *PAGES_ALONE}


def test_both_doors_ask_for_the_same_right_on_a_page_of_something_else() -> None:
    views = {path: view for path, view, _ in router.registry}
    story = live_through("Gem Harbor")
    rows = {"rule": story.keys[CallbackRule][0], "event": story.keys[Event][0]}
    browsers = {
        role: sign_in(make.make_user(role, organization=story.tenant.organization))
        for role in Role.values
    }

    differing = []
    for role, ((path, action), (method, page, sent)) in product(browsers, ON_THE_FORM.items()):
        ask = browsers[role].get if method == "GET" else browsers[role].post
        answer = ask(f"/admin/{page.format(**rows)}", sent)
        assert answer.status_code in {200, 302, 403}, page
        if (answer.status_code != 403) != allows(role, views[path].rights[action]):
            differing.append((role, path, action, answer.status_code))

    assert differing == []


OF_SDK_KEYS = {"v1/events", "v1/touchpoints"}  # to write


def test_every_address_needs_a_right() -> None:
    for path, view, _ in router.registry:
        actions = {
            action
            for route in router.get_routes(view)
            for method, action in route.mapping.items()
            if hasattr(view, action) and not (path in OF_SDK_KEYS and method == "post")
        }
        assert actions == view.rights.keys(), path


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize(("path", "action"), ACTIONS)
def test_a_role_may_do_what_its_rights_say(role, path, action, request) -> None:
    if action in {"test", "test_send"}:
        request.getfixturevalue("test_worker")
    tenant = make.make_tenant()
    method, suffix = ELSEWHERE.get((path, action), REQUESTS[action])
    program = program_of(Role(role), tenant)
    address = f"/api/{path}{suffix.format(id=_row(tenant, path, program))}"
    right = RIGHTS[path][action]

    answer = program.send(method, address, {})

    if allows(role, right):
        expected = {200, 201, 202, 204, 400} | ({409} if action == "download" else set())
        assert answer.status in expected, answer.data  # 409: the file is not made yet
    else:
        assert (answer.status, answer.content_type) == (403, PROBLEM)
        assert f"“{role}”" in answer.data["detail"]


def test_nobody_does_anything_without_a_key() -> None:
    paths = Client().get("/api/schema/").json()["paths"]
    operations = [(method, path) for path, methods in paths.items() for method in methods]

    def address(path: str) -> str:
        return re.sub(r"\{\w+\}", str(uuid4()), path.replace("{number}", "1"))

    answers = {
        (method, path): Client().generic(method.upper(), address(path))
        for method, path in operations
    }

    assert len(answers) > 30
    assert [operation for operation, answer in answers.items() if answer.status_code != 401] == []
    assert {answer["Content-Type"] for answer in answers.values()} == {PROBLEM}


def test_what_a_role_may_not_do_is_not_done() -> None:
    tenant = make.make_tenant()
    api, analyst = owner_of(tenant), program_of(Role.ANALYST, tenant)
    rule = api.post("callback-rules", DRAFT).data

    analyst.post("callback-rules", {**DRAFT, "name": "Mine"})
    analyst.patch(f"callback-rules/{rule['id']}", {"name": "Mine"})
    analyst.delete(f"callback-rules/{rule['id']}")

    assert api.rows("callback-rules") == [rule]


def _rule_with_dry_run(tenant: make.Tenant) -> str:
    key = str(owner_of(tenant).post("callback-rules", DRAFT).data["id"])
    now = datetime.now(UTC)
    with tenant_of(tenant.organization.pk):
        rule = CallbackRule.objects.get(public_id=key)
        DryRunJob.objects.create(rule=rule, definition={}, since=now, created_at=now)
    return key


def _row(tenant: make.Tenant, path: str, program: Program) -> str:
    """Return the id of a row of that kind, which the program may see."""
    api = owner_of(tenant)
    app = str(tenant.app.public_id)
    makers = {
        "v1/apps": lambda: app,
        "v1/bundle-ids": lambda: str(tenant.bundle_id.public_id),
        "v1/sdk-keys": lambda: api.rows("sdk-keys")[0]["id"],
        "v1/api-tokens": lambda: program.rows("api-tokens")[0]["id"],
        "v1/partners": lambda: api.post("partners", {"name": "A"}).data["id"],
        "v1/partner-templates": lambda: "slack",
        "v1/campaigns": lambda: _campaign(tenant),
        "v1/attribution-settings": lambda: api.post("attribution-settings", {"app": app}).data[
            "id"
        ],
        "v1/click-signing-keys": lambda: _click_key(tenant),
        "v1/alerts": lambda: _alert(tenant),
        "v1/test-devices": lambda: _test_device(tenant),
        "v1/tracking-links": lambda: api.post(
            "tracking-links", {"name": "A", "campaign": _campaign(tenant)}
        ).data["id"],
        "v1/callback-rules": lambda: _rule_with_dry_run(tenant),
        "v1/organization/signing-secrets": lambda: _signing_secret(api),
        "v1/audit-log": lambda: _audit_entry(api),
        "v1/events": lambda: report(tenant.sdk_key),
        "v1/installs": lambda: _install(tenant),
        "v1/touchpoints": lambda: _touchpoint(tenant),
        "v1/refused-events": lambda: make_refusal(tenant),
        "v1/postbacks": lambda: _postback(tenant),
        "v1/replays": lambda: _replay(tenant),
        "v1/saved-views": lambda: _saved_view(api),
        "v1/exports": lambda: _export(tenant),
        "v1/export-schedules": lambda: _export_schedule(tenant),
        "v1/discrepancies": lambda: _discrepancy(api),
        "v1/skan-postbacks": lambda: _skan_postback(tenant),
        "v1/members": lambda: _member(tenant),
        "v1/invitations": lambda: str(make.make_invitation(tenant.organization).public_id),
    }
    return makers[path]()


def _export(tenant: make.Tenant) -> str:
    export = owner_of(tenant).post("exports", {"list": "apps"}).data["id"]
    return str(export)


def _saved_view(api: Program) -> str:
    view = {"list": "postbacks", "name": f"A {uuid4()}", "shared": True}
    return str(api.post("saved-views", view).data["id"])


def _export_schedule(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        return str(make.make_export_schedule().public_id)


def _discrepancy(api: Program) -> str:
    partner = api.post("partners", {"name": "A"}).data["id"]
    return str(api.post("discrepancies", {"partner": partner, "ids": ["a"]}).data["id"])


def _skan_postback(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        return str(make.make_skan_postback(tenant.app).public_id)


def _member(tenant: make.Tenant) -> str:
    person = make.make_user(Role.ANALYST, organization=tenant.organization)
    return str(person.memberships.get().public_id)


def _campaign(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        return str(make.make_campaign(tenant.app, make.make_partner()).public_id)


def _touchpoint(tenant: make.Tenant) -> str:
    _, link = make_network(tenant)
    return str(touch(tenant, link))


def _click_key(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        return str(make.make_click_key(make.make_partner()).public_id)


def _alert(tenant: make.Tenant) -> str:
    return str(make_tenant_alert(tenant, emails=[tenant.owner.email]).public_id)


def _test_device(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        return str(make.make_test_device().public_id)


def _install(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))
    return str(make_install(link, datetime.now(UTC)).public_id)


def _audit_entry(api: Program) -> str:
    api.post("partners", {"name": "A"})
    return api.rows("audit-log")[0]["id"]


def _signing_secret(api: Program) -> str:
    api.post("organization/signing-secrets/rotate", {})
    return api.rows("organization/signing-secrets")[0]["id"]


def _replay(tenant: make.Tenant) -> str:
    ids = {"ids": [_postback(tenant)]}
    return owner_of(tenant).post("replays", ids).data["id"]


def _postback(tenant: make.Tenant) -> str:
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule()
    event_id = report(tenant.sdk_key, event_id=str(uuid4()))
    return str(make_postback(rule, event_id, status="failed").public_id)
