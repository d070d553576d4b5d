"""`r1ray keys add|list|revoke`: the API keys of a service."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from r1ray.serve.access.keys import KeyRing

DEFAULT = "~/.r1ray/keys.json"


@dataclass(frozen=True)
class Add:
    """Make a key. It is printed once, alone on the last line; the file keeps its hash."""

    name: Annotated[str, tyro.conf.Positional]
    """Whom it is for."""
    tenant: str = ""
    """Whose answers it shares; empty = nobody else's."""
    admin: bool = False
    """May change the service while it runs."""
    requests_per_minute: float | None = None
    """Instead of the service's `access.requests_per_minute`; 0 = no limit."""
    tokens_per_minute: float | None = None
    """Instead of the service's; 0 = no limit."""
    tokens_per_day: int | None = None
    """Instead of the service's; 0 = no quota."""
    file: str = DEFAULT
    """File of the keys, `access.keys` of the service."""


@dataclass(frozen=True)
class List:
    """Show the keys of a file; never the keys themselves."""

    file: str = DEFAULT
    """File of the keys."""


@dataclass(frozen=True)
class Revoke:
    """Refuse a key from now on. A running service notices at once."""

    id: Annotated[str, tyro.conf.Positional]
    """Of the key, as `list` shows it."""
    file: str = DEFAULT
    """File of the keys."""


def main(arguments: Sequence[str]) -> None:
    """Parse and do."""
    command = tyro.extras.subcommand_cli_from_dict(
        {"add": Add, "list": List, "revoke": Revoke}, args=list(arguments), prog="r1ray keys"
    )
    ring, console = KeyRing(Path(command.file).expanduser()), Console(stderr=True)
    if isinstance(command, Add):
        key, secret = ring.add(
            command.name,
            tenant=command.tenant,
            admin=command.admin,
            requests_per_minute=command.requests_per_minute,
            tokens_per_minute=command.tokens_per_minute,
            tokens_per_day=command.tokens_per_day,
        )
        console.print(f"Key {key.id} of {key.name}, in {command.file}. It is shown only now:", highlight=False)
        print(secret)
    elif isinstance(command, Revoke):
        key = ring.revoke(command.id)
        console.print(f"Key {key.id} of {key.name} is revoked.", highlight=False)
    else:
        Console().print(_table(ring))


def _table(ring: KeyRing) -> Table:
    table = Table()
    for column in ("id", "name", "tenant", "admin", "requests/min", "tokens/min", "tokens/day", "created", "revoked"):
        table.add_column(column, no_wrap=column == "id", overflow="fold")
    for key in ring.entries():
        limits = (key.requests_per_minute, key.tokens_per_minute, key.tokens_per_day)
        shown = ["" if limit is None else f"{limit:g}" for limit in limits]
        table.add_row(key.id, key.name, key.tenant, "yes" if key.admin else "", *shown, key.created, key.revoked)
    return table
