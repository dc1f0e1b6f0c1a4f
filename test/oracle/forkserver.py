"""Starts programs of Python's Celery without the half second that each would import it for: as forks of this process.

In:  {"id": 1, "words": ["-m", "celery", ...] or ["driver.py"], "env": {...}, "socket": "/path"}, one a line.
Out: {"id": 1, "pid": 123}, and when it has ended {"id": 1, "code": 0, "signal": 0}.

A program is the leader of a session of its own. Its standard streams are connections to the socket; each begins with the
line "ID STREAM", where STREAM is 0, 1 or 2. Whatever still runs when the input ends is killed.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time

PRELOADED = [
    "celery.app.control",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.events.dumper",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.control",
    "kombu.transport.redis",
    "kombu.utils.json",
]
programs = {}


def tell(**words):
    os.write(1, json.dumps(words).encode() + b"\n")


def reap():
    while programs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        ended, killed = os.WIFEXITED(status), os.WIFSIGNALED(status)
        tell(
            id=programs.pop(pid),
            code=os.WEXITSTATUS(status) if ended else None,
            signal=os.WTERMSIG(status) if killed else None,
        )


def become(request):
    """In the fork: everything that a new process would find."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for stream in (0, 1, 2):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(request["socket"])
            connection.sendall(f"{request['id']} {stream}\n".encode())
            os.dup2(connection.fileno(), stream)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()


def run(words):
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def serve():
    """Returns in each fork, with what it is to do."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    while True:
        ready, _, _ = select.select([0, reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
            reap()
        if 0 not in ready:
            continue
        read = os.read(0, 65536)
        if not read:
            for pid in programs:
                os.killpg(pid, signal.SIGKILL)
            os._exit(0)
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                os.close(writer)
                become(request)
                return request["words"]
            programs[pid] = request["id"]
            tell(id=request["id"], pid=pid)


for module in PRELOADED:
    importlib.import_module(module)
sys.path[0] = os.getcwd()
gc.freeze()
tell(id=0)
run(serve())
