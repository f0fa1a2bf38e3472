"""A search without Ray: workers are a function of their configuration; study, ledger and MLflow are real."""

import hashlib
import multiprocessing
import os
import signal

from vgsearch.config.document import load_document
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.spool import SpooledRegistry
from vgsearch.search.ledger import Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.opening import search_identity
from vgsearch.search.study import DETERMINISTIC, NUM_TRIALS, WALL_S, WARM_START, Study, journal_path

CLIENT_WRITES = (
    "create_experiment",
    "create_run",
    "update_run",
    "delete_run",
    "log_batch",
    "set_tag",
    "delete_tag",
    "set_terminated",
    "log_artifact",
    "log_artifacts",
    "log_text",
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
)


# Chosen so that a short search meets every kind of end.
SALT = "0"


def open_study(document, data, home, resume):
    if resume:
        return Study.resume(home, document.name)
    settings = {
        NUM_TRIALS: document.search.num_trials,
        DETERMINISTIC: False,
        WALL_S: 0,
        WARM_START: None,
    }
    return Study.create(home, document.name, search_identity(document, data), settings)


def objective(spec, epoch):
    """A recall in percent, a pure function of configuration, seed and epoch."""
    trial = spec.trial
    key = f"{trial.loss.name} {trial.loss.scale:.6f} {trial.lr:.9f} {trial.seed}"
    luck = int.from_bytes(hashlib.sha256(f"{SALT} {key} {epoch}".encode()).digest()[:4], "big") / 2**32
    return 30.0 + 5.0 * epoch + 20.0 * luck


def report(spec, epoch, home):
    folder = home / "trials" / spec.uid / f"epoch_{epoch:04d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(f"{spec.trial.seed} {spec.trial.lr} {epoch}".encode())
    (folder / "trial.yaml").write_text(f"uid: {spec.uid}\n")
    (folder / "metrics.json").write_text(f'{{"epoch": {epoch}}}')
    slow = spec.trial.loss.scale > 60
    metrics = {
        "val/recall_at_1": objective(spec, epoch),
        "train/loss": 1.0 / epoch,
        "cost/query_ms": 90.0 if slow else 10.0,
        "cost/descriptor_bytes": 64.0,
    }
    return {
        "epoch": epoch,
        "metrics": metrics,
        "checkpoint": str(folder),
        "is_best": True,
        "seconds": 36.0,
    }


def finish_trials(ledger, home):
    """Run every trial that the ledger hands out; a resumed worker tells its epochs again, as the real one."""
    while (spec := ledger.next_spec()) is not None:
        stored = next(t for t in ledger.study.trials() if t.user_attrs["vgsearch.uid"] == spec.uid)
        done = len(stored.intermediate_values)
        reports = [report(spec, epoch, home) for epoch in range(1, done + 1)]
        goes_on = not reports or ledger.receive(WorkerMessage(spec.uid, tuple(reports), num_queries=100))
        while goes_on:
            reports.append(report(spec, len(reports) + 1, home))
            goes_on = ledger.receive(WorkerMessage(spec.uid, tuple(reports), num_queries=100))


def run(space_file, city_root, home, overrides=(), registry=None, watch=lambda event: None, gpus=0.5):
    """Run or resume the search to its end; gives its ledger's standing."""
    document = load_document(space_file, overrides, data_root=city_root)
    data = document.resolved_data(city_root)
    path = journal_path(home, document.name)
    resume = path.exists() and has_trials(home, document.name)
    study = open_study(document, data, home, resume)
    try:
        recorder = registry or SpooledRegistry(lambda: MlflowRegistry(home), home / "spool")
        ledger = Ledger(document, data, study, recorder, watch, holding=Holding(gpus))
        finish_trials(ledger, home)
        ledger.plan_repeats()
        finish_trials(ledger, home)
        champion = ledger.crown()
        uid = champion.user_attrs["vgsearch.uid"]
        recorder.log_scores(recorder.find_run(document.name, uid), {"test/day/recall_at_1": 1.0})
        recorder.finish_search(ledger.search_run, "complete")
        return ledger.finalists(), champion
    finally:
        study.close()


def has_trials(home, name):
    # A study without a trial starts anew, as a user would start it: without --resume.
    from vgsearch.search.study import read_trials

    try:
        return bool(read_trials(home, name))
    except Exception:
        return False


def _count_writes(on_write):
    """Call `on_write` after each durable write of the driver: journal appends and MLflow's client calls."""
    from mlflow import MlflowClient
    from optuna.storages.journal import JournalFileBackend

    def wrapped(original):
        def write(*args, **kwargs):
            result = original(*args, **kwargs)
            on_write()
            return result

        return write

    JournalFileBackend.append_logs = wrapped(JournalFileBackend.append_logs)
    for name in CLIENT_WRITES:
        setattr(MlflowClient, name, wrapped(getattr(MlflowClient, name)))


def _child(arguments, die_after, counter):
    count = 0

    def on_write():
        nonlocal count
        count += 1
        counter.value = count
        if count == die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    _count_writes(on_write)
    run(*arguments)


def start_in_child(*arguments, die_after=0):
    """Start the search in a forked process that kills itself after its `die_after`-th write.

    Returns the process and the number of its writes so far, as a shared value.
    """
    context = multiprocessing.get_context("fork")
    counter = context.Value("i", 0)
    process = context.Process(target=_child, args=(arguments, die_after, counter))
    process.start()
    return process, counter


def run_in_child(*arguments):
    """Run the search in a forked process; gives its exit code and the number of its writes."""
    process, counter = start_in_child(*arguments)
    process.join()
    return process.exitcode, counter.value


def in_child(function, *arguments):
    """Call a function in a forked process: MLflow keeps connections, which a later fork must not inherit."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)

    def call():
        theirs.send(function(*arguments))

    process = context.Process(target=call)
    process.start()
    theirs.close()
    result = mine.recv()
    process.join()
    return result
