"""The tasks of the cluster run, under the same names as in tasks.mjs."""

import os

from celery import Celery

app = Celery("cluster", broker=os.environ["CLUSTER_BROKER"], backend=os.environ["CLUSTER_BACKEND"])
app.conf.broker_connection_retry_on_startup = True


@app.task(name="cluster.add")
def add(x, y):
    return ["py", x + y]


@app.task(name="cluster.elected")
def elected(id):
    app.backend.client.hincrby("elected", id, 1)
