"""Connecting: what the environment names, refused clearly where it cannot be had."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from r1ray.cluster import connect as module
from r1ray.cluster.connect import connect, object_store_bytes
from r1ray.errors import ResourceError

GIB = 2**30


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that is not connected, on a machine where no cluster left word."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("memory", "store"), [(1 * GIB, GIB // 4), (10 * GIB, 2 * GIB), (512 * GIB, 4 * GIB)])
def test_the_object_store_is_a_fifth_of_memory_within_bounds(memory: int, store: int) -> None:
    assert object_store_bytes(memory) == store


@pytest.mark.usefixtures("unconnected")
def test_a_named_cluster_that_does_not_answer_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{refused_port()}")
    with pytest.raises(ResourceError, match=r"No Ray cluster answers at RAY_ADDRESS=127\.0\.0\.1"):
        connect()


@pytest.mark.usefixtures("unconnected")
def test_a_ray_client_address_is_sent_to_job_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(ResourceError, match="ray job submit"):
        connect()


@pytest.mark.usefixtures("unconnected")
def test_a_cluster_that_is_gone_but_left_word_makes_way_for_a_local_ray(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{refused_port()}")
    started: list[str] = []

    def start(*_: object) -> object:
        started.append("local")
        raise KeyboardInterrupt  # far enough

    monkeypatch.setattr(module, "_start", start)
    with pytest.raises(KeyboardInterrupt):
        connect()
    assert started == ["local"]


@pytest.mark.usefixtures("unconnected")
def test_a_cluster_that_refuses_the_token_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster")

    monkeypatch.setattr("ray.init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(ResourceError, match="export RAY_AUTH_MODE=token"):
            connect()


@pytest.mark.ray
def test_a_connected_process_stays_connected(ray_session: None, capsys: pytest.CaptureFixture[str]) -> None:
    connection = connect()
    assert not connection.local
    assert connection.resources["CPU"] == 4
    assert connection.dashboard == ""
    assert capsys.readouterr().out == ""


TERMINATED = """
import time
from r1ray.cli import guarded
from r1ray.cluster.connect import connect

def work():
    connect(dashboard=False)
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("orderly", flush=True)

guarded(work)
"""


@pytest.mark.ray
def test_a_connected_job_that_is_terminated_ends_in_good_order() -> None:
    # `ray job stop` sends SIGTERM; Ray's own handler would end the process on the spot.
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", TERMINATED]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stdout.readline() == "ready\n"
        job.send_signal(signal.SIGTERM)
        assert job.communicate(timeout=60)[0] == "orderly\n"
        assert job.returncode == 143
