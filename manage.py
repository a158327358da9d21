#!/usr/bin/env python
"""Run a Django command."""

import gc
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 20)  # a fifth of a start went into looking for garbage
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "postbacks.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong setting; its sentence says all
        sys.exit(f"Error: {error}")
