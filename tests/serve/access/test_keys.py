"""Keys at rest are hashes; a revoked key is refused at once; limits are a key's own before the service's."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from r1ray.commands.keys import main
from r1ray.config.serve_parts import AccessConfig
from r1ray.errors import ConfigError, DataError
from r1ray.serve.access.access import Access, Principal
from r1ray.serve.access.errors import AccessDenied
from r1ray.serve.access.keys import KeyRing
from r1ray.serve.store.memory import MemoryStore


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "keys.json"
    _, secret = KeyRing(path).add("mia")
    assert secret.startswith("r1-")
    assert len(secret) > 40
    assert secret not in path.read_text()
    assert secret[3:] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_keys_are_never_the_same(tmp_path):
    ring = KeyRing(tmp_path / "keys.json")
    assert len({ring.add("mia")[1] for _ in range(20)}) == 20
    assert len(ring.entries()) == 20


def test_keys_that_are_made_at_the_same_time_are_all_kept(tmp_path):
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: KeyRing(path).add(f"user {number}"), range(16)))
    assert {key.name for key in KeyRing(path).entries()} == {f"user {number}" for number in range(16)}


def test_a_revoked_key_is_refused_by_a_service_that_is_already_running(tmp_path):
    path = tmp_path / "keys.json"
    key, secret = KeyRing(path).add("mia")
    access = Access(AccessConfig(keys=str(path)), MemoryStore())
    assert access.authenticate(bearer(secret)).key_id == key.id
    KeyRing(path).revoke(key.id)
    with pytest.raises(AccessDenied, match="revoked") as refused:
        access.authenticate(bearer(secret))
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic x"}, bearer("r1-guess"), bearer("")])
def test_without_a_known_key_nobody_comes_in(tmp_path, headers):
    path = tmp_path / "keys.json"
    KeyRing(path).add("mia")
    with pytest.raises(AccessDenied):
        Access(AccessConfig(keys=str(path)), MemoryStore()).authenticate(headers)


def test_an_empty_ring_lets_nobody_in(tmp_path):
    with pytest.raises(AccessDenied):
        Access(AccessConfig(keys=str(tmp_path / "none.json")), MemoryStore()).authenticate(bearer("r1-x"))


def test_without_a_ring_everyone_is_anonymous_and_no_admin():
    access = Access(AccessConfig(), MemoryStore())
    principal = access.authenticate({})
    assert (principal.key_id, principal.tenant) == ("anonymous", "default")
    with pytest.raises(AccessDenied) as refused:
        access.require_admin(principal)
    assert refused.value.status == 403
    access.require_admin(Principal("k", "t", admin=True))


def test_a_key_has_its_own_limits_and_zero_is_one(tmp_path):
    path = tmp_path / "keys.json"
    _, secret = KeyRing(path).add("mia", requests_per_minute=0, tokens_per_day=7)
    config = AccessConfig(keys=str(path), requests_per_minute=60, tokens_per_minute=100)
    limits = Access(config, MemoryStore()).authenticate(bearer(secret)).limits
    assert (limits.requests_per_minute, limits.tokens_per_minute, limits.tokens_per_day) == (0, 100, 7)


def test_a_file_that_is_none_of_keys_is_said_at_the_start(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{"id": "x"}]}))
    with pytest.raises(DataError, match="r1ray keys add"):
        Access(AccessConfig(keys=str(path)), MemoryStore())


def test_the_command_prints_the_secret_once(tmp_path, capsys):
    path = str(tmp_path / "keys.json")
    main(["add", "mia", "--tenant", "school", "--requests-per-minute", "5", "--file", path])
    secret = capsys.readouterr().out.strip()
    key = KeyRing(tmp_path / "keys.json").find(secret)
    assert (key.name, key.tenant, key.requests_per_minute) == ("mia", "school", 5)
    main(["list", "--file", path])
    listed = capsys.readouterr().out
    assert key.id in listed
    assert secret not in listed
    main(["revoke", key.id, "--file", path])
    assert KeyRing(tmp_path / "keys.json").find(secret).revoked
    with pytest.raises(ConfigError, match="no key 'nobody'"):
        main(["revoke", "nobody", "--file", path])
