"""What one trial takes from the cluster, and whether any node can give it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.config.search import ResourcesConfig
from vgsearch.errors import ResourceError

# A CPU-only trial gains little from more cores than this: decoding and small convolutions saturate.
CPU_TRIAL_CPUS = 4


@dataclass(frozen=True)
class Node:
    """What one machine of the cluster offers; `key` is Ray's own id, `name` what people call it."""

    cpus: float
    gpus: float
    key: str = ""
    name: str = ""


@dataclass(frozen=True)
class Demand:
    """What one trial takes.

    `gpus` may be a fraction, which is bookkeeping to Ray; the worker limits its own memory to that share.
    `processes` is how many train it together.
    """

    cpus: float
    gpus: float
    processes: int = 1

    @property
    def threads(self) -> int:
        """Threads of one trial, at least one."""
        return max(1, math.floor(self.cpus))

    def fits(self, node: Node) -> bool:
        """Say whether a node can hold one such trial."""
        return self.cpus <= node.cpus and self.gpus <= node.gpus

    def capacity(self, nodes: Sequence[Node]) -> int:
        """How many such trials the nodes hold at once."""
        total = 0
        for node in nodes:
            by_gpu = math.floor(node.gpus / self.gpus + 1e-9) if self.gpus else math.inf
            total += int(min(math.floor(node.cpus / self.cpus + 1e-9), by_gpu))
        return total


def decide_demand(resources: ResourcesConfig, nodes: Sequence[Node]) -> Demand:
    """Fill what the user left open and check that at least one node can hold a trial.

    GPUs left open: one per trial where the cluster has any, else none. CPUs left open: a GPU trial takes
    its share of its node's cores, a CPU trial up to four.

    Raises:
        ResourceError: no node can meet the demand; Ray alone would wait for ever.
    """
    most_gpus = max((node.gpus for node in nodes), default=0.0)
    most_cpus = max((node.cpus for node in nodes), default=0.0)
    gpus = resources.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most_gpus >= 1 else 0.0
    cpus = resources.cpus_per_trial
    if cpus is None:
        if gpus and most_gpus:
            gpu_nodes = [node for node in nodes if node.gpus >= gpus]
            cpus = max(1, min((math.floor(n.cpus * gpus / n.gpus) for n in gpu_nodes), default=1))
        else:
            cpus = max(1, min(CPU_TRIAL_CPUS, math.floor(most_cpus)))
    processes = _processes(resources, gpus)
    demand = Demand(cpus=float(cpus), gpus=float(gpus), processes=processes)
    if any(demand.fits(node) for node in nodes):
        return demand
    offers = "; ".join(sorted({f"{node.gpus:g} GPUs and {node.cpus:g} CPUs" for node in nodes})) or "nothing"
    mended = [
        f"--set resources.gpus_per_trial={most_gpus:g}" if demand.gpus > most_gpus else "",
        f"--set resources.cpus_per_trial={most_cpus:g}" if demand.cpus > most_cpus else "",
    ]
    flags = " ".join(flag for flag in mended if flag) or "--set resources.cpus_per_trial=1"
    raise ResourceError(
        f"one trial asks for {demand.gpus:g} GPUs and {demand.cpus:g} CPUs on one node, "
        f"but the nodes offer {offers}; this would run: {flags}"
    )


def _processes(resources: ResourcesConfig, gpus: float) -> int:
    """One process for each GPU; as many as asked for where there are none."""
    asked = resources.processes_per_trial
    if gpus > 1 and not float(gpus).is_integer():
        raise ResourceError(
            f"resources.gpus_per_trial is a share of one GPU or a whole number of them, got {gpus:g}"
        )
    if gpus:
        whole = max(1, int(gpus))
        if asked is not None and asked != whole:
            raise ResourceError(
                f"a trial trains in one process on each of its GPUs, but resources.processes_per_trial is "
                f"{asked} and gpus_per_trial is {gpus:g}; leave processes_per_trial out"
            )
        return whole
    return asked or 1
