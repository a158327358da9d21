"""Django's settings of the reference. `BENCH_TUNED=1` is the tuned one."""

import os

SECRET_KEY = "of a benchmark on one machine, no secret"
ALLOWED_HOSTS = ["127.0.0.1"]
TUNED = os.environ.get("BENCH_TUNED") == "1"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["BENCH_DATABASE_HOST"],
        "NAME": os.environ["BENCH_DATABASE_NAME"],
        "USER": os.environ["BENCH_DATABASE_USER"],
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

INSTALLED_APPS = ["tests.bench.naive", "rest_framework", "django_q"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "tests.bench.naive.urls"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tests.bench.naive.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}

# django-q2's defaults, but for as many workers on every machine.
Q_CLUSTER: dict[str, object] = {"name": "bench", "orm": "default", "workers": 4}
if TUNED:
    Q_CLUSTER |= {"save_limit": -1, "bulk": 50}
