"""Carries out one order of the harness; see lib/produce.mjs."""
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tasks import app, first, noop, stamp

THREADS = 8


def now():
    return time.time() * 1000


def sequential(count):
    for i in range(count):
        noop.delay(now(), i)


def in_flight(count):
    """Threads are what Python has for calls in flight."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda i: noop.delay(now(), i), range(count)))


def bulk(count):
    """Celery has no call for many tasks: one producer is the fastest way."""
    with app.producer_or_acquire() as producer:
        for i in range(count):
            noop.apply_async((now(), i), producer=producer)


def at_rate(count, per_second):
    started = now()
    for i in range(count):
        early = started + i * 1000 / per_second - now()
        if early > 0:
            time.sleep(early / 1000)
        stamp.delay(now())


def main():
    order = json.loads(sys.argv[1])
    modes = {
        "sequential": sequential,
        "inflight": in_flight,
        "bulk": bulk,
        "fill": bulk,
        "rate": lambda count: at_rate(count, order["perSecond"]),
        "one": lambda count: first.delay(now()),
    }
    send = modes[order["mode"]]
    if order.get("warmup", 0) > 0:
        send(order["warmup"])
    cpu, started = time.process_time(), time.perf_counter()
    send(order["count"])
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "count": order["count"]}))


main()
