"""What every test stands on: no user cache, no store of the developer's, and small drawn cities."""

import os
import shutil
import tempfile

import pytest

# Before anything of ours is imported: caches go to a folder of this run, and no test meets the store that
# the developer's shell names.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="vgsearch-test-cache-")
for _name in ("MLFLOW_TRACKING_URI", "VGSEARCH_HOME", "VGSEARCH_DATA"):
    os.environ.pop(_name, None)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several test processes share the cores, and threads of one would only wait for those of another: each
    # has its share of them, which what it starts inherits.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if hasattr(os, "sched_setaffinity"):
        _cpus = sorted(os.sched_getaffinity(0))
        _number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, _cpus[_number::_workers] or _cpus)


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory):
    """The demo city of about a hundred photos, in a data root as `demo_city`."""
    from vgsearch.config.search import DemoCityConfig
    from vgsearch.data.demo_city import build_demo_city

    out = tmp_path_factory.mktemp("data") / "demo_city"
    build_demo_city(out, DemoCityConfig(size="tiny", image_px=96), workers=1)
    return out


@pytest.fixture(scope="session")
def short_costs():
    """A trial in this process spends a tenth of the usual half second on measuring what a query costs."""
    from functools import partial

    from vgsearch.training import costs, trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "measure_query_ms", partial(costs.measure_query_ms, budget_s=0.05))
        yield


@pytest.fixture(scope="session")
def searched_store(tmp_path_factory, short_costs):
    """(registry, home, search): one finished search in a real MLflow store; look, but record nothing in it.

    The search `pot` selects on `val/recall_at_1` (one unnamed split, 48 places, 96 queries of 64 px) and has
    the tests `day` and `night` and training photos, all real JPEGs in SF-XS names. It holds five complete
    trials, versions 1 to 5, one epoch each, with recorded val results:

    - 1 to 4 share an architecture (`test_efficientnet`, BatchNorm, 32-D): copies of one trained network, each
      moved at random. The mean of 1 and 2 scores above both, 3 is worse but near, and 4 is lost: it spoils
      what it is averaged with.
    - 5 is of another one (`test_resnet`, 32-D), trained by itself.

    The champion is the best of 1 to 4. On the machine this was written on, R@1 is 26.0, 26.0, 21.9, 8.3 and
    17.7, that of the mean of 1 and 2 29.2; tests should not hang on such digits.
    """
    from tests.ensembling.searched_store import build_searched_store

    return build_searched_store(tmp_path_factory.mktemp("searched"))


@pytest.fixture
def own_searched_store(searched_store, tmp_path):
    """A copy of `searched_store` that a test may record into, in `tmp_path / "runs"`.

    Its artifacts stay where the search recorded them, as those of a copied database do; photos are shared.
    """
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    home = tmp_path / "runs"
    home.mkdir()
    shutil.copyfile(searched_store.home / "mlflow.db", home / "mlflow.db")
    return searched_store._replace(registry=MlflowRegistry(home, None), home=home)


@pytest.fixture(scope="module")
def one_thread():
    """PyTorch on one thread: it adds up in one order, and a team would only wait on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
