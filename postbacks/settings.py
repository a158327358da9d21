"""Django's settings. Each that an operator may set is explained in docs/settings.md."""

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from postbacks.delivery.http.destinations import parse_networks
from postbacks.delivery.http.egress_proxy import parse_proxy
from postbacks.infrastructure import environment, metrics
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.database.embedded import EmbeddedServer
from postbacks.infrastructure.rate_limits.counting import RateLimit, parse_rate
from postbacks.web import log_filter, theme
from postbacks.web.log_filter import CALLERS_FAULTS

BASE_DIR = Path(__file__).resolve().parent.parent
environment.load(BASE_DIR / ".env")

DATA_DIR = Path(environment.text("DATA_DIR", str(BASE_DIR / ".local")))
EMBEDDED_URL = EmbeddedServer(DATA_DIR).url
DATABASE_URL = environment.text("DATABASE_URL", EMBEDDED_URL)
os.environ[metrics.FOLDER_VARIABLE] = str(DATA_DIR / "metrics")
DEBUG = environment.parsed("DEBUG", environment.boolean, default=False)

# Without a DATABASE_URL somebody is trying Postbacks on one machine; there we keep the secrets.
TRYING_OUT = DEBUG or DATABASE_URL == EMBEDDED_URL


# Workers keep the plans of their statements (prepared.py) for all values. Without values, a
# table looks shorter to PostgreSQL than it is, and it would read all of it to find a few rows.
_KEPT_PLANS = (
    "-c plan_cache_mode=force_generic_plan -c jit=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off"
)


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("it must begin with postgresql://")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    own_options = options.get("options", "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postbacks",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": options.pop("port", str(parts.port or "")),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **options,
            **(
                {"options": f"{own_options} {_KEPT_PLANS}"} if DATABASE_ROLE == roles.WORKER else {}
            ),
            "assume_role": DATABASE_ROLE,
            "prepare_threshold": 0,  # on for our own cursors (prepared.py); Django's never do
            "connect_timeout": 4,  # as long as for a statement (stalls.py)
            "tcp_user_timeout": 15_000,  # a server that vanished is noticed, not waited for
            "application_name": DATABASE_ROLE,
        },
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


DATABASE_ROLE = environment.text(
    "DATABASE_ROLE", roles.ROLE_OF_COMMAND.get(sys.argv[1] if len(sys.argv) > 1 else "", roles.WEB)
)
DATABASES = {
    "default": environment.parsed("DATABASE_URL", _database, default=None)
    or _database(EMBEDDED_URL)
}


def _secret(name: str) -> str:
    secret = environment.text(name)
    if secret or not TRYING_OUT:
        return secret
    return environment.stored_secret(DATA_DIR / name.lower(), lambda: secrets.token_urlsafe(48))


# Unset: PostgreSQL carries the tasks, the cache and the rate limits.
REDIS_URL = environment.parsed("REDIS_URL", environment.redis_url, default="")
REDIS_TIMEOUTS: dict[str, object] = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.5,
    # Once more: an idle connection may have been closed by a server that is there.
    "retry": Retry(NoBackoff(), 1),
}
CACHES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "postbacks.infrastructure.caches.PatientRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "postbacks:cache",
        "OPTIONS": {
            "serializer": "postbacks.infrastructure.caches.JsonSerializer",
            **REDIS_TIMEOUTS,
        },
    }
    if REDIS_URL
    else {"BACKEND": "postbacks.infrastructure.caches.PostgresCache"},
    # For the statistics of django-q2, which nobody reads: our heartbeats are rows.
    "queue": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}

# The processes of the web server; gunicorn reads the same variable.
WEB_CONCURRENCY = environment.parsed("WEB_CONCURRENCY", environment.natural, default=4) or 1
WEB_THREADS = 8  # of each; gunicorn's worker puts its own number here

# Calls on average over ten seconds, or over the unit if it is longer; None is no limit.
RATE_LIMIT_SDK_APP = environment.parsed("RATE_LIMIT_SDK_APP", parse_rate, default=RateLimit(100, 1))
RATE_LIMIT_SDK_SERVER = environment.parsed(
    "RATE_LIMIT_SDK_SERVER", parse_rate, default=RateLimit(5_000, 1)
)
RATE_LIMIT_API = environment.parsed("RATE_LIMIT_API", parse_rate, default=RateLimit(300, 1))
RATE_LIMIT_UNKNOWN = environment.parsed("RATE_LIMIT_UNKNOWN", parse_rate, default=RateLimit(50, 1))
RATE_LIMIT_LINKS = environment.parsed("RATE_LIMIT_LINKS", parse_rate, default=RateLimit(600, 60))
RATE_LIMIT_INVITATIONS = environment.parsed(
    "RATE_LIMIT_INVITATIONS", parse_rate, default=RateLimit(50, 3_600)
)
RATE_LIMIT_TESTS = environment.parsed("RATE_LIMIT_TESTS", parse_rate, default=RateLimit(30, 60))
RATE_LIMIT_ERASURES = environment.parsed(
    "RATE_LIMIT_ERASURES", parse_rate, default=RateLimit(60, 60)
)


SECRET_KEY = _secret("SECRET_KEY")
_IN_EXAMPLES = ("django-insecure", "changeme", "change-me", "change_me")
if (
    len(SECRET_KEY) < 32
    or len(set(SECRET_KEY)) < 10
    or any(words in SECRET_KEY.lower() for words in _IN_EXAMPLES)
):
    raise ImproperlyConfigured(
        "The setting SECRET_KEY must be a secret of at least 32 random characters; make one with "
        "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
    )


# The first key encrypts, all decrypt: put a new one in front to rotate.
FIELD_ENCRYPTION_KEYS = environment.parsed(
    "FIELD_ENCRYPTION_KEYS", environment.encryption_keys, default={}
)
if not FIELD_ENCRYPTION_KEYS and TRYING_OUT:
    FIELD_ENCRYPTION_KEYS = environment.encryption_keys(
        environment.stored_secret(
            DATA_DIR / "field_encryption_keys", environment.first_encryption_key
        )
    )
if not FIELD_ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "The setting FIELD_ENCRYPTION_KEYS must be set, as id:key with a key of 32 bytes in "
        f"URL-safe base64; {environment.MAKE_ENCRYPTION_KEY}"
    )

PUBLIC_URL = environment.text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = environment.parsed(
    "ALLOWED_HOSTS", environment.words, default=["127.0.0.1", "localhost", "[::1]"]
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
TRUSTED_PROXY_COUNT = environment.parsed("TRUSTED_PROXY_COUNT", environment.natural, default=0)


# How many days each kind of data is kept; 0: until somebody erases it.
RETENTION_DAYS_EVENTS = environment.parsed(
    "RETENTION_DAYS_EVENTS", environment.days(at_least=60), default=0
)
# By default an event and its postbacks leave together.
RETENTION_DAYS_POSTBACKS = environment.parsed(
    "RETENTION_DAYS_POSTBACKS", environment.days(at_least=30), default=RETENTION_DAYS_EVENTS
)
RETENTION_DAYS_CLICKS = environment.parsed(
    "RETENTION_DAYS_CLICKS", environment.days(at_least=31), default=35
)
RETENTION_DAYS_IMPRESSIONS = environment.parsed(
    "RETENTION_DAYS_IMPRESSIONS", environment.days(at_least=7), default=7
)
# A postback may be tried again for three days and held for seven, and it may name the address.
RETENTION_DAYS_ADDRESSES = environment.parsed(
    "RETENTION_DAYS_ADDRESSES", environment.days(at_least=8), default=14
)
if RETENTION_DAYS_EVENTS and not 0 < RETENTION_DAYS_POSTBACKS <= RETENTION_DAYS_EVENTS:
    raise ImproperlyConfigured(
        "The setting RETENTION_DAYS_POSTBACKS must not be longer than RETENTION_DAYS_EVENTS: "
        "a postback is explained by its event."
    )

# How much of the disk the files of exports may take, of one organization and together.
EXPORT_MEGABYTES_OF_ORGANIZATION = environment.parsed(
    "EXPORT_MEGABYTES_OF_ORGANIZATION", environment.natural, default=5_000
)
# Where scheduled exports may go beside stores, in a folder of each organization; None: nowhere.
EXPORT_DIR = environment.parsed("EXPORT_DIR", environment.folder, default=None)
EXPORT_MEGABYTES = environment.parsed("EXPORT_MEGABYTES", environment.natural, default=20_000)

# Unset: /metrics answers loopback alone.
METRICS_TOKEN = environment.parsed("METRICS_TOKEN", environment.metrics_token, default="")
METRICS_BY_ORGANIZATION = environment.parsed(
    "METRICS_BY_ORGANIZATION", environment.boolean, default=False
)

GEOIP_DATABASE = environment.parsed("GEOIP_DATABASE", environment.geoip_database, default=None)

# Separated by commas or new lines, so that published lists can be used unchanged.
ANONYMOUS_NETWORKS = environment.parsed(
    "ANONYMOUS_NETWORKS", lambda text: parse_networks(text.replace("\n", ",")), default=()
)

# Empty: Apple is not asked, and tokens of AdServices are only stored.
ADSERVICES_URL = environment.parsed("ADSERVICES_URL", environment.web_address, default="")

ALLOW_PRIVATE_DESTINATIONS = environment.parsed(
    "ALLOW_PRIVATE_DESTINATIONS", parse_networks, default=()
)

EGRESS_PROXY = environment.parsed("EGRESS_PROXY", parse_proxy, default=None)

DELIVERY_TRANSPORT = environment.parsed(
    "DELIVERY_TRANSPORT",
    environment.delivery_transport,
    default="curl" if environment.has_pycurl() else "requests",
)
if EGRESS_PROXY and EGRESS_PROXY.origin.scheme == "https" and DELIVERY_TRANSPORT != "curl":
    raise ImproperlyConfigured(
        "The setting EGRESS_PROXY is wrong: only curl (DELIVERY_TRANSPORT) speaks TLS to a proxy; "
        "write http:// or install postbacks[curl]."
    )

INSTALLED_APPS = [
    "apps_registry",
    "postbacks",
    "unfold.apps.BasicAppConfig",  # its templates come before Django's own
    "postbacks.apps.PostbacksAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]

MIDDLEWARE = [
    "postbacks.web.middleware.unbroken_stack",  # outermost: every call of a request is below it
    "postbacks.web.middleware.ContentPolicy",  # no answer goes without
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "postbacks.web.request_bodies.UnreadBodies",
    "postbacks.web.middleware.DatabaseOutage",
    "postbacks.web.request_bodies.BodiesWithoutLength",  # before anything reads a body
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "postbacks.accounts.stranger_sessions.ShortStrangerSessions",
    "postbacks.accounts.known_browsers.KnownBrowsers",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "postbacks.web.middleware.TenantOfRequest",  # its transaction ends after rendering
    "postbacks.accounts.second_factor.RequiredSecondFactor",  # asks the organization just found
]

# Sessions, accounts and pages do not concern programs: their requests pass all but these.
_FOR_PEOPLE = {
    "postbacks.web.middleware.unbroken_stack",  # theirs fits into one chunk
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "postbacks.accounts.stranger_sessions.ShortStrangerSessions",
    "postbacks.accounts.known_browsers.KnownBrowsers",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "postbacks.web.middleware.TenantOfRequest",
    "postbacks.accounts.second_factor.RequiredSecondFactor",
}
MACHINE_MIDDLEWARE = [each for each in MIDDLEWARE if each not in _FOR_PEOPLE]

ROOT_URLCONF = "postbacks.urls"
WSGI_APPLICATION = "postbacks.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "postbacks.accounts.context_processors.admin_frame",
            ]
        },
    }
]

UNFOLD = theme.UNFOLD

AUTH_USER_MODEL = "apps_registry.User"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"
ACCOUNT_ADAPTER = "postbacks.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"login": "postbacks.accounts.views.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # following an invitation's link proves the mailbox
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Postbacks] "
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
# Per client address, and per e-mail address: nobody fills somebody's mailbox.
ACCOUNT_RATE_LIMITS = {"login_failed": "20/5m/ip,5/5m/key", "reset_password": "20/m/ip,5/h/key"}
MFA_ADAPTER = "postbacks.accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Postbacks"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # as above: every address has been proven
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PUBLIC_URL.startswith("https://")
SOCIALACCOUNT_ADAPTER = "postbacks.accounts.single_sign_on.SingleSignOnAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, list[dict[str, object]]]] = {}
if environment.text("OIDC_SERVER_URL"):
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "APPS": [
            {
                "provider_id": "sso",
                "name": environment.text("OIDC_NAME", "single sign-on"),
                "client_id": environment.required("OIDC_CLIENT_ID", needed_by="OIDC_SERVER_URL"),
                "secret": environment.required("OIDC_CLIENT_SECRET", needed_by="OIDC_SERVER_URL"),
                "settings": {"server_url": environment.text("OIDC_SERVER_URL")},
            }
        ]
    }

# Without a mail server, mails with their links are printed to the console.
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
globals().update(environment.parsed("EMAIL_URL", environment.email, default={}))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM", "Postbacks <postbacks@localhost>")

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024  # contract: 5 MB a request
FILE_UPLOAD_HANDLERS = [
    "postbacks.web.request_bodies.HoldToLimit",  # first: the others would already store
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "form-action": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
    }
}
_UNUSED_FEATURES = (
    "accelerometer camera display-capture geolocation gyroscope magnetometer microphone midi"
    " payment usb"
)
PERMISSIONS_POLICY: dict[str, str | list[str]] = {
    **{feature: [] for feature in _UNUSED_FEATURES.split()},
    "publickey-credentials-create": "self",  # passkeys
    "publickey-credentials-get": "self",
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
CSRF_COOKIE_HTTPONLY = True  # our scripts take the token from the form
if PUBLIC_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = True
    # With this prefix no neighboring host, and no page without TLS, can set these cookies.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    if TRUSTED_PROXY_COUNT:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "postbacks.api.problems.answer_exception",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "URL_FORMAT_OVERRIDE": None,  # `format` is an unknown parameter like any other
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Postbacks",
    "DESCRIPTION": "Self-hosted mobile-marketing callbacks: events in, postbacks out.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "ENUM_NAME_OVERRIDES": {
        "Lifecycle": "apps_registry.tenancy.Lifecycle",
        "Role": "apps_registry.roles.Role",
        "InvitationState": "apps_registry.models.invitations.InvitationState",
        "SdkKeyKind": "apps_registry.models.SdkKey.Kind",
        "RuleStatus": "postbacks.models.RuleStatus",
        "PostbackStatus": "postbacks.models.PostbackStatus",
        "AttemptKind": "postbacks.models.AttemptKind",
        "JobAction": "postbacks.models.JobAction",
        "JobStatus": "postbacks.models.JobStatus",
        "MatchKind": "postbacks.insights.search.KINDS",
        "Tool": "postbacks.callbacks.translation.TOOLS",
    },
}

# Times nest (checks.py enforces it): HTTP total < lease / 4 < django-q2 timeout < django-q2 retry.
HTTP_TOTAL_SECONDS = 15
LEASE_SECONDS = 64
PUMPS = environment.parsed("PUMPS", environment.natural, default=2)
PUMP_SECONDS = 60  # a pump task ends and hands on before django-q2 would end it

# Set by `manage.py worker` for the cluster that it starts.
WORKER_NAME = environment.text("WORKER_NAME", "postbacks")
SUPERVISOR_PID = environment.parsed("SUPERVISOR_PID", environment.natural, default=0)

Q_CLUSTER = {
    "name": "postbacks",  # with which tasks are signed
    "cluster_name": WORKER_NAME,  # each supervisor has a queue of its own
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
    "cache": "queue",
    "workers": PUMPS + 3,  # the pumps, one that ends while its successor works, two for short tasks
    "timeout": 120,
    "retry": 180,
    "save_limit": -1,  # our own rows are the log
    "bulk": 1,
    "queue_limit": PUMPS + 3,
    "poll": 0.2,
    "max_attempts": 0,
    "catch_up": False,
    "label": "Background tasks",
}

LOG_FORMAT = environment.parsed("LOG_FORMAT", environment.log_format, default="text")
_LOG_LEVEL = environment.parsed("LOG_LEVEL", environment.log_level, default="")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "postbacks.web.log_filter.json_formatter"}
        if LOG_FORMAT == "json"
        else {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "filters": {
        "hide_keys": {"()": "postbacks.web.log_filter.HideKeysInLinks"},
        "callers_faults": {"()": "postbacks.web.log_filter.CallersFaults"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["hide_keys"],
        }
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "postbacks": {"level": _LOG_LEVEL or "INFO"},
        # One line for each attempt: in JSON, or where a level asks for it.
        "postbacks.delivery.attempt_reports": {
            "level": _LOG_LEVEL or ("INFO" if LOG_FORMAT == "json" else "WARNING")
        },
        **{name: {"filters": ["callers_faults"]} for name in CALLERS_FAULTS},
        "django_q": {"level": "WARNING"},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}

if SENTRY_DSN := environment.parsed("SENTRY_DSN", environment.sentry_dsn, default=""):
    log_filter.report_errors(SENTRY_DSN)
