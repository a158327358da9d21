"""Hands copies that were kept over to whoever has their app by now. Run by workers."""

import logging

from django.db import OperationalError, transaction

from apps_registry.tenancy import tenant
from postbacks.intake.skadnetwork import unclaimed
from postbacks.intake.skadnetwork.reading import read_body, read_copy
from postbacks.intake.skadnetwork.recording import find_owner, store_copy

logger = logging.getLogger(__name__)


def hand_over_copies(limit: int = 200) -> int:
    """Hand a batch of copies over, each in a transaction of its own; return how many."""
    return sum(_hand_over(id_) for id_ in unclaimed.claimed_by_now(limit))


def _hand_over(id_: int) -> bool:
    try:
        with transaction.atomic():
            return _take_and_store(id_)
    except OperationalError:
        raise  # the database's trouble, not a copy's
    except Exception:
        logger.exception("The kept copy %d could not be handed over", id_)
        return False


def _take_and_store(id_: int) -> bool:
    taken = unclaimed.take(id_)
    if taken is None:  # another worker was quicker
        return False
    received_at, body = taken
    copy = read_copy(read_body(body.encode()))
    owner = find_owner(copy.store_id)
    if owner is None:  # let go of at this very moment
        unclaimed.keep(copy.store_id, body=body, received_at=received_at)
        return False
    organization_id, app_id = owner
    with tenant(organization_id):
        store_copy(copy, app_id=app_id, body=body, received_at=received_at)
    return True
