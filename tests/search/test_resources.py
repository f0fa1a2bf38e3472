import pytest

from vgsearch.config.search import ResourcesConfig
from vgsearch.errors import ResourceError
from vgsearch.search.resources import Demand, Node, decide_demand

LAPTOP = [Node(cpus=2, gpus=0)]
CLUSTER = [Node(cpus=64, gpus=8), Node(cpus=32, gpus=0)]


@pytest.mark.parametrize(
    ("wish", "nodes", "expected"),
    [
        ({}, LAPTOP, Demand(2, 0)),
        ({}, CLUSTER, Demand(8, 1)),
        ({"gpus_per_trial": 0.5}, CLUSTER, Demand(4, 0.5)),
        ({"gpus_per_trial": 0, "cpus_per_trial": 1}, LAPTOP, Demand(1, 0)),
        ({"gpus_per_trial": 0}, CLUSTER, Demand(4, 0)),
    ],
)
def test_what_is_left_open_is_filled_from_the_nodes(wish, nodes, expected):
    assert decide_demand(ResourcesConfig(**wish), nodes) == expected


def test_half_a_gpu_on_a_laptop_ends_at_once_with_the_numbers_and_the_way_out():
    wish = ResourcesConfig(gpus_per_trial=0.5, cpus_per_trial=4)
    with pytest.raises(ResourceError) as caught:
        decide_demand(wish, LAPTOP)
    assert str(caught.value) == (
        "one trial asks for 0.5 GPUs and 4 CPUs on one node, but the nodes offer 0 GPUs and 2 CPUs; "
        "this would run: --set resources.gpus_per_trial=0 --set resources.cpus_per_trial=2"
    )


@pytest.mark.parametrize(
    ("demand", "nodes", "expected"),
    [
        (Demand(4, 0.5), CLUSTER, 16),
        (Demand(1, 0), LAPTOP, 2),
        (Demand(2, 0), CLUSTER, 48),
        (Demand(4, 0.1), [Node(64, 1)], 10),
    ],
)
def test_capacity_counts_whole_trials_node_by_node(demand, nodes, expected):
    assert demand.capacity(nodes) == expected
