"""Makes the organization of the chaos run: `python -m tests.chaos.organization PORT...`.

It prints the secret of a server key. Of each event every rule that is triggered by its name sends
one postback.
"""

import os
import sys

import django

RULES = {  # path of the stand-in: the events that it is sent
    "/ok": ("purchase", "level"),
    "/late": ("purchase",),
    "/unsure": ("purchase", "level"),
    "/hang": ("hang",),  # only where a test sends that event
}
_RETRY_DELAYS = [1, 1, 2, 5, 10, 30, 60]


def main(ports: list[int]) -> None:
    from apps_registry.crypto import keys
    from apps_registry.models import App, BundleId, Membership, Organization, SdkKey, User
    from apps_registry.roles import Role
    from apps_registry.tenancy import tenant
    from postbacks.models import CallbackRule, RuleStatus
    from postbacks.rulebook import saving

    organization, _ = Organization.objects.get_or_create(name="Gem Harbor")
    owner = User.objects.create_user("owner@gemharbor.example", "correct horse battery")
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    fresh = keys.make_key(keys.SDK_KEY)
    with tenant(organization.pk):
        app = App.objects.create(name="Gem Harbor iOS", platform="ios")
        BundleId.objects.create(app=app, identifier="com.gemharbor.puzzle")
        SdkKey.objects.create(
            app=app, kind=SdkKey.Kind.SERVER, prefix=fresh.prefix, hash=fresh.hash
        )
        for port, (path, events) in zip(ports, RULES.items(), strict=True):
            rule = CallbackRule(
                name=path.strip("/"),
                status=RuleStatus.ACTIVE,
                triggers=list(events),
                url=f"http://127.0.0.1:{port}{path}?event={{{{event_id}}}}&idfa={{{{idfa}}}}",
                retry_delays=_RETRY_DELAYS,
                sign=path == "/ok",
            )
            saving.save(rule, by=None)
    sys.stdout.write(f"{fresh.secret}\n")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
    django.setup()
    main([int(port) for port in sys.argv[1:]])
