"""Seal all secrets with the newest key: `manage.py rotate_encryption_keys`."""

from django.conf import settings
from django.core.management.base import CommandError

from apps_registry.crypto.encryption import primary_key_id
from apps_registry.key_rotation import Rotation, rotate
from postbacks.management.base import RecordedCommand


class Command(RecordedCommand):
    """Encrypts every secret again whose key is not the first in FIELD_ENCRYPTION_KEYS."""

    help = (
        "Encrypts again every secret whose key is not the first in FIELD_ENCRYPTION_KEYS. Put the "
        "new key in front, restart all web and worker processes, then run this. It may be "
        "interrupted and started again. It says which older keys may be removed."
    )

    def handle(self, *args: object, **options: object) -> None:
        rotation = rotate()
        self.stdout.write(
            f"Sealed {rotation.resealed} secrets anew; {rotation.by_key[primary_key_id()]} in all "
            f"are sealed with the key “{primary_key_id()}”."
        )
        for key in self._older_keys():
            self.stdout.write(_state_of_key(key, rotation))
        if rotation.unreadable:
            raise CommandError(
                f"{len(rotation.unreadable)} secrets can't be read. Bring their key back into "
                "FIELD_ENCRYPTION_KEYS and run this again, or enter them again:\n"
                + "\n".join(rotation.unreadable)
            )

    def _older_keys(self) -> list[str]:
        return [key for key in settings.FIELD_ENCRYPTION_KEYS if key != primary_key_id()]


def _state_of_key(key: str, rotation: Rotation) -> str:
    left = rotation.by_key[key]
    if left:
        return f"The key “{key}” must stay: {left} secrets are still sealed with it."
    return f"The key “{key}” seals nothing any more: you may remove it from FIELD_ENCRYPTION_KEYS."
