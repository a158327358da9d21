"""Code snippets for new keys, ready to be copied from a page and run."""

import json
import uuid

_ADVERTISING_IDS = {
    "ios": {"idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC"},
    "android": {"gaid": "38400000-8cf0-11bd-b23e-10b96e40000d"},
}


def event_snippet(public_url: str, key: str, platform: str) -> str:
    """Return the command that reports a purchase, with a new event id for each page."""
    event = {
        "event_id": str(uuid.uuid4()),
        "event_name": "purchase",
        "install_id": "my-test-device",
        **_ADVERTISING_IDS.get(platform, {}),
        "ip_address": "203.0.113.7",
        "user_agent": "curl",
        "revenue": "4.99",
        "currency": "USD",
    }
    return (
        f"curl {public_url}/api/v1/events \\\n"
        f'  -H "Authorization: Bearer {key}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(event)}'"
    )


def app_list_snippet(public_url: str, token: str) -> str:
    return f'curl {public_url}/api/v1/apps \\\n  -H "Authorization: Bearer {token}"'


def tenjin_snippet(public_url: str, bundle_id: str, platform: str) -> str:
    """Return the command that reports an open as a Tenjin server integration does."""
    parameters = {
        "bundle_id": bundle_id,
        "platform": platform,
        "os_version": "18.2" if platform == "ios" else "34",
        "sdk_version": "server",
        "analytics_installation_id": uuid.uuid4().hex,
        "advertising_id": "00000000-0000-0000-0000-000000000000",
        "ip_address": "203.0.113.7",
    }
    lines = [f"curl {public_url}/v0/event -u YOUR_SDK_KEY:"]
    lines += [f"-d {name}={value}" for name, value in parameters.items()]
    return " \\\n  ".join(lines)


def signed_click_snippet(public_url: str, kid: str, secret: str) -> str:
    """Return the Python program that signs a tracking link."""
    return (
        "import hashlib, hmac, time\n"
        "from urllib.parse import quote\n"
        f'secret, host, path = "{secret}", "{public_url}", "/c/YOUR_TOKEN"\n'
        f'params = {{"click_id": "abc", "kid": "{kid}", "exp": str(int(time.time()) + 86400)}}\n'
        "query = \"&\".join(f\"{quote(n, safe='')}={quote(v, safe='')}\" "
        "for n, v in sorted(params.items()))\n"
        'sig = hmac.new(secret.encode(), f"{path}?{query}".encode(), hashlib.sha256).hexdigest()\n'
        'print(f"{host}{path}?{query}&sig={sig}")'
    )
