"""The driver's side of a learner group: what Ctrl-C does."""

import signal

import pytest

from r1ray.train.drive import first_ctrl_c


def test_the_first_ctrl_c_is_handled_and_the_second_breaks_in() -> None:
    handled: list[str] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with first_ctrl_c(lambda: handled.append("first")):
            signal.raise_signal(signal.SIGINT)
            assert handled == ["first"]
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert handled == ["first"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
