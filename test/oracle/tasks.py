"""The Python side of the interop suite: an ordinary Celery app with the tasks that both languages have.

Settings come from the environment: ORACLE_BROKER, ORACLE_BACKEND and ORACLE_CONFIG (a JSON object of Celery's
lower-case settings).
"""

import datetime
import decimal
import json
import os
import sys
import time
import uuid

if "DJANGO_SETTINGS_MODULE" in os.environ:
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "django_project"))
    import django

    django.setup()

from celery import Celery
from celery.exceptions import Ignore, Reject
from kombu import Queue
from kombu.common import Broadcast

app = Celery(
    "oracle",
    broker=os.environ["ORACLE_BROKER"],
    backend=os.environ.get("ORACLE_BACKEND"),
)
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=True,
    accept_content=["json", "msgpack", "yaml"],
    result_accept_content=["json", "msgpack", "yaml"],
)
app.conf.update(json.loads(os.environ.get("ORACLE_CONFIG", "{}")))
if app.conf.get("broadcast_queues"):
    app.conf.task_queues = [Queue("celery"), *(Broadcast(name) for name in app.conf.broadcast_queues)]


class OutOfStock(Exception):
    """An exception of the project's own, with two arguments."""


@app.task(name="demo.whoami", bind=True)
def whoami(self, value=None):
    return ["py", self.request.hostname, value]


@app.task(name="demo.add")
def add(x, y):
    return x + y


@app.task(name="demo.mul")
def mul(x, y):
    return x * y


@app.task(name="demo.echo")
def echo(value=None):
    return value


@app.task(name="demo.wrap")
def wrap(*values):
    """Its last argument, and then the others: what of a canvas was put where."""
    return [values[-1], *values[:-1]]


@app.task(name="demo.typed")
def typed(value):
    """What arrived here: the name of its type and its repr."""
    return [type(value).__name__, repr(value)]


@app.task(name="demo.keywords")
def keywords(first, second="two", *rest, third=3, **others):
    return {"first": first, "second": second, "rest": list(rest), "third": third, "others": others}


@app.task(name="demo.fail")
def fail(message):
    raise ValueError(message, 42)


@app.task(name="demo.out_of_stock")
def out_of_stock(item, left):
    raise OutOfStock(item, left)


@app.task(name="demo.flaky", bind=True, max_retries=5, default_retry_delay=0)
def flaky(self, failures):
    """Succeeds after that many retries."""
    if self.request.retries < failures:
        raise self.retry(exc=ValueError(f"attempt {self.request.retries}"), countdown=0)
    return self.request.retries


@app.task(name="demo.hopeless", bind=True, max_retries=2)
def hopeless(self):
    raise self.retry(exc=KeyError("never"), countdown=0)


@app.task(name="demo.slow_retry", bind=True)
def slow_retry(self):
    raise self.retry(exc=ValueError("later"), countdown=600)


@app.task(
    name="demo.autoretry",
    bind=True,
    autoretry_for=(ConnectionError,),
    max_retries=3,
    retry_backoff=False,
    default_retry_delay=0,
)
def autoretry(self, failures):
    if self.request.retries < failures:
        raise ConnectionError("not yet")
    return self.request.retries


@app.task(name="demo.progress", bind=True)
def progress(self, steps, gate):
    """Reports PROGRESS, then waits until the key `gate` exists."""
    for done in range(1, steps + 1):
        self.update_state(state="PROGRESS", meta={"done": done, "of": steps})
    wait_for_key(self.app, gate)
    return "done"


@app.task(name="demo.hold")
def hold(gate):
    """Runs until the key `gate` exists."""
    wait_for_key(app, gate)
    return gate


@app.task(name="demo.hold_late", acks_late=True)
def hold_late(gate):
    """As hold, and acknowledged only when it is done."""
    wait_for_key(app, gate)
    return gate


@app.task(name="demo.record", bind=True)
def record(self, key, value=None):
    """Appends who ran it and the value to the list `key`."""
    append(self.app, key, ["py", value])
    return value


@app.task(name="demo.work", bind=True)
def work(self, key, value):
    """Ten milliseconds of waiting, as of a call to a service."""
    time.sleep(0.01)
    append(self.app, key, ["py", value])


@app.task(name="demo.record_request", bind=True)
def record_request(self, key):
    """Keeps what the message said about itself."""
    request = self.request
    append(
        self.app,
        key,
        {
            "id": request.id,
            "root_id": request.root_id,
            "parent_id": request.parent_id,
            "eta": request.eta,
            "expires": request.expires,
            "retries": request.retries,
            "timelimit": request.timelimit,
            "lang": request.lang,
            "origin": request.origin,
            "ignore_result": request.ignore_result,
            "argsrepr": request.argsrepr,
            "kwargsrepr": request.kwargsrepr,
            "priority": (request.delivery_info or {}).get("priority"),
            "headers": request.headers,
            "correlation_id": request.correlation_id,
            "redelivered": (request.delivery_info or {}).get("redelivered"),
        },
    )


@app.task(name="demo.stamps", bind=True)
def stamps(self, *given):
    """Notes its stamps under its label, the last argument; `"retry"` in front of it: at the second attempt."""
    if given[-2:-1] == ("retry",) and self.request.retries == 0:
        raise self.retry(countdown=0)
    append(self.app, "stamps", ["py", given[-1], self.request.stamps or {}])
    return given[-1]


@app.task(name="demo.stamps_replaced", bind=True)
def stamps_replaced(self, *given):
    return self.replace(stamps.si(given[-1]).set(queue=self.request.delivery_info["routing_key"]))


@app.task(name="demo.errback")
def errback(request, exc, traceback):
    """A new-style errback. Celery runs it in the worker that saw the failure."""
    append(app, "errback", ["py", "new", request.id, type(exc).__name__, str(exc), bool(traceback)])


@app.task(name="demo.old_errback")
def old_errback(task_id):
    append(app, "errback", ["py", "old", task_id])


@app.task(name="demo.parent", bind=True)
def parent(self, key):
    """Sends a child; both keep the same root."""
    child = record.delay(key, "child")
    return child.id


@app.task(name="demo.ignore", bind=True)
def ignore(self):
    self.update_state(state="CUSTOM", meta={"kept": True})
    raise Ignore()


@app.task(name="demo.reject", acks_late=True)
def reject():
    raise Reject("no", requeue=False)


@app.task(name="demo.event", bind=True)
def event(self, progress):
    self.send_event("task-custom", progress=progress, note="hi")


@app.task(name="demo.samples")
def samples():
    """One value of each kind that kombu's JSON carries."""
    return SAMPLES


SAMPLES = {
    "datetime": datetime.datetime(2026, 11, 24, 8, 30, 15, 123000, tzinfo=datetime.timezone.utc),
    "bytes": b"\x00\xff\xfe binary",
    "text_bytes": b"plain",
    "big": 2**70 + 1,
    "negative": -(2**64),
    "unicode": "naïve ☕ 日本語 😀 \u0000 end",
    "float": 0.1,
    "nested": [[], {}, [None, True, False, {"a": [1, 2.5]}]],
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "decimal": decimal.Decimal("10.50"),
    "date": datetime.date(2026, 2, 28),
    "time": datetime.time(23, 59, 58),
}


def server(current):
    """The result backend's Redis connection; tests watch keys of it."""
    return current.backend.client


def append(current, key, value):
    server(current).rpush(f"seen:{key}", json.dumps(value, default=str))


def wait_for_key(current, key):
    append(current, "waiting", key)
    deadline = time.monotonic() + 60
    while not server(current).exists(key):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no key {key}")
        time.sleep(0.02)
