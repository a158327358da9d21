#!/usr/bin/env python
"""Run a Django command."""

import gc
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    if sys.argv[1:2] != ["qcluster"]:  # which runs for days, and holds large requests
        gc.set_threshold(50_000, 20, 20)  # what is loaded at the start is no garbage
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong setting; its sentence says all
        sys.exit(f"Error: {error}")
