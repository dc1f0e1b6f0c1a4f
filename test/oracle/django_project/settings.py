"""
A Django project with both packages on the database that DATABASE_URL names: postgresql://, mysql:// or sqlite:////.
DATABASE_URLS names others beside it, as JSON: alias -> URL.
"""

import json
import os
import sys
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

ENGINES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite3"}


def database(text):
    url = urlsplit(text)
    if url.scheme == "mysql":
        import pymysql

        pymysql.install_as_MySQLdb()
    return {
        "ENGINE": f"django.db.backends.{ENGINES[url.scheme]}",
        "NAME": unquote(url.path)[1:],
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": url.port or "",
    }


if find_spec("crontab") is None:
    import no_crontab

    sys.modules["crontab"] = no_crontab

DATABASES = {
    alias: database(url)
    for alias, url in {
        "default": os.environ["DATABASE_URL"],
        **json.loads(os.environ.get("DATABASE_URLS", "{}")),
    }.items()
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django_celery_results",
    "django_celery_beat",
]
SECRET_KEY = "of-a-test"
USE_TZ = True
TIME_ZONE = os.environ.get("DJANGO_TIME_ZONE", "UTC")
