"""Users keep their side, the share is what was asked for, and a growing share keeps whom it has."""

from r1ray.serve.canary.split import in_share, position

USERS = [f"user-{number}" for number in range(20000)]


def test_one_user_in_a_hundred_is_in_a_share_of_one_percent():
    share = sum(in_share(user, "s", 1.0) for user in USERS) / len(USERS)
    assert 0.007 < share < 0.013  # four standard deviations


def test_a_user_always_has_the_same_place_and_salts_differ():
    assert position("mia", "s") == position("mia", "s")
    assert position("mia", "s") != position("mia", "t")
    assert min(position(user, "s") for user in USERS) >= 0.0
    assert max(position(user, "s") for user in USERS) < 1.0


def test_a_growing_share_keeps_whom_it_has():
    small = {user for user in USERS if in_share(user, "s", 1.0)}
    assert small <= {user for user in USERS if in_share(user, "s", 5.0)}


def test_the_ends():
    assert not any(in_share(user, "s", 0.0) for user in USERS)
    assert all(in_share(user, "s", 100.0) for user in USERS)
