"""The socket that requests come in on."""

import errno
import select
import socket
import sys
from contextlib import ExitStack

import pytest

from service.http.listener import CannotListen, listen, refuse_newcomers

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


def test_it_is_bound_and_listens_to_nobody_yet():
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert (host, port > 0) == ("127.0.0.1", True)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=5)
        listener.listen()
        socket.create_connection((host, port), timeout=5).close()


def test_a_port_can_be_taken_again_at_once():
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        listener.listen()
        client = socket.create_connection(address, timeout=5)
        accepted, _ = listener.accept()
        accepted.close()  # the side that closes first keeps the address for a while
        client.close()
    listen(*address).close()


def test_a_port_that_is_taken_is_one_line():
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(CannotListen) as refusal:
            listen("127.0.0.1", port)
        assert str(refusal.value) == f"cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_one_line(host: str):
    with pytest.raises(CannotListen, match=rf"^cannot listen on {host}[^\n]*: [^\n]+$"):
        listen(host, 0)
