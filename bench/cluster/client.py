"""Celery as a client that is driven by JSON lines: {"do": name, ...} in, {"replies": ...} or {"error": ...} out."""

import json
import sys

from cluster_tasks import app


def tasks(queue, numbers):
    results = [app.send_task("cluster.add", (n, n), queue=queue) for n in numbers]
    return [result.get(timeout=30) for result in results]


def command(name, arguments, nodes):
    replies = app.control.broadcast(name, arguments=arguments, reply=True, timeout=10, limit=nodes)
    return {node: reply for each in replies for node, reply in each.items()}


def election(id):
    action = app.signature("cluster.elected", (id,), queue="both", ignore_result=True)
    app.control.broadcast("election", arguments={"id": id, "topic": "task", "action": action})


DOES = {"tasks": tasks, "command": command, "election": election}

print(json.dumps({"replies": "ready"}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    try:
        answer = {"replies": DOES[order.pop("do")](**order)}
    except Exception as error:  # noqa: BLE001 (told to the run)
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
