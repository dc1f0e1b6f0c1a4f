"""The bench's tasks for Python Celery."""
import os
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BACKEND"])
app.conf.broker_connection_retry_on_startup = True
OUT = os.environ.get("BENCH_OUT", "")


def note(at):
    started = time.time() * 1000
    fd = os.open(OUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{at} {started}\n".encode())
    os.close(fd)


@app.task(name="bench.noop")
def noop(at, i):
    return None


@app.task(name="bench.stamp")
def stamp(at):
    note(at)


@app.task(name="bench.first")
def first(at):
    note(at)
