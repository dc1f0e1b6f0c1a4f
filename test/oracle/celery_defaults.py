"""Writes test/vectors/celery-defaults.json: every setting of Celery with its type, default and old names.

    .venv/bin/python test/oracle/celery_defaults.py > test/vectors/celery-defaults.json
"""

import json
import math
from datetime import timedelta

import celery
from celery.app.defaults import _TO_NEW_KEY, NAMESPACES, flatten


def plain(value):
    """The default as JSON has it: seconds for a timedelta, "Infinity" for infinity."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity"
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


settings = {
    name: {
        "default": repr(option.default),
        "value": plain(option.default),
        "type": option.type if isinstance(option.type, str) else option.type.__name__,
        "old": sorted(old for old, new in _TO_NEW_KEY.items() if new == name),
    }
    for name, option in flatten(NAMESPACES)
}
print(json.dumps({"celery": celery.__version__, "settings": dict(sorted(settings.items()))}, indent=1))
