"""The page in a real browser, against a stand-in for the service. Needs Chromium."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest

from r1ray.serve.web import page

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
STEPS = [
    {"text": "Mia has 9 eggs.\n", "score": 0.97},
    {"text": "She gets 7 more: 9 + 7 = 17.\n", "score": 0.12},
    {"text": "So she has <b>17</b> eggs.", "score": 0.4},
]


class StandIn(BaseHTTPRequestHandler):
    """Answers as the service does; `asked` keeps what came."""

    asked: ClassVar[list[dict[str, object]]] = []

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.reply(json.dumps({"data": [{"id": name} for name in ("m", "m:v1", "m:v2")]}), "application/json")
        else:
            self.reply(page(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if "broken" in body["messages"][-1]["content"]:
            self.reply(json.dumps({"error": {"message": "Too much waits already."}}), "application/json", 429)
            return
        thinks = body["model"] == "m:v2"
        pieces = [{"reasoning_content" if thinks else "content": step["text"]} for step in STEPS]
        chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
        if thinks:
            chunks.append({"choices": [{"index": 0, "delta": {"content": "16 eggs, I think."}}]})
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "length", "steps": STEPS}]})
        chunks.append({"choices": [], "usage": {"completion_tokens": 42}})
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.reply(lines, "text/event-stream", version="v2" if thinks else "v1")

    def reply(self, text: str, kind: str, status: int = 200, version: str = "v1") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-model-version", version)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def browse(address: str, *options: str) -> str:
    quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    command = [BROWSER, *quiet, "--virtual-time-budget=8000", *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout


def test_the_page_loads_nothing_from_elsewhere():
    text = page()
    assert "http://" not in text
    assert "https://" not in text
    assert "connect-src 'self'" in text
    assert "innerHTML" not in text, "what a model writes is text"


@pytest.mark.services
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
def test_a_chat_shows_the_steps_with_their_scores_and_two_versions_side_by_side(address, tmp_path):
    dom = browse(f"{address}/?compare&prompt={quote('How many eggs?')}", "--dump-dom")
    assert 'data-answered="1"' in dom
    assert dom.count('<ol class="steps">') == 2
    assert dom.count('class="weakest"') == 2, "one in each column"
    assert dom.count("width: 97%") == 2
    assert "So she has &lt;b&gt;17&lt;/b&gt; eggs." in dom, "a model's markup is text"
    assert "Reasoning, 3 steps" in dom
    assert "16 eggs, I think." in dom
    assert "cut at its length" in dom
    assert [body["model"] for body in sorted(StandIn.asked, key=lambda body: str(body["model"]))] == ["m", "m:v2"]
    assert all(body["include_steps"] and body["stream"] for body in StandIn.asked)


@pytest.mark.services
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
def test_an_error_is_shown_as_the_service_says_it(address):
    assert "Too much waits already." in browse(f"{address}/?prompt=broken", "--dump-dom")


@pytest.mark.services
@pytest.mark.skipif(not BROWSER, reason="no Chromium")
def test_a_picture_of_it_is_not_blank(address, tmp_path):
    picture = Path(tmp_path) / "page.png"
    browse(f"{address}/?compare&prompt=eggs", f"--screenshot={picture}", "--window-size=1280,800")
    assert picture.stat().st_size > 20_000
