"""Running the ledger's trials through Ray Tune."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vgsearch.config.document import SearchDocument
from vgsearch.errors import StorageError
from vgsearch.search.cluster import live_nodes
from vgsearch.search.interrupts import Interruption
from vgsearch.search.ledger import Ledger
from vgsearch.search.resources import Demand


@dataclass(frozen=True)
class TuneRun:
    """What it takes to run the ledger's trials."""

    ledger: Ledger
    demand: Demand
    document: SearchDocument
    home: Path
    beat: Callable[[], None]
    interruption: Interruption
    is_cluster: bool

    def at_once(self) -> int:
        """How many trials may run now: as many as fit the nodes that are up, or fewer if the user says so."""
        if self.ledger.is_deterministic:
            return 1
        fitting = max(1, self.demand.capacity(live_nodes()))
        return min(fitting, self.document.resources.max_concurrent or fitting)

    def run_trials(self) -> None:
        """Run the ledger's trials through Tune, until they are done or a signal cuts them short."""
        from ray import tune

        from vgsearch.search.trial_actor import TrialActor
        from vgsearch.search.tune_adapter import (
            Desk,
            DeskStopper,
            Heartbeat,
            LedgerScheduler,
            LedgerSearcher,
        )

        desk = Desk(self.ledger, self.interruption, self.at_once)
        trials = self.home / "trials"
        try:
            trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {trials}: {error.strerror}; choose another --home") from error
        name = f"{self.document.name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000:03d}"
        tuner = tune.Tuner(
            tune.with_resources(TrialActor, {"cpu": self.demand.cpus, "gpu": self.demand.gpus}),
            param_space={
                "trials": str(trials),
                "threads": self.demand.threads,
                "loader_threads": self.document.resources.loader_threads,
                "processes": self.demand.processes,
                "gpus": self.demand.gpus,
                "is_cluster": self.is_cluster,
                "run": name,
            },
            tune_config=tune.TuneConfig(
                search_alg=LedgerSearcher(desk),
                scheduler=LedgerScheduler(desk),
                num_samples=self.ledger.most_to_hand_out,
                reuse_actors=True,
                trial_name_creator=lambda trial: str(trial.config["uid"]),
                trial_dirname_creator=lambda trial: str(trial.config["uid"]),
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(self.home / "ray"),
                stop=DeskStopper(desk),
                callbacks=[Heartbeat(self.beat)],
                failure_config=tune.FailureConfig(max_failures=-1),
                # The trainer writes its own checkpoints; Tune would ask the actor for another at the end.
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        )

        if not self.interruption.requested:
            tuner.fit()
        if desk.fatal is not None:
            raise desk.fatal
