"""A partner's list is pasted or uploaded on a page, and read there line by line."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps_registry.models import Partner
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Discrepancy, Postback
from postbacks.rulebook import discrepancies
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import make_postback, report
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/discrepancy/"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def partner(made: make.Tenant) -> Partner:
    with tenant(made.organization.pk):
        partner = make.make_partner("Mintegral")
        rule = make.make_rule(partner=partner)
    sale = {"transaction_id": "T-1", "revenue": "4.99", "currency": "USD"}
    event = report(made.sdk_key, **sale)
    make_postback(rule, event, status="failed", reason="http_404", last_status_code=404)
    return partner


def work() -> None:
    with as_role(roles.WORKER):
        discrepancies.work()


def page_of(made: make.Tenant) -> str:
    with tenant(made.organization.pk):
        return f"{LIST}{Discrepancy.objects.latest('pk').pk}/change/"


def test_a_pasted_list_is_compared_and_read_line_by_line(
    made: make.Tenant, partner: Partner
) -> None:
    browser = sign_in(made.owner)
    assert "No list was compared yet" in browser.get(LIST).content.decode()

    pasted = {"partner": partner.pk, "text": "Transaction,Amount\nT-1,4.50\nT-2,1.00\n"}
    begun = browser.post(f"{LIST}start/", pasted, follow=True).content.decode()
    work()
    page = browser.get(page_of(made)).content.decode()
    chosen = browser.get(f"{page_of(made)}?outcome=failed").content.decode()
    piece = browser.get(page_of(made).replace("change", "progress")).content.decode()
    file = browser.get(page_of(made).replace("change", "lines"))
    rows = list(csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode("utf-8-sig"))))

    assert "No worker runs now" in begun
    for words in ("http_404 · HTTP 404", "4.99 USD", "4.5", "differs", "No click, transaction"):
        assert words in page, words
    assert "column 1 (“Transaction”)" in page
    assert "T-1" in chosen
    assert "T-2" not in chosen
    assert "Show the lines" in piece
    assert [(row["ID"], row["Outcome"]) for row in rows] == [
        ("T-1", "Failed"),
        ("T-2", "Not known here"),
    ]
    with tenant(made.organization.pk):
        sent = Postback.objects.get()
    assert f"/admin/postbacks/postback/?q={sent.sdk_event_id}" in page
    browser.post(page_of(made).replace("change", "remove"))
    assert "No list was compared yet" in browser.get(LIST).content.decode()


def test_a_file_of_excel_is_taken(made: make.Tenant, partner: Partner) -> None:
    file = SimpleUploadedFile("list.csv", "Transaktion;Betrag\r\nT-1;4,99\r\n".encode("utf-16"))

    sign_in(made.owner).post(f"{LIST}start/", {"partner": partner.pk, "file": file})
    work()

    with tenant(made.organization.pk):
        compared = Discrepancy.objects.get()
    assert (compared.counts, compared.their_money) == ({"failed": 1}, {"": "4.99"})


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"text": "a1"}, "This field is required"),
        ({"partner": True}, "Paste the list, or choose a file."),
        ({"partner": True, "text": " \n"}, "Paste the list, or choose a file."),
        ({"partner": True, "text": "click_id\n" + "a" * 2_000}, "Line 2 has an ID of 2,000"),
        ({"partner": True, "text": "a", "since": "soon"}, "This is not a date and time"),
        (
            {"partner": True, "text": "a", "file": SimpleUploadedFile("a.csv", b"a")},
            "not both",
        ),
        ({"partner": True, "file": SimpleUploadedFile("a.xlsx", b"PK\x03\x04")}, "CSV UTF-8"),
    ],
    ids=["no partner", "no list", "blanks", "a long ID", "no time", "two lists", "a workbook"],
)
def test_a_list_that_is_refused_says_why_beside_its_field(
    made: make.Tenant, partner: Partner, sent: dict[str, object], says: str
) -> None:
    browser: Client = sign_in(made.owner)
    form = {**sent, **({"partner": partner.pk} if "partner" in sent else {})}

    page = browser.post(f"{LIST}start/", form).content.decode()

    assert says in page
    with tenant(made.organization.pk):
        assert not Discrepancy.objects.exists()
