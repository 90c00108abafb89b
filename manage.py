#!/usr/bin/env python
"""Django's command line for opsproject."""

import os
import sys


def main() -> None:
    """Run a command; a wrong environment variable is one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"manage.py: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
