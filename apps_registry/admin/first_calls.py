"""The commands that somebody runs first with a new key; copied from a page, they work."""

import json
import uuid


def first_event(public_url: str, key: str) -> str:
    """Return the command that reports an event; each page has an event of its own."""
    event = {
        "event_id": str(uuid.uuid4()),
        "event_name": "registration",
        "install_id": "my-test-device",
        "ip_address": "203.0.113.7",
        "user_agent": "curl",
    }
    return (
        f"curl {public_url}/api/v1/events \\\n"
        f'  -H "Authorization: Bearer {key}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(event)}'"
    )


def first_list(public_url: str, token: str) -> str:
    """Return the command that lists the organization's apps."""
    return f'curl {public_url}/api/v1/apps \\\n  -H "Authorization: Bearer {token}"'
