"""The door for web servers."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from postbacks.web.log_filter import hide_keys_of_web_server
from postbacks.web.machine_doors import MACHINE_URLCONF, MachineDoors, TwoWays
from postbacks.web.request_bodies import closing_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
django_handler = get_wsgi_application()
for urlconf in (settings.ROOT_URLCONF, MACHINE_URLCONF):
    get_resolver(urlconf).url_patterns  # noqa: B018  # imports every view: no first request does
application = closing_connections(TwoWays(django_handler, MachineDoors()))
hide_keys_of_web_server(as_json=settings.LOG_FORMAT == "json")
