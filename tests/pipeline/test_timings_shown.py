"""Where an attempt's time went, as people and programs read it."""

import html

import pytest

from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.events import attempts_of, event, record
from tests.pipeline.conftest import RecordingPartner, Run

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_attempt_says_where_its_time_went(ok_partner: RecordingPartner, run_pump: Run) -> None:
    gem = make.make_tenant()
    make.make_tenant_rule(gem, ok_partner.url)
    record(gem, event(install_id="d-1"))
    run_pump(lambda: len(attempts_of(gem)) == 1)
    record(gem, event(install_id="d-2"))
    run_pump(lambda: len(attempts_of(gem)) == 2)

    newest, first = owner_of(gem).rows("postbacks")

    timings = [row["attempts"][0]["timings"] for row in (first, newest)]
    assert [(each["dns_ms"], each["tls_ms"]) for each in timings] == [(None, None)] * 2
    assert timings[0]["connect_ms"] is not None
    assert all(each["first_byte_ms"] is not None for each in timings)
    page = _page(gem)
    for words in ("Where the time went", "Connection", "Until the first byte of the answer"):
        assert words in page


def test_an_attempt_of_before_has_no_times(ok_partner: RecordingPartner, run_pump: Run) -> None:
    gem = make.make_tenant()
    make.make_tenant_rule(gem, ok_partner.url)
    record(gem, event())
    run_pump(lambda: len(attempts_of(gem)) == 1)
    database.superuser().execute("UPDATE delivery_attempt SET timings = NULL")

    (row,) = owner_of(gem).rows("postbacks")

    assert row["attempts"][0]["timings"] is None
    assert "Where the time went" not in _page(gem)


def _page(gem: make.Tenant) -> str:
    key = attempts_of(gem)[0].postback_id
    answer = sign_in(gem.owner).get(f"/admin/postbacks/postback/{key}/change/")
    return html.unescape(answer.content.decode())
