"""What every test stands on: no user cache, no store of the developer's, and small drawn cities."""

import os
import tempfile

import pytest

# Before anything of ours is imported: caches go to a folder of this run, and no test meets the store that
# the developer's shell names.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="vgsearch-test-cache-")
for _name in ("MLFLOW_TRACKING_URI", "VGSEARCH_HOME", "VGSEARCH_DATA"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory):
    """The demo city of about a hundred photos, in a data root as `demo_city`."""
    from vgsearch.config.search import DemoCityConfig
    from vgsearch.data.demo_city import build_demo_city

    out = tmp_path_factory.mktemp("data") / "demo_city"
    build_demo_city(out, DemoCityConfig(size="tiny", image_px=96), workers=1)
    return out
