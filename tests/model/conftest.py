"""What the model's tests share: the golden set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def golden() -> Path:
    """The outputs of the authors' code: `DSVL_GOLDEN`, else `shared/golden` beside the checkout."""
    folder = Path(os.environ.get("DSVL_GOLDEN", ROOT.parent / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no golden set at {folder}; set DSVL_GOLDEN to a folder that has one")
    return folder
