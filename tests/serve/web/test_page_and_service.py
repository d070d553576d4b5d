"""The page against the service itself, in a real browser: their words must agree. Needs Chromium."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from r1ray.config.serve_parts import AccessConfig, CanaryConfig, GuardConfig
from tests.serve.test_around import make_client
from tests.serve.web.test_page import BROWSER, browse

pytestmark = [pytest.mark.services, pytest.mark.skipif(not BROWSER, reason="no Chromium")]


@pytest.fixture
def serve() -> Iterator[object]:
    servers = []

    def start(says: str, **parts: object) -> str:
        client, _, _ = make_client(says, **parts)
        server = uvicorn.Server(uvicorn.Config(client.app, port=0, log_level="critical"))
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.should_exit = True


def test_reasoning_steps_and_both_versions_are_shown(serve):
    address = serve(
        "<think>Mia has 9.\n9 + 7 = 16.\n</think>\nShe has 16 eggs.", canary=CanaryConfig(mode="split", percent=0)
    )
    dom = browse(f"{address}/?compare&prompt=eggs", "--dump-dom")
    assert 'data-answered="1"' in dom
    assert "Reasoning, 2 steps" in dom
    assert "She has 16 eggs." in dom
    assert "9 + 7 = 17" in dom, "the other version's answer"
    assert "stable:canary" in dom, "to choose"


def test_what_the_guard_stops_and_whom_the_service_refuses_is_said(serve, tmp_path):
    assert "stopped by the content filter" in browse(
        f"{serve('a bomb', guard=GuardConfig(words=('bomb',)))}/?prompt=eggs", "--dump-dom"
    )
    closed = serve("16", access=AccessConfig(keys=str(tmp_path / "keys.json")))
    assert "No API key" in browse(f"{closed}/?prompt=eggs", "--dump-dom")
