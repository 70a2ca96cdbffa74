"""The ceiling: gunicorn and Flask, and nothing that is kept."""

from flask import Flask

app = Flask(__name__)


@app.post("/webhooks/swiftia/<token>")
def taken(token: str):
    del token
    return {"outcome": "new"}, 202
