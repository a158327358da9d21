"""The page of all bounds says what the code does, and so does the API's description."""

import re
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from apps_registry.csv_format import MAX_ROWS
from postbacks.accounts import stranger_sessions
from postbacks.accounts import views as accounts
from postbacks.alerts import sending
from postbacks.callbacks.macros import compiled, compiler, expressions, headers, skeleton, url
from postbacks.callbacks.rules import comparisons, conditions, definition
from postbacks.configuration import document, importing
from postbacks.delivery import claim_turns, success
from postbacks.delivery.http import response
from postbacks.infrastructure.rate_limits import at_once
from postbacks.insights import export_schedules as schedules
from postbacks.insights import exports, saved_views
from postbacks.intake import refused_events
from postbacks.intake.events import body, fields, lenient_json, validation
from postbacks.intake.links import reading
from postbacks.intake.skadnetwork import recording, unclaimed
from postbacks.models import alerts as alert_rows
from postbacks.models import export_schedules, jobs, rules, test_devices
from postbacks.models.refused_events import LONGEST_CONTENT
from postbacks.rulebook import discrepancies, dry_run, replays, test_send
from postbacks.values import partner_lists
from postbacks.web import patient_worker, slow_connections

PAGE = Path(__file__).resolve().parent.parent / "docs" / "bounds.md"
_ROW = re.compile(r"^\| (.+?) \| ([0-9][0-9,]*) \|", re.M)
BOUNDS = {
    "rules of an app": rules.MOST_RULES_OF_APP,
    "rules of an organization": rules.MOST_RULES,
    "one rule, as bytes": rules.LARGEST_RULE,
    "an organization's rules together": rules.LARGEST_RULES,
    "requests of an organization that take long": at_once.MOST_RUNNING,
    "faults of a configuration file": importing.MOST_PROBLEMS,
    "hours of a session in which": stranger_sessions.SECONDS // 3_600,
    "passkey questions of a network": accounts.PASSKEY_SIGN_INS.amount,
    "conditions of a rule": conditions.MOST_CONDITIONS,
    "bytes of a rule's conditions": conditions.LARGEST_CONDITIONS,
    "values of a condition's list": comparisons.MOST_VALUES,
    "characters of a condition's value": comparisons.LONGEST_VALUE,
    "characters of a pattern": comparisons.LONGEST_PATTERN,
    "patterns of a rule that need more than": comparisons.MOST_LARGE_PATTERNS,
    "bytes of a value that a pattern": comparisons.LONGEST_MATCHED,
    "milliseconds of processor time for one rule's": int(conditions.RULE_SECONDS * 1000),
    "milliseconds of processor time for all": int(conditions.EVENT_SECONDS * 1000),
    "characters of a rule's name": rules.LONGEST_RULE_NAME,
    "events that start a rule": definition.MOST_TRIGGERS,
    "renamed events of a rule": definition.MOST_MAPPED,
    "waits between tries": rules.MOST_WAITS,
    "answers that say no": success.MOST_MARKS,
    "values of such an answer": success.MOST_VALUES,
    "macros of a request": skeleton.MOST_MACROS,
    "filters of a macro": expressions._MOST_FILTERS,
    "characters of a macro's value": expressions.LONGEST_RESULT,
    "characters that all filters": expressions.MOST_WRITTEN,
    "characters of a URL": url.LONGEST_URL,
    "headers of a rule": compiler.MOST_HEADERS,
    "characters of a header's value": headers.LONGEST_VALUE,
    "characters of a body's template": compiler.LONGEST_BODY_TEMPLATE,
    "bytes of a body": skeleton.LONGEST_BODY,
    "characters of a credential": compiled.LONGEST_CREDENTIAL,
    "bytes that are read of": response.MOST_BODY,
    "bytes of large requests": claim_turns.HEAVY_BYTES,
    "bytes of a request, inflated": body.MAX_BYTES,
    "events of a request": body.MAX_EVENTS,
    "bytes of an event's `params`": validation.MAX_PARAMS_BYTES,
    "levels of `params`": lenient_json.MAX_DEPTH,
    "characters of an event's name": fields.MOST_OF_NAME,
    "characters of an ID": fields.MOST_OF_ID,
    "characters of any other text": fields.MOST_OF_TEXT,
    "bytes of a copy": recording.MAX_BYTES,
    "copies that are kept": unclaimed.MAX_COPIES_PER_APP,
    "parameters of a tracking link": reading.MAX_PARAMETERS,
    "characters of a tracking link's": reading.MAX_QUERY,
    "[refused events]": refused_events.ROWS_PER_DAY,
    "refused events that are kept": refused_events.ROWS_PER_SECOND,
    "bytes that are kept of a refused": LONGEST_CONTENT,
    "counters of refused events": refused_events.MOST_COUNTERS_A_DAY,
    "bytes of a request's head": slow_connections.HEAD_BYTES,
    "bytes of all requests that come": patient_worker.WAITING_BYTES,
    "bytes of an answer": slow_connections.ANSWER_BYTES,
    "bytes of all answers": patient_worker.UNREAD_BYTES,
    "seconds for a request": int(slow_connections.SECONDS),
    "postbacks of a replay": replays.MOST_POSTBACKS,
    "postbacks that a replay names": replays.MOST_IDS,
    "test sends of": test_send.MOST_WAITING,
    "dry runs of": dry_run.MOST_RUNNING,
    "events of a dry run": dry_run.MOST_EVENTS,
    "seconds of a dry run": int(dry_run.TIME_BOX_SECONDS),
    "workers that an export": jobs.BackgroundJob.MOST_TRIES,
    "test devices": test_devices.MOST_MARKS,
    "alerts of an organization": alert_rows.MOST_ALERTS,
    "members whom an alert mails": alert_rows.MOST_EMAILS,
    "open incidents of an alert": alert_rows.MOST_OPEN,
    "minutes that an alert looks back": alert_rows.LONGEST_MINUTES,
    "notices of an organization that are sent": sending.OF_EACH,
    "days that ended incidents and notices": alert_rows.INCIDENT_DAYS_KEPT,
    "rows of a file that is sent at once": MAX_ROWS,
    "saved views of a person": saved_views.MOST_OF_PERSON,
    "saved views that are shared": saved_views.MOST_SHARED,
    "exports in the background": exports.MOST_RUNNING,
    "exports of an organization that are kept": exports.MOST_KEPT,
    "scheduled exports of": export_schedules.MOST_SCHEDULES,
    "exports of one schedule": schedules.MOST_RUNNING,
    "days that the file of an export": jobs.KEPT_FOR.days,
    "lines of a partner's list": partner_lists.MOST_LINES,
    "megabytes of such a list": partner_lists.MOST_BYTES // 10**6,
    "characters of one of its lines": partner_lists.LONGEST_LINE,
    "lists of an organization that are compared": discrepancies.MOST_RUNNING,
    "comparisons of an organization": discrepancies.MOST_KEPT,
    "days that a comparison": jobs.KEPT_FOR.days,
    "rows of a kind in a configuration": document.MOST_ROWS,
}


def test_the_page_of_bounds_has_each_bound_of_the_code_and_no_other() -> None:
    text = PAGE.read_text()
    written = {what: int(number.replace(",", "")) for what, number in _ROW.findall(text)}

    found = {
        start: [number for what, number in written.items() if what.startswith(start)]
        for start in BOUNDS
    }

    assert found == {start: [bound] for start, bound in BOUNDS.items()}
    assert len(written) == len(BOUNDS)
    assert f"each value of a list counting {definition.VALUE_BYTES} more" in text
    assert f"over {claim_turns.SMALL_BYTES // 1024} KiB" in text


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema["components"]["schemas"]


def test_the_api_describes_the_bounds_of_rules(schemas: dict[str, Any]) -> None:
    one, many = schemas["Condition"]["properties"]["value"]["oneOf"][:2]
    rule = schemas["Rule"]["properties"]

    assert many["maxItems"] == comparisons.MOST_VALUES
    assert many["items"]["maxLength"] == comparisons.LONGEST_VALUE
    assert one["maxLength"] >= comparisons.MOST_VALUES * comparisons.LONGEST_VALUE
    for join in ("all", "any"):
        lines = schemas["Conditions"]["properties"][join]
        assert lines["maxItems"] == conditions.MOST_CONDITIONS
    assert f"{rules.MOST_RULES_OF_APP:,}" in rule["app"]["description"]
    assert f"{rules.MOST_RULES:,}" in rule["app"]["description"]
    assert rule["retry_delays"]["maxItems"] == rules.MOST_WAITS
    assert rule["name"]["maxLength"] == rules.LONGEST_RULE_NAME
    for kind in ("final", "retry"):
        assert schemas["Success"]["properties"][kind]["maxItems"] == success.MOST_MARKS
