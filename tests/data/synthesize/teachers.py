"""Teachers for the tests: one that really solves chains, and an OpenAI-compatible server around it."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from r1ray.data.synthesize.teacher import Asked


def value_of(chain: str) -> int:
    """Of `Compute 3 + 9 - 9.`"""
    return sum(-int(n) if sign == "-" else int(n) for sign, n in re.findall(r"([-+]?) ?(\d+)", chain))


def solve(prompt: str) -> str:
    """Answers a chain step by step, finds its unknown by trying; writes a longer chain where that is asked."""
    question = prompt.rpartition("\n")[2].removeprefix("Problem: ")
    numbers = re.findall(r"([-+]?) ?(\d+)", question)
    if "one more step" in prompt:
        return f"New problem: Compute {' '.join(sign + ' ' + n for sign, n in numbers).strip()} + {len(question)}."
    if "what is x?" in question:
        chain, _, wanted = question.partition(" If the answer to this question is ")
        goal = int(wanted.partition(",")[0])
        return next(f"Answer: {x}" for x in range(1000) if value_of(chain.replace("x", str(x))) == goal)
    total, lines = int(numbers[0][1]), []
    for sign, number in numbers[1:]:
        value = total - int(number) if sign == "-" else total + int(number)
        lines.append(f"{total} {sign or '+'} {number} = {value}")
        total = value
    return "\n".join([*lines, f"Answer: {total}"])


class SolvingTeacher:
    """Right every time; counts what it was asked."""

    name = "solver"

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def answer(self, asked: Sequence[Asked]) -> list[list[str]]:
        self.asked += asked
        return [[solve(one.prompt)] * one.samples for one in asked]


@contextmanager
def served(*refusals: int, reply: Any = None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on localhost, by its base URL, and the requests that it got. The first ones get these status codes."""
    left, requests, lock = list(refusals), [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                requests.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
                status = left.pop(0) if left else 200
            answer = reply or {"choices": [{"message": {"content": solve(body["messages"][0]["content"])}}]}
            content = json.dumps(answer if status == 200 else {"error": {"message": "no"}}).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
