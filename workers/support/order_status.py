"""Where is my order: what is known of its way, and a person who looks for it when it is late."""

from workers.dialogue import ORDER, NeedFacts, Person, Report, Step, Turn
from workers.dialogue.orders import item_names, open_order
from workers.policy.calendar import end_of_day

__all__ = ["OrderStatus"]


class OrderStatus:
    """Procedure `order_status`."""

    name = "order_status"
    facts = (ORDER,)
    needs_proof = True
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        order = file.order
        items = item_names(turn, file)
        if order.state == "cancelled":
            turn.say("status.cancelled", order=order.id)
        elif order.delivered is not None:
            turn.say("status.delivered", order=order.id, items=items, date=turn.date(order.delivered))
        elif order.expected is not None:
            # "Late" is what the customer feels: the day that was named has gone by, all of it.
            ends = end_of_day(order.expected, turn.country)
            missing_after = turn.pack.policy.service.missing_after_working_days
            if turn.now > turn.working_days(missing_after, since=order.expected):
                turn.say("status.missing", order=order.id, date=turn.date(order.expected))
                return Person("parcel missing")
            key = "status.late" if turn.now > ends else f"status.{order.state}"
            if turn.now <= ends:
                # The day that we name is a promise: when it has gone by without a delivery, a person looks.
                turn.promise("delivery", ends, action=f"order:{order.id}")
            turn.say(key, order=order.id, items=items, date=turn.date(order.expected), tracking=order.tracking or "-")
        else:
            turn.say("status.no-date", order=order.id, items=items)
            return Person("order without a date")
        return Report("explained", "explained")
