"""A port that several ingresses share."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from r1ray.errors import ResourceError
from r1ray.serve.door import Door, free_port

HOST = "127.0.0.1"


def app_of(name: str, wait: asyncio.Event | None = None, entered: asyncio.Event | None = None) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if wait is not None and scope["path"] == "/slow":
            assert entered is not None
            entered.set()
            await wait.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    return app


async def get(port: int, path: str = "/") -> str:
    async with httpx.AsyncClient() as client:  # a connection of its own
        return (await client.get(f"http://{HOST}:{port}{path}", timeout=20)).text


async def hand_over() -> tuple[set[str], str, set[str]]:
    port = free_port(HOST, 0)
    go, entered = asyncio.Event(), asyncio.Event()
    old = Door(app_of("old", go, entered), HOST, port)
    await old.open()
    slow = asyncio.create_task(get(port, "/slow"))
    await entered.wait()
    new = Door(app_of("new"), HOST, port)
    await new.open()
    both = {await get(port) for _ in range(40)}
    closing = asyncio.create_task(old.close())
    await asyncio.sleep(0.3)  # the server looks ten times a second whether it should end
    after = {await get(port) for _ in range(20)}
    assert not closing.done(), "an answer is still owed"
    go.set()
    await closing
    finished = await slow
    await new.close()
    return both, finished, after


def test_a_new_ingress_takes_over_and_the_old_one_ends_its_answers() -> None:
    both, finished, after = asyncio.run(hand_over())
    assert both == {"old", "new"}
    assert finished == "old"
    assert after == {"new"}


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"{HOST}:{port} cannot be listened on.*--serve.port"):
            free_port(HOST, port)
        with pytest.raises(ResourceError, match="cannot be listened on"):
            Door(app_of("x"), HOST, port)


async def beside_a_door() -> None:
    port = free_port(HOST, 0)
    door = Door(app_of("x"), HOST, port)
    await door.open()
    with pytest.raises(ResourceError, match="cannot be listened on"):
        free_port(HOST, port)
    await door.close()
    assert free_port(HOST, port) == port


def test_another_service_does_not_share_the_port_by_accident() -> None:
    asyncio.run(beside_a_door())


@pytest.mark.slow
def test_a_client_that_comes_back_after_its_own_limit_finds_its_connection_open() -> None:
    async def main() -> None:
        door = Door(app_of("here"), HOST, port := free_port(HOST, 0))
        await door.open()
        reader, writer = await asyncio.open_connection(HOST, port)
        for pause in (0.0, 5.5):  # httpx gives a connection up after 5 s
            await asyncio.sleep(pause)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert b"here" in await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await door.close()

    asyncio.run(main())
