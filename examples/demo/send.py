"""Sends ten tasks to the TypeScript worker and prints one JSON line for each answer."""

import json
import time

from tasks import app

TITLES = ["Hello, World", "Ünïcode ☕", "Two workers, one queue", "Ça va?", "Redis in the middle"]

calls = [("demo.typescript.slug", [title]) for title in TITLES]
calls += [("demo.typescript.divide", [n, 4]) for n in (1, 2, 3, 4)] + [("demo.typescript.divide", [1, 0])]

for name, args in calls:
    started = time.monotonic()
    line = {"task": name, "args": args}
    try:
        line["result"] = app.send_task(name, args).get(timeout=20)
    except Exception as error:
        line["error"] = f"{type(error).__name__}: {error}"
    line["ms"] = round((time.monotonic() - started) * 1000)
    print(json.dumps(line), flush=True)
