"""The socket that requests come in on, taken before anything slow is loaded.

__main__ -> listen -> worker.serve, or launch.supervise and through it every worker
"""

from __future__ import annotations

import socket


class CannotListen(Exception):
    """The address cannot be listened on; the message is one line that says why."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port`; a server listens on it once it has something to serve.

    Raises:
        CannotListen: the port is taken, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener
