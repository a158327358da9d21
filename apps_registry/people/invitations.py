"""Invitations: an owner invites an address, which gets a link that works once for seven days.

The link's token is in the mail only. The database and sessions hold its hash.
"""

import logging
import math
import smtplib
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import IntegrityError, models, transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from apps_registry.crypto import keys
from apps_registry.mail_text import one_line
from apps_registry.models import Invitation, Membership, Organization, User
from apps_registry.models.invitations import LIFETIME, InvitationState

_TOKEN_PREFIX = "pbi_"  # noqa: S105  # a prefix, not a secret

logger = logging.getLogger("postbacks.invitations")


class InvitationClosedError(Exception):
    """The invitation was accepted or revoked, or has expired."""

    def __init__(self, state: InvitationState) -> None:
        super().__init__(state.label)
        self.state = state


class TooManyInvitationsError(Exception):
    """The organization has invited as many as it may in an hour; `wait` are the seconds to wait."""

    def __init__(self, most: int, wait: int) -> None:
        super().__init__(
            f"This organization has sent {most} invitations within an hour, as many as it may. "
            f"Try again in {max(1, round(wait / 60))} min."
        )
        self.wait = wait


def of_organization(organization_id: int) -> "models.QuerySet[Invitation]":
    """Return an organization's invitations, newest first."""
    rows = Invitation.objects.filter(organization_id=organization_id)
    return rows.select_related("invited_by", "organization").order_by("-created_at", "-id")


def only_open(rows: "models.QuerySet[Invitation]") -> "models.QuerySet[Invitation]":
    """Return the invitations whose link still works."""
    return rows.filter(
        accepted_at=None,
        revoked_at=None,
        expires_at__gt=timezone.now(),
        organization__removed_at=None,
    )


def is_invited(email: str) -> bool:
    """Return whether an address has an open invitation."""
    return only_open(Invitation.objects.filter(email=email.lower())).exists()


def find_by_token_hash(token_hash: str) -> Invitation | None:
    """Return the invitation of a link, whatever its state."""
    rows = Invitation.objects.select_related("organization", "invited_by")
    return rows.filter(token_hash=token_hash, organization__removed_at=None).first()


@transaction.atomic
def invite(*, organization_id: int, email: str, role: str, by: User | None) -> Invitation:
    """Invite an address; the link is mailed after the commit.

    Raises ValidationError, on the field `email`, for a member and for a second invitation, and
    TooManyInvitationsError.
    """
    email = email.strip().lower()
    _check_rate(organization_id)
    if Membership.objects.filter(organization_id=organization_id, user__email=email).exists():
        raise ValidationError({"email": "This person is already a member."})
    earlier = of_organization(organization_id).filter(
        email=email, accepted_at=None, revoked_at=None, expires_at__lte=timezone.now()
    )
    for expired in earlier:  # an address has at most one invitation that is not closed
        revoke(expired)
    fresh = keys.make_key(_TOKEN_PREFIX)
    invitation = Invitation(
        organization_id=organization_id,
        email=email,
        role=role,
        token_hash=fresh.hash,
        invited_by=by,
    )
    try:
        invitation.full_clean()
        with transaction.atomic():
            invitation.save()
    except ValidationError as error:
        raise _on_email_field(error) from None
    except IntegrityError:  # somebody else invited the address at the same moment
        raise ValidationError({"email": "This address is invited already."}) from None
    _mail_after_commit(invitation, fresh.secret)
    return invitation


@transaction.atomic
def resend(invitation: Invitation) -> None:
    """Mail a new link, valid for seven days; the earlier link stops working.

    Raises InvitationClosedError for an accepted or revoked invitation, and
    TooManyInvitationsError.
    """
    row = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if row.state not in {InvitationState.OPEN, InvitationState.EXPIRED}:
        raise InvitationClosedError(row.state)
    _check_rate(row.organization_id)
    fresh = keys.make_key(_TOKEN_PREFIX)
    row.token_hash = fresh.hash
    row.expires_at = timezone.now() + LIFETIME
    row.mailed_at = None
    row.save(update_fields=["token_hash", "expires_at", "mailed_at"])
    _mail_after_commit(row, fresh.secret)


@transaction.atomic
def revoke(invitation: Invitation) -> None:
    """Revoke an open or expired invitation; any other stays as it is."""
    row = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if row.accepted_at is None and row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])


@transaction.atomic
def accept(token_hash: str, person: User) -> Membership:
    """Make the invited person a member; an existing member keeps their role.

    Raises InvitationClosedError, or ValidationError if the person has another address.
    """
    invitation = _locked(token_hash)
    if person.email != invitation.email or not person.is_active:
        raise ValidationError("This invitation is for another address.")
    membership, _ = Membership.objects.get_or_create(
        organization_id=invitation.organization_id, user=person, defaults={"role": invitation.role}
    )
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    return membership


@transaction.atomic
def join(token_hash: str, *, name: str, password: str | None) -> Membership:
    """Create an account for the invited address and accept: the link proves the mailbox.

    Without a password the person signs in by single sign-on. Raises like `accept`.
    """
    invitation = _locked(token_hash)
    if User.objects.filter(email=invitation.email).exists():
        raise ValidationError("There is an account with this address by now. Sign in to accept.")
    return accept(token_hash, User.objects.create_user(invitation.email, password, name=name))


def _locked(token_hash: str) -> Invitation:
    """Return the open invitation, locked, so that only one of two simultaneous calls accepts it."""
    invitation = Invitation.objects.select_for_update().get(token_hash=token_hash)
    if invitation.state is not InvitationState.OPEN:
        raise InvitationClosedError(invitation.state)
    return invitation


def _check_rate(organization_id: int) -> None:
    """Refuse a mail too many: anybody can be invited, and so be sent mail by strangers.

    An invitation counts with its last mail, whatever became of it. Raises TooManyInvitationsError.
    """
    rate = settings.RATE_LIMIT_INVITATIONS
    if rate is None:
        return
    # Two that invite at once take turns, so that both do not take the last place.
    Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
    now = timezone.now()
    counted = Invitation.objects.filter(
        organization_id=organization_id,
        expires_at__gt=now + LIFETIME - timedelta(seconds=rate.seconds),
    )
    newest = counted.order_by("-expires_at").values_list("expires_at", flat=True)
    expiries = list(newest[: rate.amount])
    if len(expiries) >= rate.amount:
        free_at = expiries[-1] - LIFETIME + timedelta(seconds=rate.seconds)
        raise TooManyInvitationsError(rate.amount, math.ceil((free_at - now).total_seconds()))


def _on_email_field(error: ValidationError) -> ValidationError:
    """Return the error with its general messages, of constraints, moved to the field `email`."""
    messages = dict(error.message_dict)
    if general := messages.pop("__all__", None):
        messages["email"] = [*messages.get("email", []), *general]
    return ValidationError(messages)


def _mail_after_commit(invitation: Invitation, token: str) -> None:
    transaction.on_commit(partial(_mail, invitation.pk, token))


def _mail(invitation_id: int, token: str) -> None:
    invitation = Invitation.objects.select_related("organization", "invited_by").get(
        pk=invitation_id
    )
    link = settings.PUBLIC_URL + reverse("invitation_link", args=[token])
    names = {
        "by": one_line(str(invitation.invited_by or "")),
        "organization": one_line(invitation.organization.name),
    }
    text = render_to_string(
        "accounts/mail/invitation.txt", {"row": invitation, "link": link, **names}
    )
    try:
        send_mail(_subject(invitation), text, None, [invitation.email])
    except (OSError, smtplib.SMTPException) as error:
        # Logged without the error's text, which holds the link. The list shows “Not mailed”.
        logger.error("An invitation could not be mailed: %s", type(error).__name__)  # noqa: TRY400
        return
    Invitation.objects.filter(pk=invitation_id).update(mailed_at=timezone.now())


def _subject(invitation: Invitation) -> str:
    return f"Join {one_line(invitation.organization.name)} on Postbacks"
