"""The socket that requests come in on, taken before anything slow is loaded.

__main__ -> listen -> worker.serve, or launch.supervise and through it every worker
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys

SO_ATTACH_FILTER = 26
"""Linux's option that the socket module does not name."""

DROP_SYN = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header that holds its flags
        (0x45, 0, 1, 0x02),  # with SYN set: go on, else pass over one
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
    )
)
"""A program of classic BPF. It lets the ACK pass that ends a handshake: its client is connected already."""

logger = logging.getLogger(__name__)


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


def refuse_newcomers(listener: socket.socket) -> None:
    """Let nobody new begin to connect; those that have begun are connected and wait to be accepted.

    Closing the socket resets all that wait, and while it is open more keep coming. A client whose first
    packet is dropped sends it again after a second, and is refused if nobody listens any more. Only Linux
    can do that. It holds for every process that has the socket, and for good.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(DROP_SYN, len(DROP_SYN))
    described = struct.pack("@HP", len(DROP_SYN) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
    except OSError as error:  # a sandbox that emulates Linux
        logger.info("connections that come while the service stops may be reset: %s", error.strerror)
