"""Limits on how long a statement of a web request may take, one within the other."""

import pytest
from django.db import connection

from postbacks.infrastructure.database.stalls import not_for_ever, not_for_ever_in_page

pytestmark = pytest.mark.django_db


def test_a_view_with_a_limit_of_its_own_stands_within_a_page() -> None:
    """As `/readyz` does."""
    with not_for_ever_in_page():
        with not_for_ever(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,)
