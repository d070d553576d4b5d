"""`cluster.yaml` is what Ray's cluster launcher takes, and starts what the README promises."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_it_is_valid_under_rays_schema(cluster: dict[str, Any]) -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)


def test_ray_up_accepts_it(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_the_schema_would_notice_a_misspelt_key(cluster: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuets"):
        validate_config(prepare_config({**cluster, "idle_timeout_minuets": 5}))


def test_learners_are_on_demand_and_rollout_workers_are_spot(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    spot = {name for name, node in types.items() if "InstanceMarketOptions" in node["node_config"]}
    assert spot == {"gpu_rollout_spot"}
    assert types["gpu_learner"]["resources"]["GPU"] >= 1
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0


def test_every_node_installs_from_the_lock(cluster: dict[str, Any]) -> None:
    install = next(command for command in cluster["setup_commands"] if "make install" in command)
    for word in install.split():
        if word.startswith("LOCK="):
            assert (ROOT / word.removeprefix("LOCK=").rstrip(";")).is_file()


def test_every_path_that_goes_along_exists_here(cluster: dict[str, Any]) -> None:
    local = [path for path in cluster["file_mounts"].values() if path.startswith("./")]
    assert len(local) >= 7
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_every_node_asks_for_the_token(cluster: dict[str, Any]) -> None:
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        assert all("RAY_AUTH_MODE=token" in command for command in commands if "ray start" in command)
