"""What one finds first: ``queue.enqueue`` in a view. The job itself does nothing."""

import os

from flask import Flask, request
from redis import Redis
from rq import Queue

app = Flask(__name__)
queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


@app.post("/webhooks/swiftia/<token>")
def taken(token: str):
    job = queue.enqueue("builtins.len", {"token": token, "payload": request.get_json()})
    return {"job": job.id}, 202
