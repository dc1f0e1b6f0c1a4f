"""Migrates each database, and prints as JSON what there was to do: alias -> names, and whether the models have changes."""

import json
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402

APPS = ("django_celery_results", "django_celery_beat")
django.setup()


def pending(alias):
    executor = MigrationExecutor(connections[alias])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] in APPS]
    executor.loader.check_consistent_history(connections[alias])
    return [f"{one.app_label}.{one.name}" for one, _ in executor.migration_plan(targets)]


def has_changes():
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    except SystemExit:
        return True
    return False


answer = {alias: pending(alias) for alias in connections}
for alias in connections:
    for app in APPS:
        call_command("migrate", app, database=alias, verbosity=0)
print(json.dumps({"pending": answer, "changes": has_changes()}))
