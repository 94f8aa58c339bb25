"""The proof is a program of its own (`proof`), which its tests import."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a trained model: training once is enough for every house."""
    from workers.packs import load
    from workers.triage.brain import Brain

    folder = tmp_path_factory.mktemp("learned")
    Brain.open(load("shop"), folder)
    return folder
