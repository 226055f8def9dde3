"""One system call per answer, and what a client has not taken yet."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from service.http.coalesced_writes import CoalescedWrites

Ends = tuple[CoalescedWrites, socket.socket]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """The service's end of a connection, and the client's."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, accepted)
    client.setblocking(False)
    yield CoalescedWrites(transport, loop), client
    transport.abort()
    client.close()


async def received(client: socket.socket) -> bytes:
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recv(client, 1 << 20)


async def all_received(client: socket.socket) -> None:
    while await received(client):
        pass


async def test_what_is_written_in_one_turn_goes_out_in_the_next_and_together(ends: Ends):
    writes, client = ends
    writes.write(b"head")
    writes.write(b"body")
    with pytest.raises(BlockingIOError):
        client.recv(1)
    assert await received(client) == b"headbody"
    assert (writes.taken_bytes, writes.waiting_bytes) == (8, 0)


async def test_the_end_comes_after_what_was_written(ends: Ends):
    writes, client = ends
    writes.write(b"last")
    writes.write_eof()
    assert [await received(client) for _ in range(2)] == [b"last", b""]


async def test_closing_loses_nothing(ends: Ends):
    writes, client = ends
    writes.write(b"last")
    writes.close()
    assert [await received(client) for _ in range(2)] == [b"last", b""]
    assert writes.is_closing()
    writes.write(b"too late")
    await asyncio.sleep(0)
    assert writes.taken_bytes == 4


async def test_what_a_client_leaves_waits_here_and_can_be_discarded(ends: Ends):
    writes, client = ends
    size = 16 << 20
    writes.write(bytes(size))
    await asyncio.sleep(0)
    assert writes.waiting_bytes > 0
    assert writes.taken_bytes + writes.waiting_bytes == size
    writes.discard()
    with pytest.raises(ConnectionResetError):
        await all_received(client)


async def test_all_else_is_the_transports(ends: Ends):
    writes, client = ends
    assert writes.get_extra_info("peername") == client.getsockname()
