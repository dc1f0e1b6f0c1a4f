"""Writes test/vectors/celery-routing.json: where Celery sends a task, for many settings and options.

    .venv/bin/python test/oracle/celery_routing.py > test/vectors/celery-routing.json

A case is [queues, other, routes, task, options, outcome]: names and positions in the lists beside it. An outcome is
[exchange, routing key, declared queue] with [name, exchange, type, routing key] of that queue or null, or an error's name.
A RegExp is {"re": "pattern"}.
"""

import itertools
import json
import re

import celery
import kombu
from celery import Celery
from celery.signals import before_task_publish
from kombu.transport.memory import Transport

QUEUES = {
    "none": None,
    "two": {"celery": {}, "low": {}},
    "without default": {"low": {"exchange": "low", "routing_key": "low"}},
    "topic": {
        "celery": {"exchange": "celery", "exchange_type": "direct"},
        "media": {"exchange": "media", "exchange_type": "topic", "routing_key": "media.#"},
        "all": {"exchange": "all", "exchange_type": "fanout", "routing_key": "all"},
        "own": {"exchange": "own", "routing_key": "own.key"},
    },
}
ROUTES = {
    "none": None,
    "dict": {
        "shop.add": "low",
        "shop.*": {"queue": "media", "routing_key": "media.shop"},
        "*.slow": {"priority": 3},
        "a[bc].?*": {"queue": "own"},
    },
    "exchange": {"shop.add": {"exchange": "media", "routing_key": "media.x"}, "shop.*": {"exchange": "media"}},
    "list": [[["shop.mul", {"queue": "own"}], ["shop.*", "low"]], {"shop.add": "media", "nlp.slow": "all"}],
    "re": [[[{"re": r"^(shop|nlp)\.add$"}, {"queue": "low"}], ["shop.*", {"queue": "own"}]]],
}
OPTIONS = [
    {},
    {"queue": "low"},
    {"queue": "media"},
    {"queue": "all"},
    {"queue": "new"},
    {"exchange": "media"},
    {"exchange": "media", "routing_key": "media.y"},
    {"routing_key": "media.y"},
    {"queue": "media", "routing_key": "media.z"},
    {"queue": "low", "exchange": "own", "routing_key": "r"},
    {"queue": "own", "exchange": "other"},
]
TASKS = ["shop.add", "shop.mul", "nlp.add", "nlp.slow", "ab.x", "ab."]
OTHER = [
    {},
    {"task_default_queue": "jobs"},
    {"task_default_exchange_type": "topic", "task_default_routing_key": "task.default"},
    {"task_create_missing_queues": False},
    {"task_create_missing_queue_exchange_type": "topic"},
]


def routes(value):
    if isinstance(value, dict):
        return re.compile(value["re"]) if set(value) == {"re"} else {k: routes(v) for k, v in value.items()}
    return [routes(one) for one in value] if isinstance(value, list) else value


def send(settings, task, options):
    Transport.global_state.clear()
    app = Celery("routing", broker="memory://", set_as_current=False)
    app.conf.update({**settings, "task_routes": routes(settings["task_routes"])})
    seen = []

    @before_task_publish.connect(weak=False)
    def note(exchange=None, routing_key=None, declare=None, **_):
        declared = [[q.name, q.exchange.name, q.exchange.type, q.routing_key] for q in declare or []]
        seen.extend([exchange, routing_key, declared[0] if declared else None])

    try:
        app.send_task(task, **options)
    except Exception as error:
        return type(error).__name__
    finally:
        before_task_publish.disconnect(note)
    return seen


cases = []
for queues, (number, other), route, task, (option, options) in itertools.product(
    QUEUES, enumerate(OTHER), ROUTES, TASKS, enumerate(OPTIONS)
):
    # Every task with the default settings, and one or two of them with each other setting.
    if task not in (TASKS if number == 0 else TASKS[:2]) or (route == "none" and task != TASKS[0]):
        continue
    settings = {"task_queues": QUEUES[queues], "task_routes": ROUTES[route], **other}
    cases.append([queues, number, route, task, option, send(settings, task, options)])

head = {
    "celery": celery.__version__,
    "kombu": kombu.__version__,
    "queues": QUEUES,
    "other": OTHER,
    "routes": ROUTES,
    "options": OPTIONS,
}
lines = ",\n  ".join(json.dumps(case, separators=(",", ":")) for case in cases)
print(json.dumps(head, indent=1)[:-2] + f',\n "cases": [\n  {lines}\n ]\n}}')
