"""One brain for all tests of understanding: trained as a first start does it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from workers.case.work import Understanding
from workers.packs import Pack, load
from workers.triage.brain import Brain, Message
from workers.triage.understand import Context


@pytest.fixture(scope="session")
def shop() -> Pack:
    return load("shop")


@pytest.fixture(scope="session")
def brain(shop: Pack, learned: Path) -> Brain:
    return Brain.open(shop, learned)


Understand = Callable[..., Understanding]


@pytest.fixture
def understood(brain: Brain) -> Understand:
    def understand(text: str, language: str = "", *, subject: str = "", **context: object) -> Understanding:
        message = Message(text=text, subject=subject, hints_case=language, context=Context(**context))  # type: ignore[arg-type]
        return brain.understand([message])[0]

    return understand
