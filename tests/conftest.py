"""What every test may use: the real data, and the session's one Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsvl_data  # noqa: F401 first, as everywhere: it decides what `import pymupdf` loads

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests `make test` keeps together in one of its processes.

    All that need Ray share one, and so one Ray; else a file's tests share what it sets up.
    """
    for item in items:
        needs_ray = "ray_session" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("ray" if needs_ray else item.nodeid.split("::")[0]))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real inputs: `DSVL_REAL_DATA`, else `shared/data` beside the checkout."""
    folder = Path(os.environ.get("DSVL_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set DSVL_REAL_DATA to a folder that has it")
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """The small raw inputs that the project wrote itself."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray on this machine for the whole test session; importing it takes seconds."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    yield
    ray.shutdown()
