"""No request takes more than 5 MB, whatever it is made of."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests import make
from tests.admin.pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

IMPORT = "/admin/configuration/import/"


def large() -> SimpleUploadedFile:
    return SimpleUploadedFile("large.json", b" " * (5 * 1024 * 1024 + 1))


@pytest.mark.parametrize("path", [IMPORT, "/accounts/login/", "/accounts/password/reset/"])
def test_a_large_file_is_refused_before_it_is_stored(path: str) -> None:
    browser = sign_in(make.make_tenant().owner) if path == IMPORT else Client()

    answer = browser.post(path, {"file": large()})

    assert answer.status_code == 413


def test_a_file_of_some_size_is_read() -> None:
    browser = sign_in(make.make_tenant().owner)
    file = SimpleUploadedFile("some.json", b" " * (4 * 1024 * 1024))

    answer = browser.post(IMPORT, {"file": file})

    assert "larger than 1 MB" in answer.content.decode()
