"""The Python half of `make demo`: an ordinary Celery app. CELERY_BROKER_URL and CELERY_RESULT_BACKEND say where Redis is."""

import os
import platform

from celery import Celery

app = Celery("demo", backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.task_default_queue = "python"
app.conf.task_routes = {"demo.typescript.*": {"queue": "typescript"}}

RAN_ON = f"Python {platform.python_version()}, pid {os.getpid()}, {platform.node()}"


@app.task(name="demo.python.factorial")
def factorial(n):
    value = 1
    for factor in range(2, n + 1):
        value *= factor
    return {"value": value, "ranOn": RAN_ON}


@app.task(name="demo.python.words")
def words(text):
    return {"value": len(text.split()), "ranOn": RAN_ON}
