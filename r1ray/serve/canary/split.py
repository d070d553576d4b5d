"""Which version answers whom: a hash of the user decides, so that nobody changes sides between two requests."""

import hashlib


def position(identity: str, salt: str) -> float:
    """A place in [0, 1) that depends on the user and the salt alone; users lie evenly."""
    digest = hashlib.sha256(f"{salt}\0{identity}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56  # 53 bits of a float would round up to 1


def in_share(identity: str, salt: str, percent: float) -> bool:
    """Whether the user belongs to the canary's share. A growing share keeps whom it has."""
    return position(identity, salt) * 100 < percent
