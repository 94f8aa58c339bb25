"""The returns department."""

from workers.dialogue import DepartmentWorker
from workers.returns.exchange import Exchange
from workers.returns.faulty import DamagedItem, FaultyDevice
from workers.returns.give_back import ReturnForRefund

__all__ = ["ReturnsWorker"]


class ReturnsWorker(DepartmentWorker):
    """Group `returns`."""

    group = "returns"
    procedures = (ReturnForRefund(), Exchange(), FaultyDevice(), DamagedItem())
