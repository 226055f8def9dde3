"""The socket that requests come in on."""

import errno
import select
import socket
import sys
from contextlib import ExitStack

import pytest

from service.http.listener import listen, refuse_newcomers

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot refuse newcomers")
WAITING = 20


@LINUX
def test_who_is_connected_is_served_and_who_comes_later_is_not():
    with ExitStack() as opened:
        listener = opened.enter_context(listen("127.0.0.1", 0))
        listener.listen(WAITING)
        waiting = [
            opened.enter_context(socket.create_connection(listener.getsockname())) for _ in range(WAITING)
        ]
        refuse_newcomers(listener)
        late = opened.enter_context(socket.socket())
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.connect(listener.getsockname())
        for client in waiting:
            client.sendall(b"ping")
            accepted, _ = listener.accept()
            opened.enter_context(accepted)
            assert accepted.recv(4) == b"ping"
            accepted.sendall(b"pong")
            assert client.recv(4) == b"pong"


@LINUX
def test_who_comes_later_is_refused_once_nobody_listens():
    listener = listen("127.0.0.1", 0)
    listener.listen(1)
    refuse_newcomers(listener)
    with socket.socket() as late:
        late.setblocking(False)
        assert late.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        listener.close()
        assert select.select([], [late], [], 10)[1]  # it tries again after a second
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
