"""Partners with their credentials and allowed hosts, their campaigns, and the tracking links."""

import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import exceptions, serializers

from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.models.partners import ALLOWED_HOST, CREDENTIAL_NAME, NETWORK_ID
from apps_registry.models.tracking_links import DESTINATION
from apps_registry.roles import Right
from postbacks.api.authentication import Caller
from postbacks.api.base import RegistryViewSet, missing_right
from postbacks.api.fields import IdFilter, MillisecondDateTimeField, PublicIdField
from postbacks.api.query import ArchivableQuery
from postbacks.api.strict import RowSerializer
from postbacks.callbacks.macros.problems import nearest
from postbacks.callbacks.partner_templates import (
    all_templates,
    click_parameters,
    missing_credentials,
    template_named,
)
from postbacks.insights.left_out_values import left_out_values
from postbacks.models import BreakerState
from postbacks.rulebook.breakers import breakers_of_partners
from postbacks.rulebook.held_postbacks import rules_of, skipped_by_archiving

_A_MASK = "This is the mask of a secret, not the secret itself."


BREAKERS_HELP = (
    "Hosts that failed again and again, so that postbacks wait instead of using up attempts; a "
    "request is tried at `next_probe_at`. Empty: no postback of a rule that is on waits for one."
)


class BreakerSerializer(serializers.Serializer):
    """An open circuit breaker: a host and port to which nothing is sent now."""

    host = serializers.CharField(help_text="Masked where it is a credential.")
    port = serializers.IntegerField(
        allow_null=True, help_text="Null where the host is a credential."
    )
    state = serializers.ChoiceField(
        [(each.value, each.label) for each in BreakerState if each != BreakerState.CLOSED],
        help_text="`half_open`: one request is finding out whether the partner answers again.",
    )
    reason = serializers.CharField(help_text="The code of the last failure: `timeout`, `http_503`.")
    since = MillisecondDateTimeField()
    next_probe_at = MillisecondDateTimeField()


class CredentialsField(serializers.DictField):
    """Secrets by name: written in full, read masked, removed by null."""

    child = serializers.CharField(max_length=4096, allow_null=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> Any:
        """Return the secrets by name. Raises ValidationError for a name that no macro can hold."""
        secrets = super().to_internal_value(data)
        invalid = [name for name in secrets if not re.fullmatch(CREDENTIAL_NAME.regex, name)]
        if invalid:
            raise serializers.ValidationError(
                {name: [str(CREDENTIAL_NAME.message)] for name in invalid}
            )
        return secrets

    def to_representation(self, value: Any) -> dict[str, str]:
        return {credential.name: credential.masked for credential in value.all()}


class PartnerSerializer(RowSerializer):
    """A partner."""

    allowed_hosts = serializers.ListField(
        child=serializers.CharField(max_length=255, validators=[ALLOWED_HOST]),
        required=False,
        help_text="Hosts that the credentials may be sent to. Only an owner can change them.",
    )
    skadnetwork_ids = serializers.ListField(
        child=serializers.CharField(max_length=255, validators=[NETWORK_ID]),
        required=False,
        help_text=(
            "The IDs of this network in Apple's postbacks, for example 4fzdc2evr5.skadnetwork. The "
            "ending .adattributionkit means the same."
        ),
    )
    credentials = CredentialsField(
        required=False,
        help_text=(
            "Secrets for {{credential.name}} by name; null removes one, what isn't named stays. "
            "They are shown masked."
        ),
    )

    template = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=64,
        help_text=(
            "The partner template that this partner is made from; it sets the allowed hosts. "
            "Chosen once. Empty: none."
        ),
    )
    missing_credentials = serializers.SerializerMethodField(
        help_text="Credentials that the template asks for and this partner does not have."
    )

    breakers = serializers.SerializerMethodField(help_text=BREAKERS_HELP)

    class Meta:
        model = Partner
        fields = (
            *("id", "name", "template", "allowed_hosts", "skadnetwork_ids", "click_signing"),
            *("credentials", "missing_credentials", "breakers", "status", "created_at"),
        )
        read_only_fields = ("status",)

    def get_missing_credentials(self, partner: Partner) -> list[str]:
        """Return their names."""
        template = template_named(partner.template)
        if template is None:
            return []
        names = [credential.name for credential in partner.credentials.all()]
        return [credential.name for credential in missing_credentials(template, names)]

    @extend_schema_field(BreakerSerializer(many=True))
    def get_breakers(self, partner: Partner) -> Any:
        """Return the open circuit breakers, which a page of partners has read already."""
        known = getattr(partner, "open_breakers", None)
        breakers = breakers_of_partners([partner]).get(partner.pk, []) if known is None else known
        return BreakerSerializer(breakers, many=True).data

    def _repeats(self, name: str, value: object) -> bool:
        # Workers change it: a row that was just read can be written back all the same.
        return name == "breakers" or super()._repeats(name, value)

    def validate_template(self, name: str) -> str:
        """Accept a known template, once: the rules were made from it."""
        if isinstance(self.instance, Partner) and name != self.instance.template:
            raise serializers.ValidationError("A partner's template is chosen when it is created.")
        if name and template_named(name) is None:
            meant = nearest(name, all_templates())
            hint = f" Did you mean {meant}?" if meant else ""
            raise serializers.ValidationError(f"There is no partner template “{name}”.{hint}")
        return name

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Take the allowed hosts of the template, unless the request has others."""
        template = template_named(values.get("template", ""))
        if self.instance is None and template is not None:
            values.setdefault("allowed_hosts", list(template.allowed_hosts))
        return values

    def validate_allowed_hosts(self, hosts: list[str]) -> list[str]:
        """Require MANAGE for a change of the hosts that secrets may be sent to."""
        caller: Caller = self.context["request"].user
        before = self.instance.allowed_hosts if isinstance(self.instance, Partner) else []
        if hosts != before and not caller.allows(Right.MANAGE):
            raise exceptions.PermissionDenied(missing_right(caller, Right.MANAGE))
        return hosts

    def validate_credentials(self, secrets: dict[str, str | None]) -> dict[str, str | None]:
        """Skip masks that are sent back unchanged, and never store one as a secret."""
        masks = self._masks()
        changed = {
            name: secret
            for name, secret in secrets.items()
            if secret is None or secret != masks.get(name)
        }
        masked = [name for name, secret in changed.items() if secret and secret.startswith("•••")]
        if masked:
            raise serializers.ValidationError({name: [_A_MASK] for name in masked})
        return changed

    def save(self, **kwargs: object) -> Any:
        secrets = self.validated_data.pop("credentials", {})
        partner = super().save(**kwargs)
        partner.set_credentials(secrets)
        return partner

    def _masks(self) -> dict[str, str]:
        if not isinstance(self.instance, Partner):
            return {}
        return {
            credential.name: credential.masked for credential in self.instance.credentials.all()
        }


class PartnerQuery(ArchivableQuery):
    """Filters of partners."""

    name = serializers.CharField(required=False)


class PartnerViewSet(RegistryViewSet):
    """Ad networks, MMPs, analytics tools and own servers that receive postbacks."""

    model = Partner
    serializer_class = PartnerSerializer
    queries = {"list": PartnerQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().prefetch_related("credentials")

    def skipped_by_archiving(self, row: Any) -> int:
        return skipped_by_archiving(rules_of([row]))

    def read_related(self, rows: Sequence[Any]) -> None:
        breakers = breakers_of_partners(rows)
        for partner in rows:
            partner.open_breakers = breakers.get(partner.pk, [])


class CampaignSerializer(RowSerializer):
    """A campaign."""

    app = PublicIdField(App)
    partner = PublicIdField(Partner)

    class Meta:
        model = Campaign
        fields = ("id", "name", "app", "partner", "remote_campaign_id", "status", "created_at")
        read_only_fields = ("status",)


class CampaignQuery(ArchivableQuery):
    """Filters of campaigns."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    name = serializers.CharField(required=False)
    remote_campaign_id = serializers.CharField(required=False)
    lookups = {"app": "app_id", "partner": "partner_id"}


class CampaignViewSet(RegistryViewSet):
    """Partners' promotions of apps."""

    model = Campaign
    serializer_class = CampaignSerializer
    queries = {"list": CampaignQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("app", "partner")


class LeftOutValueSerializer(serializers.Serializer):
    """A value that the network sent in place of one, how often, and when last."""

    parameter = serializers.CharField()
    value = serializers.CharField(help_text="As it was sent, such as $$CLICK_ID$$.")
    count = serializers.IntegerField()
    last_at = MillisecondDateTimeField()


class TrackingLinkSerializer(RowSerializer):
    """A tracking link with its two addresses for the network."""

    campaign = PublicIdField(Campaign)
    allowed_destinations = serializers.ListField(
        child=serializers.CharField(max_length=255, validators=[DESTINATION]),
        required=False,
        help_text="Schemes and hosts that deep_link and fallback in the address may lead to.",
    )
    click_url = serializers.CharField(
        read_only=True, help_text="The click address with the network's parameters."
    )
    impression_url = serializers.CharField(read_only=True, help_text="The same for impressions.")

    parameters = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Parameters that the network fills in, such as click_id={clickid}. A new link "
        "without them has those of its partner's template.",
    )

    left_out = serializers.SerializerMethodField(
        help_text="In the answer about one link: macros that the network did not fill in, and "
        "words in place of IDs, in the link's newest clicks. They are no IDs. Null in lists."
    )

    @extend_schema_field(LeftOutValueSerializer(many=True, allow_null=True))
    def get_left_out(self, link: TrackingLink) -> list[dict[str, object]] | None:
        view = self.context.get("view")
        if getattr(view, "action", None) != "retrieve":
            return None
        return [dict(LeftOutValueSerializer(value).data) for value in left_out_values(link)]

    class Meta:
        model = TrackingLink
        fields = (
            *("id", "name", "campaign", "token", "click_url", "impression_url", "parameters"),
            *("store_url", "fallback_url", "deep_link", "allowed_destinations"),
            *("status", "created_at", "left_out"),
        )
        read_only_fields = ("token", "status")

    def validate_campaign(self, campaign: Campaign) -> Campaign:
        """Refuse another campaign for a stored link: installs are credited to it."""
        if isinstance(self.instance, TrackingLink) and campaign != self.instance.campaign:
            raise serializers.ValidationError("A link's campaign stays as it is; make a new link.")
        return campaign

    def write(self, row: Any) -> None:
        """Check the destinations and store the link; a new one with its template's parameters."""
        if row.pk is None and "parameters" not in self.validated_data:
            row.parameters = click_parameters(row.campaign.partner.template)
        try:
            row.clean()
        except ValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        row.save()


class TrackingLinkQuery(ArchivableQuery):
    """Filters of tracking links."""

    app = IdFilter(App)
    partner = IdFilter(Partner)
    campaign = IdFilter(Campaign)
    name = serializers.CharField(required=False)
    token = serializers.CharField(required=False)
    lookups = {
        "app": "campaign__app_id",
        "partner": "campaign__partner_id",
        "campaign": "campaign_id",
    }


class TrackingLinkViewSet(RegistryViewSet):
    """The click and impression addresses of campaigns."""

    model = TrackingLink
    serializer_class = TrackingLinkSerializer
    queries = {"list": TrackingLinkQuery}

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("campaign")
