"""A Python client that a test drives: JSON lines in, JSON lines out.

In:  {"id": 1, "code": "return add.delay(2, 3).get(timeout=10)"}: the body of a function that sees the names of tasks.py and
     NAMES below, and `args`, the request's "args".
Out: {"id": 1, "value": ..., "type": "int", "repr": "5"} with `value` in kombu's JSON, or
     {"id": 1, "error": {"type", "module", "message", "args", "traceback"}}.
"""

import datetime
import decimal
import json
import sys
import textwrap
import time
import traceback
import uuid

import celery
import kombu
from celery import chain, chord, group, signature
from celery.result import AsyncResult
from kombu.utils import json as kombu_json

import tasks

NAMES = {
    **vars(tasks),
    "AsyncResult": lambda task_id: AsyncResult(task_id, app=tasks.app),
    "celery": celery,
    "chain": chain,
    "chord": chord,
    "datetime": datetime,
    "decimal": decimal,
    "group": group,
    "json": json,
    "kombu": kombu,
    "signature": signature,
    "time": time,
    "uuid": uuid,
}


def run(code, args):
    source = "def body(args):\n" + textwrap.indent(textwrap.dedent(code), "    ")
    names = dict(NAMES)
    exec(compile(source, "<test>", "exec"), names)  # noqa: S102 (the code comes from the test itself)
    return names["body"](args)


def answer(request):
    try:
        value = run(request["code"], request.get("args"))
        reply = {"type": type(value).__name__, "repr": repr(value)}
        try:
            reply["value"] = json.loads(kombu_json.dumps(value))
        except Exception:
            reply["value"] = None
        return reply
    except BaseException as error:  # noqa: B902 (reported to the test)
        return {
            "error": {
                "type": type(error).__name__,
                "module": type(error).__module__,
                "message": str(error),
                "args": [repr(arg) for arg in error.args],
                "traceback": traceback.format_exc(),
            }
        }


def main():
    print(json.dumps({"ready": celery.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"id": request["id"], **answer(request)}), flush=True)


if __name__ == "__main__":
    main()
