"""The same task in Python, with django-celery-results."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/oracle/django_project"))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402

django.setup()

from celery import Celery  # noqa: E402

app = Celery("sql-bench", broker=os.environ["BENCH_BROKER"], backend="django-db")
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=4)


@app.task(name="sql.noop")
def noop(n):
    return n


if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", "django_celery_results", verbosity=0)
