"""`manage.py` of the project; the commands of its tests need neither a secret nor a server beside the database."""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

from django.core.management import execute_from_command_line  # noqa: E402

execute_from_command_line(sys.argv)
