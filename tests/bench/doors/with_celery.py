"""Flask and Celery: ``.delay()`` in a view."""

import os

from celery import Celery
from flask import Flask, request

url = os.environ["REDIS_URL"]
broker = f"redis+socket://{url.removeprefix('unix://')}" if url.startswith("unix://") else url
celery = Celery("doors", broker=broker)
celery.conf.task_ignore_result = True
app = Flask(__name__)


@celery.task
def process(token, payload):
    del token, payload


@app.post("/webhooks/swiftia/<token>")
def taken(token: str):
    return {"job": process.delay(token, request.get_json()).id}, 202
