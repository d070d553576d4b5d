"""Access as the ingress sees it: headers become a principal, a principal's request is let in and settled."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from r1ray.config.serve_parts import AccessConfig
from r1ray.serve.access.errors import AccessDenied
from r1ray.serve.access.gate import Gate
from r1ray.serve.access.keys import KeyRing
from r1ray.serve.access.limits import Limiter, Limits
from r1ray.serve.store.base import Store

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    key_id: str
    tenant: str
    admin: bool = False
    limits: Limits = field(default_factory=Limits)


class Access:
    """Keys and limits of a configuration.

    Args:
        config: keys and the limits of keys without their own.
        store: shared by all replicas.
    """

    def __init__(self, config: AccessConfig, store: Store) -> None:
        self._ring = KeyRing(Path(config.keys).expanduser()) if config.keys else None
        self._limiter, self._gate = Limiter(store), Gate(config.concurrent)
        self._default = Limits(
            requests_per_minute=config.requests_per_minute,
            tokens_per_minute=config.tokens_per_minute,
            tokens_per_day=config.tokens_per_day,
        )
        if self._ring is not None:
            self._ring.entries()  # a file that cannot be read is found out at the start

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who the headers (names in lower case) say is asking; everyone is `anonymous` where no keys are configured.

        Raises:
            AccessDenied: no key, an unknown one, or a revoked one.
        """
        if self._ring is None:
            return Principal("anonymous", "default", limits=self._default)
        given = headers.get("authorization", "")
        if not given.lower().startswith(_BEARER):
            raise AccessDenied(401, "invalid_api_key", "No API key: expected the header `Authorization: Bearer <key>`.")
        key = self._ring.find(given[len(_BEARER) :].strip())
        if key is None:
            raise AccessDenied(401, "invalid_api_key", "The API key is not known here.")
        if key.revoked:
            raise AccessDenied(401, "invalid_api_key", "The API key was revoked.")
        default = self._default
        return Principal(
            key.id,
            key.tenant,
            key.admin,
            Limits(
                requests_per_minute=_or(key.requests_per_minute, default.requests_per_minute),
                tokens_per_minute=_or(key.tokens_per_minute, default.tokens_per_minute),
                tokens_per_day=int(_or(key.tokens_per_day, default.tokens_per_day)),
            ),
        )

    def require_admin(self, principal: Principal) -> None:
        """Only admins change a running service; without keys nobody may.

        Raises:
            AccessDenied: this is none.
        """
        if not principal.admin:
            raise AccessDenied(
                403, "not_an_admin", "This needs a key of an admin: `r1ray keys add NAME --admin`, and access.keys."
            )

    async def admit(self, principal: Principal, tokens: int) -> None:
        """Take a request of so many prompt and new tokens. Raises `RateLimited`."""
        await self._limiter.admit(principal.key_id, tokens, principal.limits)

    async def settle(self, principal: Principal, reserved: int, used: int) -> None:
        """Book what was really used."""
        await self._limiter.settle(principal.key_id, reserved, used, principal.limits)

    @contextmanager
    def in_flight(self, principal: Principal) -> Iterator[None]:
        """For as long as a request is worked on. Raises `RateLimited`."""
        with self._gate.enter(principal.key_id):
            yield


def _or(own: float | None, default: float) -> float:
    return default if own is None else own
