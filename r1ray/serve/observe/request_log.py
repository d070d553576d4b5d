"""A line for each request. Nothing of what was said is in it unless it is asked for; and then the corpus job reads it.

With `prompts` a line has the prompt as `text`, as a document of a corpus has it. The served answer is no reference
answer, so it stands under `served_answer`, which the corpus job passes over unless `--corpus.mapping` asks for it.
"""

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from r1ray.config.corpus import PrivacyConfig
from r1ray.config.serve_parts import RequestLogConfig
from r1ray.data.privacy.masking import mask_row

FACTS = (
    "request_id", "time", "key_id", "tenant", "model", "version", "path", "status", "finish_reason", "usage", "ttft_ms",
    "ms", "cache", "guard",
)  # fmt: skip
"""What is always written."""
FAMILY = "served"
TEXT, ANSWER, BLOCKED = "text", "served_answer", "blocked_prompt"


class RequestLog:
    """Appends to `<folder>/<day>-<process>.jsonl`. A log that cannot be written fails no request.

    Args:
        config: what is written, and where.
    """

    def __init__(self, config: RequestLogConfig) -> None:
        self._config, self._privacy = config, PrivacyConfig()
        self._lock = threading.Lock()
        self._day, self._file = "", None  # type: tuple[str, IO[str] | None]
        self.failures = 0
        """Lines that could not be written."""

    def write(self, record: Mapping[str, Any]) -> None:
        """One request: `FACTS`, `messages` or `prompt`, and `answer`."""
        if not self._config.path:
            return
        try:
            line = json.dumps(self._line(record), ensure_ascii=False, default=str)
            with self._lock:
                file = self._open()
                # A half of a surrogate pair cannot be encoded; a log is no reason to fail.
                file.write(line.encode("utf-8", "replace").decode() + "\n")
                file.flush()
        except (OSError, ValueError, TypeError):
            self.failures += 1

    def close(self) -> None:
        """At the end of the service."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._day, self._file = "", None

    def _line(self, record: Mapping[str, Any]) -> dict[str, Any]:
        line = {name: record[name] for name in FACTS if name in record}
        if self._config.prompts:
            refused = int(record.get("status", 200)) >= 400 or record.get("finish_reason") == "content_filter"
            # What was refused is no example to learn from; the corpus job knows `text` alone.
            line[BLOCKED if refused else TEXT] = prompt_text(record)
            line["family"] = FAMILY
            line["metadata"] = {name: record[name] for name in ("request_id", "model", "version") if name in record}
        if self._config.answers:
            line[ANSWER] = record.get("answer")
        if self._config.mask:
            line, _ = mask_row(line, (TEXT, BLOCKED, ANSWER), self._privacy)
        return line

    def _open(self) -> IO[str]:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        if self._file is None or day != self._day:
            if self._file is not None:
                self._file.close()
            folder = Path(self._config.path).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{day}-{os.getpid()}.jsonl"
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8")
            self._day = day
        return self._file


def prompt_text(record: Mapping[str, Any]) -> str:
    """What the user asked: the prompt, or the last message of a user. Earlier turns are prompts of their own lines."""
    prompt = record.get("prompt")
    if isinstance(prompt, str):
        return prompt
    for message in reversed(record.get("messages") or ()):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "\n".join(part["text"] for part in content or () if part.get("type") == "text")
    return ""
