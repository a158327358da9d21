"""Mails the owners of the current organization of what needs somebody, once."""

import logging
from collections.abc import Callable
from functools import partial

from django.core.mail import EmailMessage
from django.db import transaction

from apps_registry.mail_text import mail_to_all
from apps_registry.models import Membership
from apps_registry.roles import Role
from apps_registry.tenancy import current_organization, tenant

logger = logging.getLogger(__name__)


def mail_owners(*, subject: str, body: str, undo: Callable[[], None]) -> None:
    """Mail the owners after the commit, since no transaction may wait for a mail server.

    The caller has marked them as notified, in the same transaction. If the mail can't be sent,
    `undo` takes the mark back, so that the next run tries again.
    """
    organization_id = current_organization() or 0
    owners = Membership.objects.filter(
        organization=organization_id, role=Role.OWNER, user__is_active=True
    )
    addresses = list(owners.order_by("id").values_list("user__email", flat=True))
    if addresses:
        mail = mail_to_all(addresses, subject=subject, body=body)
        transaction.on_commit(partial(_send, mail, organization_id, undo))


def _send(mail: EmailMessage, organization_id: int, undo: Callable[[], None]) -> None:
    try:
        mail.send()
    except Exception as error:
        with tenant(organization_id):
            undo()
        if not isinstance(error, OSError):  # refused, unreachable, timed out; smtplib's are, too
            raise
        logger.warning(
            "A mail to the owners of organization %d could not be sent; it is tried again",
            organization_id,
        )
