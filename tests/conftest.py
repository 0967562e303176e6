"""Fixtures that every test may use: the real data, and the session's one Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsvl_data  # noqa: F401 first, as everywhere: it decides what `import pymupdf` loads

ROOT = Path(__file__).resolve().parent.parent


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
