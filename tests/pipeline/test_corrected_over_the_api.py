"""Failed, corrected, sent again: the whole loop as a program plays it."""

from collections.abc import Callable

import pytest

from tests.api.calling import owner_of, report
from tests.make import make_tenant
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_corrected_rules import make_all_due, was_tried
from tests.pipeline.test_pump import all_ended

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("status", [404, 500])
def test_what_failed_or_waits_is_delivered_to_the_corrected_url(
    partner_answering: Callable[[Answer], RecordingPartner],
    ok_partner: RecordingPartner,
    run_pump: Run,
    status: int,
) -> None:
    broken = partner_answering(lambda *_: (status, {}, b""))
    gem = make_tenant()
    api = owner_of(gem)
    made = api.post(
        "callback-rules",
        {
            "name": "Purchases",
            "status": "active",
            "triggers": ["purchase"],
            "url": f"{broken.url}/old?e={{{{event_name}}}}",
            "retry_delays": [3600],
        },
    )
    rule = f"callback-rules/{made.data['id']}"
    report(gem.sdk_key)
    run_pump(until=was_tried(gem))
    (before,) = api.rows("postbacks")
    address = f"postbacks/{before['id']}"

    assert api.patch(rule, {"url": f"{ok_partner.url}/new?e={{{{event_name}}}}"}).status == 200
    if before["status"] == "failed":
        assert api.post(f"{address}/resend").status == 202
    make_all_due()
    run_pump(until=all_ended(gem))
    run_pump(until=lambda: api.get(address).data["status"] == "delivered")

    after = api.get(address).data
    first, second = after["attempts"]
    assert before["status"] == ("failed" if status == 404 else "pending")
    assert (after["id"], after["rule_version"]) == (before["id"], 1)
    assert (first["rule_version"], second["rule_version"]) == (1, 2)
    assert second["differences"] == [
        {"field": "url", "before": f"{broken.url}/old", "after": f"{ok_partner.url}/new"}
    ]
    assert len(broken.requests) == len(ok_partner.requests) == 1
    assert ok_partner.requests[0][1] == "/new?e=purchase"


def test_what_was_skipped_is_delivered_once_the_map_names_it(
    ok_partner: RecordingPartner,
    run_pump: Run,
) -> None:
    gem = make_tenant()
    api = owner_of(gem)
    made = api.post(
        "callback-rules",
        {
            "name": "Purchases",
            "status": "active",
            "url": f"{ok_partner.url}/p?e={{{{partner_event_name}}}}",
            "event_map": {"install": "af_install"},
            "frequency": "first",
        },
    )
    event_id = report(gem.sdk_key, install_id="device-1")
    run_pump(until=all_ended(gem))
    (skipped,) = api.rows("postbacks", event_id=event_id)
    address = f"postbacks/{skipped['id']}"
    refused = api.post(f"{address}/resend")

    corrected = {"event_map": {"install": "af_install", "purchase": "af_purchase"}}
    assert api.patch(f"callback-rules/{made.data['id']}", corrected).status == 200
    as_decided = api.post(f"{address}/resend", {"as_decided": True})
    resent = api.post(f"{address}/resend")
    run_pump(until=all_ended(gem))

    after = api.get(address).data
    assert (skipped["status"], skipped["reason"]) == ("skipped", "not_mapped")
    assert (refused.status, as_decided.status, resent.status) == (409, 409, 202)
    assert "event map does not name this event" in refused.data["detail"]
    assert (after["status"], after["reason"], after["rule_version"]) == ("delivered", None, 2)
    assert [path for _, path, _, _ in ok_partner.requests] == ["/p?e=af_purchase"]
    (entry,) = api.rows("audit-log", action="resent")
    assert entry["changes"]["reason"] == ["not_mapped", ""]
