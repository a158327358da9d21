"""A credential goes to its partner and nowhere else: no page, answer, log or row shows it."""

import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import Partner, PartnerCredential
from apps_registry.tenancy import tenant
from postbacks.delivery.redaction import WITHHELD
from postbacks.infrastructure.database import roles
from postbacks.models import DeliveryAttempt
from tests import make
from tests.admin.pages import filled_form, sign_in
from tests.api.calling import Program
from tests.browser.admin_pages import address, admin_routes
from tests.database import as_role
from tests.events import attempts_of, event, record
from tests.isolation.routes import swept_routes
from tests.isolation.story import Story, live_through, tenant_models
from tests.pipeline.conftest import Answer, RecordingPartner, Run

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "s3cret/of the+partner&0123456789"
# Its last four characters are shown on purpose; what leaks may be encoded, or a part of it.
FORMS = (
    "of the+partner",
    "of%20the%2Bpartner",
    "of+the%2Bpartner",
    b64encode(SECRET.encode()).decode(),
)


def story_with_failing_send(partner: RecordingPartner, run_pump: Run) -> Story:
    """Return a tenant whose rule has sent the secret in every way, to a partner who repeats it."""
    story = live_through("Gem Harbor")
    with tenant(story.organization_id):
        stored_partner = Partner.objects.get()
        stored_partner.allowed_hosts = [partner.host]
        stored_partner.save()
        stored_partner.set_credentials({"api_key": SECRET})
        make.make_rule(
            name="Tells all",
            url=partner.url + "/p?k={{credential.api_key}}",
            partner=stored_partner,
            method="POST",
            body_type="json",
            body='{"k": "{{credential.api_key}}"}',
            headers={"X-Key": "{{credential.api_key}}"},
            retry_delays=[],
        )
    record(story.tenant, event())
    run_pump(until=lambda: len(attempts_of(story.tenant)) > 2)
    return story


@pytest.fixture
def echoing(partner_answering: Callable[[Answer], RecordingPartner]) -> RecordingPartner:
    return partner_answering(
        lambda path, headers: (400, {"X-Echo": headers["x-key"]}, path.encode() + SECRET.encode())
    )


def shows_secret(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def _text(answer: HttpResponseBase) -> str:
    """Return what was answered, also where it is a file that is streamed, or a picture."""
    return (b"".join(answer) if answer.streaming else answer.content).decode(errors="replace")


def answers(story: Story) -> Iterator[tuple[str, str]]:
    """Get every page of the admin, as its form stands and not filled, and every API address."""
    browser = sign_in(story.tenant.owner)
    for route in admin_routes():
        path = address(route, story)
        yield path, _text(browser.get(path))
    program = Client(headers={"Authorization": f"Bearer {story.tenant.api_token}"})
    ids = [str(key) for keys in story.uuids.values() for key in keys]
    for route in swept_routes():
        if route.template.startswith("/api/v1/"):
            for key in ids if route.parameters else [""]:
                path = route.template % dict.fromkeys(route.parameters, key)
                yield path, _text(program.get(path))


def test_no_page_answer_or_row_shows_what_a_failing_send_sent(
    echoing: RecordingPartner, run_pump: Run
) -> None:
    story = story_with_failing_send(echoing, run_pump)

    answered = dict(answers(story))

    assert any(SECRET.encode() in body for *_, body in echoing.requests), "it was really sent"
    assert len(answered) > 60
    assert {
        path: secrets for path, text in answered.items() if (secrets := shows_secret(text))
    } == {}
    assert shows_secret(everything_stored()) == []


def everything_stored() -> str:
    with as_role(roles.WORKER), connection.cursor() as cursor:
        texts = []
        for model in tenant_models():
            cursor.execute(
                f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {model._meta.db_table} t"
            )
            texts += cursor.fetchone()
    return " ".join(texts)


def test_no_log_line_shows_what_a_failing_send_sent(
    echoing: RecordingPartner, run_pump: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        story_with_failing_send(echoing, run_pump)

    assert shows_secret(caplog.text) == []


def test_no_log_line_shows_the_secret_when_nobody_can_be_reached(
    run_pump: Run, caplog: pytest.LogCaptureFixture, echoing: RecordingPartner
) -> None:
    echoing.server.server_close()  # the connection is refused

    with caplog.at_level(logging.DEBUG):
        story_with_failing_send(echoing, run_pump)

    assert shows_secret(caplog.text) == []


def test_an_error_with_all_its_variables_shows_no_secret() -> None:
    story = live_through("Gem Harbor")
    with tenant(story.organization_id):
        credential = PartnerCredential.objects.select_related("partner").get()
        credential.seal(SECRET)
        credential.name = "moved"

        try:
            credential.reveal()
        except SecretUnreadableError as error:
            report = traceback.TracebackException.from_exception(error, capture_locals=True)
        else:
            pytest.fail("a moved secret must not open")

    assert shows_secret("".join(report.format())) == []


def test_a_refused_form_and_a_refused_call_do_not_repeat_the_secret() -> None:
    story = live_through("Gem Harbor")
    key = story.keys[Partner][0]
    path = f"/admin/apps_registry/partner/{key}/change/"
    browser = sign_in(story.tenant.owner)
    form = filled_form(browser.get(path).content.decode())

    page = browser.post(path, {**form, "name": "", "credentials-0-secret": SECRET})
    answer = Program(story.tenant.api_token).patch(
        f"partners/{story.uuids[Partner][0]}", {"name": "", "credentials": {"api_key": SECRET}}
    )

    assert page.status_code == 200
    assert shows_secret(page.content.decode()) == []
    assert answer.status == 400
    assert shows_secret(str(answer.data)) == []


def test_an_answer_is_neither_shown_nor_read_that_may_repeat_a_piece_of_a_credential(
    partner_answering: Callable[[Answer], RecordingPartner], run_pump: Run
) -> None:
    partner = partner_answering(lambda path, headers: (200, {"X-Echo": path}, path.encode()))
    tenant_made = make.make_tenant()
    pieces = [
        ("{{credential.api_key|truncate:3}}", "k=s3c"),
        ("{{credential.api_key|truncate:3}}", "k=zzz"),
        ("{{credential.api_key|sha256|truncate:3}}", "k=00"),
        ('{{\'m\'|hmac_sha256:"api_key"|truncate:1|map:"0=a,1=b"}}', "k=a"),
    ]
    with tenant(tenant_made.organization.pk):
        stored_partner = make.make_partner(
            credentials={"api_key": SECRET}, allowed_hosts=(partner.host,)
        )
        for number, (macro, text) in enumerate(pieces):
            make.make_rule(
                name=f"Sends a piece {number}",
                url=f"{partner.url}/p?guess=s3c,zzz&k={macro}",
                partner=stored_partner,
                success={"body_contains": text},
            )

    record(tenant_made, event())
    run_pump(until=lambda: len(attempts_of(tenant_made)) == len(pieces))

    assert any("k=s3c" in path for _, path, *_ in partner.requests), "it was really sent"
    for attempt in attempts_of(tenant_made):
        assert attempt.response == {"headers": {}, "body": WITHHELD}
        assert (attempt.outcome, attempt.detail) == (
            "delivered",
            "Only the status counted: the request sends a piece of a credential.",
        )


def test_no_success_condition_reads_a_credential_that_is_echoed(
    partner_answering: Callable[[Answer], RecordingPartner], run_pump: Run
) -> None:
    partner = partner_answering(lambda path, headers: (200, {}, path.encode()))
    tenant_made = make.make_tenant()
    with tenant(tenant_made.organization.pk):
        stored_partner = make.make_partner(
            credentials={"api_key": SECRET}, allowed_hosts=(partner.host,)
        )
        for text in ("k=s3", "k=zz", "p?k="):
            make.make_rule(
                name=f"Asks for {text}",
                url=f"{partner.url}/p?k={{{{credential.api_key}}}}",
                partner=stored_partner,
                success={"body_contains": text},
                retry_delays=[],
            )

    record(tenant_made, event())
    run_pump(until=lambda: len(attempts_of(tenant_made)) == 3)

    with tenant(tenant_made.organization.pk):
        attempts = DeliveryAttempt.objects.select_related("postback__rule")
        errors = {attempt.postback.rule.name: attempt.error for attempt in attempts}
    assert errors == {
        "Asks for k=s3": "body_says_no",
        "Asks for k=zz": "body_says_no",
        "Asks for p?k=": "",
    }
