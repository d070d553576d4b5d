"""API keys in a file that holds their hashes alone: who reads it cannot use it.

A key is 256 random bits, so a plain SHA-256 of it cannot be guessed backwards; a slow hash is for passwords.
"""

import fcntl
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from r1ray.errors import ConfigError, DataError
from r1ray.runs.files import write_json

PREFIX = "r1-"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """What the file knows of a key."""

    id: str
    """Public: for lists, logs and limits."""
    hash: str
    name: str
    tenant: str
    """Whose it is: keys of one tenant share cached answers."""
    created: str
    revoked: str = ""
    """When; empty = the key is good."""
    admin: bool = False
    """May change the service while it runs."""
    requests_per_minute: float | None = None
    """Instead of `access.requests_per_minute`; `None` = that."""
    tokens_per_minute: float | None = None
    tokens_per_day: int | None = None


class KeyRing:
    """The keys of a file. The file is read again when it changes, so a revoked key is refused at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def find(self, secret: str) -> ApiKey | None:
        """The key, revoked or not; `None` where there is none such."""
        self._refresh()
        return self._keys.get(_hash(secret))

    def entries(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        self._refresh()
        return list(self._keys.values())

    def add(
        self,
        name: str,
        *,
        tenant: str = "",
        admin: bool = False,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        tokens_per_day: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown now and never again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=secrets.token_hex(4),
            hash=_hash(secret),
            name=name,
            tenant=tenant or name,
            created=_now(),
            admin=admin,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            tokens_per_day=tokens_per_day,
        )
        with self._changing():
            self._write({**self._keys, key.hash: key})
        return key, secret

    def revoke(self, key_id: str) -> ApiKey:
        """Refuse a key from now on; it stays in the list.

        Raises:
            ConfigError: there is none such.
        """
        with self._changing():
            key = next((key for key in self._keys.values() if key.id == key_id), None)
            if key is None:
                raise ConfigError(f"{self._path} has no key {key_id!r}. `r1ray keys list` shows those that are there.")
            revoked = replace(key, revoked=key.revoked or _now())
            self._write({**self._keys, key.hash: revoked})
        return revoked

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Two commands at once must not undo each other's work."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            yield

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._keys = _read(self._path)
            self._stamp = stamp

    def _write(self, keys: Mapping[str, ApiKey]) -> None:
        write_json(self._path, {"keys": [asdict(key) for key in keys.values()]})
        self._path.chmod(0o600)
        self._refresh()


def _read(path: Path) -> dict[str, ApiKey]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["keys"]
        return {entry["hash"]: ApiKey(**entry) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no file of API keys ({type(error).__name__}: {error}). Expected what `r1ray keys add` writes."
        ) from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
