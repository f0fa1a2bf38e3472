"""Two Ray nodes on this machine, as a cluster that the driver joins; one of them dies while trials run."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import ray
from optuna.trial import TrialState
from ray.cluster_utils import Cluster

from vgsearch.config.search import DataConfig
from vgsearch.errors import ResourceError
from vgsearch.search.cluster import ray_session
from vgsearch.search.node_check import check_nodes, data_folders
from vgsearch.search.study import journal_path, read_trials

pytestmark = pytest.mark.slow

NODE = {"num_cpus": 1, "object_store_memory": 100 * 1024**2, "include_dashboard": False}


@pytest.fixture
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args=dict(NODE))
    yield cluster
    if ray.is_initialized():
        ray.shutdown()
    cluster.shutdown()


def start(space_file, city, home, address, *extra):
    command = [sys.executable, "-m", "vgsearch.cli.main", "tune", str(space_file), "--address", address]
    return subprocess.Popen(
        [*command, "--home", str(home), "--data-root", str(city.parent), *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_until(condition, process, timeout_s=120):
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"the search did not get that far: {process.communicate()[0]}")


def test_trials_of_a_node_that_dies_move_and_finish(space_file, tiny_city, tmp_path, cluster):
    second = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    home = tmp_path / "runs"
    process = start(
        space_file,
        tiny_city,
        home,
        cluster.address,
        *("--set", "resources.max_concurrent=2", "--set", "search.scheduler.name=none"),
        # Long enough for the second node's first worker, which starts seconds after the first one's.
        *("--set", "trial.epochs=40", "--set", "trial.iterations_per_epoch=20"),
        *("--set", "search.num_trials=4"),
    )

    def two_trials_have_begun():
        if not journal_path(home, "quick").exists():
            return False
        running = [t for t in read_trials(home, "quick") if not t.state.is_finished()]
        return sum(bool(t.intermediate_values) for t in running) == 2

    # One CPU a node and one a trial: two that run at once are on two nodes.
    wait_until(two_trials_have_begun, process)
    cluster.remove_node(second, allow_graceful=False)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    trials = read_trials(home, "quick")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4, output
    assert all(set(trial.intermediate_values) == set(range(1, 41)) for trial in trials)


def test_a_node_that_lacks_the_data_or_another_home_is_named(tiny_city, tmp_path, cluster):
    cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    data = DataConfig(train=str(tiny_city / "train"), val=str(tiny_city / "val_day"))
    with ray_session(cluster.address) as nodes:
        assert len(nodes) == 2
        assert len(check_nodes(nodes, data, tmp_path / "runs")) == 2
        assert not list((tmp_path / "runs").iterdir()), "the word that the driver wrote is gone"

        missing = data.model_copy(update={"val": {"night": "/nowhere/val_night"}})
        with pytest.raises(ResourceError) as caught:
            check_nodes(nodes, missing, tmp_path / "runs")
        lines = str(caught.value).splitlines()
        assert len(lines) == 2
        for node, line in zip(nodes, lines, strict=True):
            assert line.startswith(f"node {node.name} has no folder /nowhere/val_night (data.val.night): ")

        gone = replace(nodes[1], key="a" * 56, name="gone (10.0.0.9)")
        with pytest.raises(ResourceError, match=r"node gone \(10\.0\.0\.9\) cannot run vgsearch"):
            check_nodes([nodes[0], gone], data, tmp_path / "runs")


def test_every_folder_that_trials_read_is_asked_for():
    data = DataConfig(train="/t", val={"day": "/d", "night": "/n"}, tests={"xs": "/x"}, target_domain="/u")
    assert data_folders(data) == {
        "data.train": "/t",
        "data.val.day": "/d",
        "data.val.night": "/n",
        "data.tests.xs": "/x",
        "data.target_domain": "/u",
    }
    several = DataConfig(train="/t", val="/v", target_domain={"night": "/n", "rain": "/r"})
    assert data_folders(several) == {
        "data.train": "/t",
        "data.val": "/v",
        "data.target_domain.night": "/n",
        "data.target_domain.rain": "/r",
    }


def test_a_query_folder_by_name_is_asked_for_on_disk():
    data = DataConfig(train="/t", val="/v#queries_day", tests={"night": "/x/test#queries_night"})
    assert data_folders(data) == {
        "data.train": "/t",
        "data.val": "/v/queries_day",
        "data.tests.night": "/x/test/queries_night",
    }
