"""The embedded engine keeps what the store port promises. The fixture `engine` is the tree's own."""

import pytest

from bus.log.embedded import EmbeddedEngine
from bus.testing.store_conformance import StoreConformance


class TestEmbeddedStore(StoreConformance):
    @pytest.fixture
    def engine(self, engine: EmbeddedEngine) -> EmbeddedEngine:
        return engine
