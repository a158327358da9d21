"""The door for web servers."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from postbacks.web.log_filter import hide_keys_of_web_server
from postbacks.web.machine_doors import MachineDoors, TwoWays
from postbacks.web.request_bodies import closing_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
application = closing_connections(TwoWays(get_wsgi_application(), MachineDoors()))
hide_keys_of_web_server(as_json=settings.LOG_FORMAT == "json")
