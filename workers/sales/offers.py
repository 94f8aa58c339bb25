"""What customers say to an offer. A contract is made by people, so a yes goes to one."""

from workers.dialogue import Fact, Person, Report, Step, Turn

__all__ = ["AcceptOffer", "DeclineOffer"]


class AcceptOffer:
    """Procedure `accept_offer`."""

    name = "accept_offer"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        return Person("offer accepted", say="offer.accepted")


class DeclineOffer:
    """Procedure `decline_offer`."""

    name = "decline_offer"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        turn.say("offer.declined")
        return Report("declined", "declined")
