"""Every page, action and button for every role; a page without a place in the tables fails."""

import pytest
from django.contrib import admin
from django.db import models
from django.http import HttpResponseBase
from django.test import Client

from apps_registry.models import User
from apps_registry.roles import Right, Role, allows
from tests import make
from tests.admin.pages import sign_in
from tests.isolation.routes import Route, swept_routes
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

READ, EXPORT, SET_UP, RESEND, MANAGE = Right
NOBODY = "nobody"

# Written out once more, so that no change of rights goes unseen: add, change, delete; actions.
PAGES: dict[str, tuple[Right | None, Right | None, Right | None, dict[str, Right]]] = {
    "apps_registry.ApiToken": (READ, READ, None, {"revoke": READ}),  # each person's own
    "apps_registry.App": (SET_UP, SET_UP, None, {"archive": SET_UP}),
    "apps_registry.AttributionSettings": (SET_UP, SET_UP, SET_UP, {}),
    "apps_registry.AuditEntry": (None, None, None, {}),
    "apps_registry.BundleId": (SET_UP, SET_UP, SET_UP, {}),
    "apps_registry.Campaign": (SET_UP, SET_UP, None, {"archive": SET_UP}),
    "apps_registry.ClickSigningKey": (MANAGE, MANAGE, None, {"revoke": MANAGE}),
    "apps_registry.Invitation": (MANAGE, None, None, {"send_again": MANAGE, "take_back": MANAGE}),
    "apps_registry.Membership": (None, MANAGE, MANAGE, {}),
    "apps_registry.Organization": (None, MANAGE, None, {}),
    "apps_registry.Partner": (SET_UP, SET_UP, None, {"archive": SET_UP}),
    "apps_registry.SdkKey": (MANAGE, MANAGE, None, {"revoke": MANAGE}),
    "apps_registry.SigningSecret": (MANAGE, MANAGE, None, {"show": MANAGE}),
    "apps_registry.TrackingLink": (SET_UP, SET_UP, None, {"archive": SET_UP}),
    "postbacks.CallbackRule": (
        SET_UP,
        SET_UP,
        None,
        {"switch_on": SET_UP, "pause": SET_UP, "archive": SET_UP},
    ),
    "postbacks.Alert": (SET_UP, SET_UP, SET_UP, {"remove": SET_UP}),
    "postbacks.DecisionFailure": (None, None, None, {}),
    "postbacks.DeliveryAttempt": (None, None, None, {}),
    "postbacks.Event": (None, None, None, {}),
    "postbacks.Install": (None, None, None, {}),
    "postbacks.SkanPostback": (None, None, None, {}),
    "postbacks.RefusedEvent": (None, None, None, {}),
    "postbacks.Discrepancy": (None, None, None, {}),
    "postbacks.Export": (None, None, None, {}),
    "postbacks.ExportSchedule": (SET_UP, SET_UP, SET_UP, {"remove": SET_UP}),
    "postbacks.Replay": (None, None, None, {}),
    "postbacks.Touchpoint": (None, None, None, {}),
    "postbacks.TestDevice": (SET_UP, None, SET_UP, {"remove": SET_UP}),
    "postbacks.Postback": (None, None, None, {"resend_selected": RESEND}),
}
# Pages beside those that every table has, by method; None is for operators alone.
OTHERS: dict[str, tuple[str, Right | None]] = {
    "": ("GET", READ),
    "configuration/export/": ("GET", EXPORT),
    "configuration/import/": ("GET", MANAGE),
    "forget-device/": ("GET", READ),
    "fraud-report/": ("GET", READ),
    "live/": ("GET", READ),
    "live/rows/": ("GET", READ),
    "search/": ("GET", READ),
    "device/": ("GET", READ),
    "installation/": ("GET", None),
    "organizations/": ("GET", None),
    "store-ids/": ("GET", None),
    "store-ids/decide/": ("POST", None),
    "organizations/%(organization)s/enter/": ("POST", None),
    "apps_registry/invitation/%(pk)s/resend/": ("POST", MANAGE),
    "apps_registry/invitation/%(pk)s/revoke/": ("POST", MANAGE),
    "apps_registry/sdkkey/from-tenjin/": ("GET", READ),
    "apps_registry/sdkkey/%(object_id)s/rotate/": ("GET", MANAGE),
    "apps_registry/trackinglink/%(object_id)s/qr.svg": ("GET", READ),
    "apps_registry/trackinglink/%(object_id)s/qr.png": ("GET", READ),
    "postbacks/postback/%(object_id)s/details/": ("GET", READ),
    "postbacks/postback/%(object_id)s/resend/": ("GET", RESEND),
    "postbacks/discrepancy/start/": ("GET", EXPORT),
    "postbacks/discrepancy/%(object_id)s/progress/": ("GET", READ),
    "postbacks/discrepancy/%(object_id)s/lines/": ("GET", EXPORT),
    "postbacks/discrepancy/%(object_id)s/cancel/": ("POST", EXPORT),
    "postbacks/discrepancy/%(object_id)s/remove/": ("POST", EXPORT),
    "postbacks/export/start/": ("GET", EXPORT),
    "postbacks/export/%(object_id)s/progress/": ("GET", READ),
    "postbacks/export/%(object_id)s/download/": ("GET", EXPORT),
    "postbacks/export/%(object_id)s/cancel/": ("POST", EXPORT),
    "postbacks/export/%(object_id)s/again/": ("POST", EXPORT),
    "postbacks/exportschedule/%(object_id)s/run/": ("POST", EXPORT),
    "postbacks/export/%(object_id)s/remove/": ("POST", EXPORT),
    "postbacks/postback/replay/": ("GET", RESEND),
    "postbacks/replay/%(object_id)s/progress/": ("GET", READ),
    "postbacks/replay/%(object_id)s/cancel/": ("POST", RESEND),
    "postbacks/alert/preview/": ("POST", SET_UP),
    "postbacks/alert/%(object_id)s/test/": ("POST", RESEND),
    "postbacks/alert/%(object_id)s/news/": ("GET", READ),
    "postbacks/callbackrule/preview/": ("POST", SET_UP),
    "postbacks/callbackrule/test/": ("POST", RESEND),
    "postbacks/callbackrule/dry-run/": ("POST", SET_UP),
    "postbacks/callbackrule/templates/": ("GET", READ),
    "postbacks/callbackrule/templates/%(name)s/": ("GET", SET_UP),
    "postbacks/callbackrule/macros/": ("GET", READ),
    "postbacks/callbackrule/%(object_id)s/versions/": ("GET", READ),
    "postbacks/callbackrule/%(object_id)s/copy/": ("POST", SET_UP),
    "postbacks/callbackrule/%(object_id)s/held/": ("GET", READ),
    "postbacks/callbackrule/translate/": ("GET", READ),
}
# About oneself or about nothing: whose turn it is does not depend on a role.
FOR_ANYBODY = {
    "switch-organization/",
    "leave-organization/",
    "login/",
    "logout/",
    "password_change/",
    "password_change/done/",
    "autocomplete/",
    "jsi18n/",
    "r/%(content_type_id)s/%(object_id)s/",
    "%(app_label)s/",
    "%(url)s",
}


def _person(role: str, story: Story) -> User:
    """Return somebody of this role; nobody has an account and is a member of nothing."""
    if role == NOBODY:
        return User.objects.create_user("nobody@example.com", "correct horse battery")
    return make.make_user(role, organization=story.tenant.organization)


def _asked(route: Route) -> tuple[str, Right | None] | None:
    """Return with which method a page is asked for, and the right that it takes."""
    place = route.template.removeprefix("/admin/")
    if place in OTHERS:
        return OTHERS[place]
    for label, (add, change, delete, _) in PAGES.items():
        page = label.lower().replace(".", "/") + "/"
        usual = {
            "": ("GET", READ),
            "export/": ("GET", EXPORT),
            "views/": ("POST", READ),
            "add/": ("GET", add),
            "%(object_id)s/history/": ("GET", READ),
            "%(object_id)s/delete/": ("GET", delete),
            "%(object_id)s/change/": ("POST", change),
        }
        if place.startswith(page) and place.removeprefix(page) in usual:
            return usual[place.removeprefix(page)]
    return None


def _pages() -> list[Route]:
    """Return the admin's pages whose answer depends on the role."""
    old = "%(object_id)s/"  # Django's own redirect from older addresses
    return [
        route
        for route in swept_routes()
        if route.template.startswith("/admin/")
        and route.template.removeprefix("/admin/") not in FOR_ANYBODY
        and not (route.template.endswith(old) and route.template.count("/") == 5)
    ]


def _address(route: Route, story: Story) -> str:
    for model, keys in story.keys.items():
        if route.template.startswith(f"/admin/{model._meta.label_lower.replace('.', '/')}/"):
            return route.template % {"object_id": keys[0], "pk": keys[0], "name": "adjust"}
    return route.template % {"organization": story.tenant.organization.public_id}


def _is_open(answer: HttpResponseBase) -> bool:
    """Tell whether somebody got in: neither refused nor sent to sign in."""
    sent_away = answer.status_code == 302 and "/login" in answer["Location"]
    return not sent_away and answer.status_code not in {401, 403}


def test_every_page_has_a_place_in_the_tables() -> None:
    assert {model._meta.label for model in admin.site._registry} == PAGES.keys()
    assert [route.template for route in _pages() if _asked(route) is None] == []


def test_the_tables_are_the_ones_of_the_pages() -> None:
    for model, page in admin.site._registry.items():
        rights = (page.right_to_add, page.right_to_change, page.right_to_delete)
        assert (*rights, list(page.actions)) == (
            *PAGES[model._meta.label][:3],
            list(PAGES[model._meta.label][3]),
        )


@pytest.mark.parametrize("role", [*Role.values, NOBODY])
def test_a_role_gets_where_its_rights_lead(story: Story, role: str) -> None:
    browser = sign_in(_person(role, story))

    wrong = []
    for route in _pages():
        method, right = _asked(route) or ("GET", None)
        answer = browser.generic(method, _address(route, story))
        if answer.streaming:
            answer.getvalue()  # a file has its organization's turn until it is read
        if _is_open(answer) != (right is not None and allows(role, right)):
            wrong.append(f"{method} {route.template} answered {answer.status_code}")

    assert wrong == []


def test_nobody_gets_anywhere_without_signing_in(story: Story) -> None:
    answers = [
        Client().generic((_asked(route) or ("GET", None))[0], _address(route, story))
        for route in _pages()
    ]

    assert not any(_is_open(answer) for answer in answers)


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model._meta.label)
def test_a_list_offers_what_the_role_may_do(
    story: Story, model: type[models.Model], role: str
) -> None:
    add, _, _, actions = PAGES[model._meta.label]
    page = f"/admin/{model._meta.label_lower.replace('.', '/')}/"

    html = sign_in(_person(role, story)).get(page).content.decode()

    assert (f'href="{page}add/' in html) == (add is not None and allows(role, add))
    for action, right in actions.items():
        if right is not READ:
            assert (f'value="{action}"' in html) == allows(role, right), action
