"""What each role may do."""

import pytest

from apps_registry.roles import Right, Role, allows


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.OWNER, {Right.READ, Right.EXPORT, Right.SET_UP, Right.RESEND, Right.MANAGE}),
        (Role.MARKETER, {Right.READ, Right.EXPORT, Right.SET_UP, Right.RESEND}),
        (Role.ANALYST, {Right.READ, Right.EXPORT}),
    ],
)
def test_a_role_has_its_rights_and_no_other(role: Role, rights: set[Right]) -> None:
    granted = {right for right in Right if allows(role, right)}

    assert granted == rights


def test_every_role_is_in_the_table() -> None:
    readers = {role for role in Role if allows(role, Right.READ)}

    assert readers == set(Role)


def test_an_unknown_role_has_no_right() -> None:
    granted = {right for right in Right if allows("superuser", right)}

    assert granted == set()
