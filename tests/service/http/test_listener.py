"""The socket that requests come in on."""

import socket

import pytest

from service.http.listener import CannotListen, listen


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
