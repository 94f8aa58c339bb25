"""The contacts of a measurement: mixed as real ones, in three languages, half of them about an order that exists."""

from datetime import datetime

from bus.message import Contact, Party, derive_id

__all__ = ["address_of", "contact"]

_TEXTS = (
    ("de", "Guten Tag, auf meiner Abrechnung steht die Bestellung {order} zweimal. Bitte prüfen Sie das."),
    ("nb", "Hei, jeg vil gjerne returnere en vare fra bestilling {order}. Hvordan gjør jeg det?"),
    ("en", "Hello, where is my order {order}? It should have arrived on {day} March."),
    ("de", "Meine Kaffeemaschine ist defekt und heizt seit dem {day}. März nicht mehr, was kann ich tun?"),
    ("nb", "Når åpner dere på lørdag den {day}.?"),
    ("en", "I was charged {amount} more than the price on the shelf for order {order}."),
    ("de", "Guten Tag,\n\nich habe am {day}. Februar bei Ihnen bestellt ({order}) und noch nichts bekommen. Können Sie "
     "mir bitte sagen, wo das Paket gerade ist? Ich brauche es bis zum Wochenende.\n\nMit freundlichen Grüßen\n{name}"),
    ("nb", "Hei!\n\nJeg ble trukket to ganger for {order}, {amount} hver gang. Kan dere betale tilbake det ene "
     "beløpet? Takk på forhånd.\n\nVennlig hilsen\n{name}"),
    ("en", "Hi,\n\nthe jacket from order {order} is too small. Could I exchange it for the next size up? I have not "
     "worn it and the label is still on.\n\nKind regards\n{name}"),
    ("de", "Ich möchte die Bestellung {order} widerrufen und mein Geld zurück.\n\n{name}"),
    ("nb", "Jeg vil snakke med et menneske om bestilling {order}."),
    ("en", "Can I pay with a gift card, and do you deliver to the islands?"),
)  # fmt: skip
_ORDERS = ("SO-10234", "SO-10301", "SO-10388", "SO-10412")
"""Half of the contacts name an order of the demo's, which are looked up; the others one that does not exist."""
_NAMES = ("Anke Petersen", "Jonas Weber", "Kari Lunde", "Ola Nordmann", "Tom Baker", "Priya Shah", "Grete Ohlsen")
_SUBJECTS = {"de": "Anfrage", "nb": "Henvendelse", "en": "Question"}


def contact(name: str, number: int, now: datetime, *, tenant: str = "shop") -> Contact:
    """Each from a person and a mail domain of its own: one domain that writes a thousand times is soon not answered."""
    language, text = _TEXTS[number % len(_TEXTS)]
    address = address_of(name, number)
    writer = _NAMES[number % len(_NAMES)]
    orders = _ORDERS if number % 2 else (f"SO-{20000 + number % 70000}",)
    return Contact(
        id=derive_id("c", "bench", address),
        tenant=tenant,
        channel="email",
        account="hilfe@shop.example",
        conversation=f"<{address}>",
        sender=Party(kind="email", address=address, name=writer),
        occurred_at=now,
        received_at=now,
        subject=_SUBJECTS[language],
        text=text.format(
            order=orders[number % len(orders)], day=number % 28 + 1, amount=f"{number % 90 + 5},00 kr", name=writer
        ),
        native={"message_id": f"<{address}>"},
    )


def address_of(name: str, number: int) -> str:
    """The writer of a contact."""
    return f"customer@{name}-{number}.example"
