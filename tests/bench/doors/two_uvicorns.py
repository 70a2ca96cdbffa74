"""``uvicorn --workers 2``, with TCP_NODELAY on the listener, which the sockets of its connections inherit.

uvicorn's own listener leads to connections without it, and each answer, which it writes in two pieces, then waits for
some 40 ms until the client acknowledges the first: a matter of one option, and not what is to be compared here.
"""

import socket
import sys

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

if __name__ == "__main__":
    app, port = sys.argv[1:]
    config = Config(app, port=int(port), workers=2, log_level="warning")
    listener = config.bind_socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    Multiprocess(config, sockets=[listener]).run()
