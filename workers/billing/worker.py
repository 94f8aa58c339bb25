"""The billing department."""

from workers.billing.charge import DisputedCharge
from workers.billing.refund_status import RefundStatus
from workers.dialogue import DepartmentWorker

__all__ = ["BillingWorker"]


class BillingWorker(DepartmentWorker):
    """Group `billing`."""

    group = "billing"
    procedures = (DisputedCharge("disputed_charge"), DisputedCharge("explain_bill"), RefundStatus())
