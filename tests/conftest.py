"""Fixtures shared by every test: the real data sets, and how a missing one is reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpurec import config

# A search's precision is chosen by the costs that are stated, whatever the machine; children inherit it.
os.environ["GPUREC_CALIBRATION"] = "off"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real data sets; skips, saying so, where there is none."""
    folder = config.data_folder()
    if not (folder / "README.md").is_file():
        message = f"real data not found at {folder} (set GPUREC_DATA)"
        if os.environ.get("GPUREC_REQUIRE_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder
