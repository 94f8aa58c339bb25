"""What the consent ledger says about a case's customer, asked while a decision is taken.

It is asked once more in the transaction that starts the sending (`bus.delivery.ledger.begin_sending`); here it keeps a
goodbye from being held back for the question that it carries.
"""

from datetime import datetime

from bus.delivery.consent import SURVEY, QuietHours, country_of, may_contact
from bus.store.permission import entries_for, entry_of, recipient_key
from bus.store.port import Store
from workers.case.model import CaseState, Route

__all__ = ["permits_survey"]


async def permits_survey(store: Store, state: CaseState, route: Route, now: datetime) -> bool:
    """Whether the customer of a case may be asked, through a route, how satisfied he is."""
    recipient = recipient_key(state.tenant, route.address)
    asked = {"tenant": state.tenant, "person": state.person, "recipient": recipient}
    said = [entry_of(row) for row in await store.all(entries_for, asked)]
    country = country_of("", route.address.address)
    return may_contact(said, SURVEY, route.channel, now, QuietHours(), country).permitted
