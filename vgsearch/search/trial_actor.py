"""The Ray actor that trains: one trial at a time, one epoch a step, warm from trial to trial.

Our own errors are caught here and sent as results, so that Tune never retries them blindly; what Tune does
retry is a dead process. The checkpoints are on disk already, so Tune gets none.
"""

from __future__ import annotations

import platform
import traceback
from pathlib import Path
from typing import Any

import torch
from ray.tune import Trainable

from vgsearch.config.search import TrialSpec
from vgsearch.errors import CellsError, DataError, StorageError, VgsearchError, WeightsError, first_line
from vgsearch.search.messages import WorkerMessage, plain_report
from vgsearch.training.rank_messages import RankError
from vgsearch.training.reset import reset_process
from vgsearch.training.trainer import Trainer
from vgsearch.training.trunk import TrunkError

# A worker that dies this often inside one epoch (killed for memory, a broken driver) will die again.
MAX_DEATHS_PER_EPOCH = 3


class TrialActor(Trainable):
    """Trains the trial in `config["spec"]` in the folder `config["trials"]/<uid>`."""

    _trainer: Trainer | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first trial."""
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial in the same warm process."""
        self._drop()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch and send the trial's epochs so far.

        The first step of a trial that has epochs on disk sends them before it trains: the driver may not
        have heard of the last one, and may want to stop there.
        """
        try:
            if self._trainer is None:
                self._trainer = self._open_trainer()
                if self._trainer.reports:
                    return self._result(self._trainer)
            if not self._trainer.finished:
                self._trainer.train_epoch()
                self._deaths.write_text(f"{self._run} 1")
            return self._result(self._trainer)
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            return self._end(failed=f"out of GPU memory: {first_line(error)}", out_of_memory=True)
        except MemoryError as error:
            return self._end(failed=f"out of memory: {first_line(error)}", out_of_memory=True)
        except RankError:
            # A process of the trial died: to Tune this worker did, and the next goes on from the last epoch.
            raise
        except CellsError as error:
            return self._end(failed=first_line(error))
        except (DataError, StorageError, WeightsError, TrunkError) as error:
            return self._end(halted=first_line(error) + self._node)
        except VgsearchError as error:
            return self._end(failed=first_line(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return self._end(halted=f"{where}{error.strerror or error}{self._node}")
        except Exception as error:
            (self._folder / "traceback.txt").write_text(traceback.format_exc())
            told = f"{type(error).__name__}: {first_line(error)}"
            return self._end(failed=f"{told} (see {self._folder / 'traceback.txt'})")

    def cleanup(self) -> None:
        """Stop the loader's threads."""
        self._drop()

    def _take(self, config: dict[str, Any]) -> None:
        reset_process()
        self._spec = TrialSpec.model_validate_json(config["spec"])
        self._threads = int(config["threads"])
        self._loader_threads: int | None = config["loader_threads"]
        self._folder = Path(config["trials"]) / self._spec.uid
        self._run = str(config["run"])
        self._processes = int(config["processes"])
        self._node = f" (on node {platform.node()})" if config["is_cluster"] else ""
        _limit_gpu_memory(float(config["gpus"]))
        self._deaths = self._folder / "deaths"
        self._trainer = None

    def _open_trainer(self) -> Trainer:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Counted up on opening and cleared by an epoch: what is left over are processes that died under
        # this driver. An interrupted search leaves one too, which is no fault of the trial's.
        run, _, count = self._deaths.read_text().partition(" ") if self._deaths.exists() else ("", "", "")
        deaths = int(count) if run == self._run and count.isdigit() else 0
        if deaths >= MAX_DEATHS_PER_EPOCH:
            raise VgsearchError(f"its worker died {deaths} times without finishing an epoch")
        self._deaths.write_text(f"{self._run} {deaths + 1}")
        return Trainer(
            self._spec,
            self._folder,
            threads=self._threads,
            loader_threads=self._loader_threads,
            processes=self._processes,
        )

    def _drop(self) -> None:
        if self._trainer is not None:
            self._trainer.close()
        self._trainer = None

    def _result(self, trainer: Trainer) -> dict[str, Any]:
        message = WorkerMessage(
            uid=self._spec.uid,
            epochs=tuple(plain_report(report) for report in trainer.reports),
            num_queries=_queries_of(trainer, self._spec.objective),
        )
        return message.as_result()

    def _end(self, *, failed: str = "", halted: str = "", out_of_memory: bool = False) -> dict[str, Any]:
        reports = self._trainer.reports if self._trainer is not None else []
        message = WorkerMessage(
            uid=self._spec.uid,
            epochs=tuple(plain_report(report) for report in reports),
            failed=failed,
            halted=halted,
            out_of_memory=out_of_memory,
        )
        self._deaths.unlink(missing_ok=True)
        self._drop()
        return message.as_result()


def _limit_gpu_memory(share: float) -> None:
    """Keep a trial that holds a part of a GPU to that part of its memory.

    Ray only counts shares. Without a limit a trial that takes more would make its neighbour fail.
    """
    if 0 < share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def _queries_of(trainer: Trainer, objective: str) -> int:
    """Queries behind an objective: of its split, or of all equally large ones where it is their mean."""
    parts = objective.split("/")
    split = parts[1] if len(parts) == 3 else ""
    counts = set(trainer.num_queries.values())
    if split == "mean":
        return sum(trainer.num_queries.values()) if len(counts) == 1 else 0
    return trainer.num_queries[split]
