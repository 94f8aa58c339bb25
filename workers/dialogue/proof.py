"""Proof before data and money: a confirmation through the address on file.

A sender address, a caller's number and a signature prove nothing. The writer is asked to confirm:

- writes from an address on file: the reply in the same thread goes to that address, so it carries a one-time link and
  a code. Whoever can use them reads the mailbox (or the letter box).
- writes from anywhere else and names an order: a code goes to the e-mail address on file of the order's owner, and the
  writer must type it where he wrote. The owner's own click could prove the owner only, so there is no link.

Nothing in the writer's reply depends on whether the order exists or whose it is. The code is derived from the signing
key and stored nowhere; tries, expiry and single use are guarded in the transaction.
"""

import base64
import hmac
import re
from datetime import timedelta

from sqlalchemy import bindparam, insert, select, update

from bus.adapter.tokens import Signer
from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.message import Party, Reply, derive_id
from bus.store.conversation import heard_write
from bus.store.port import Row
from workers.case import events, model
from workers.case.changes import Draft, load_case, reply_id
from workers.case.people import identity_key, identity_of, proven_write
from workers.case.rules import Receive
from workers.case.schema import case_event, challenge, contact_case, thread
from workers.dialogue.matters import SIBLING
from workers.dialogue.turn import Turn
from workers.records import Customer

__all__ = ["CHALLENGES_PER_DAY", "code_of", "confirm_by_code", "confirm_by_link", "request_proof", "token_value"]

CHALLENGES_PER_DAY = 6
"""Codes that one customer's address gets in a day, whoever asks: nobody may flood somebody else's mailbox."""

_CODE_DIGITS = 6

_open = insert(challenge)
_use = (
    update(challenge)
    .where(
        challenge.c.tenant == bindparam("b_tenant"),
        challenge.c.id == bindparam("b_id"),
        challenge.c.used == 0,
        challenge.c.tries < bindparam("b_tries"),
    )
    .values(used=bindparam("b_at"))
)
_miss = (
    update(challenge)
    .where(
        challenge.c.tenant == bindparam("b_tenant"),
        challenge.c.id == bindparam("b_id"),
        challenge.c.tries == bindparam("b_tries"),
    )
    .values(tries=challenge.c.tries + 1)
)
_one = select(challenge).where(challenge.c.tenant == bindparam("tenant"), challenge.c.id == bindparam("id"))
_recent = (
    select(challenge.c.id)
    .where(
        challenge.c.tenant == bindparam("tenant"),
        challenge.c.customer == bindparam("customer"),
        challenge.c.created > bindparam("since"),
    )
    .limit(CHALLENGES_PER_DAY)
)
"""No more than decide: whoever asks for thousands must not make each further question dearer."""
_received = (
    select(case_event.c.data)
    .where(
        case_event.c.tenant == bindparam("tenant"),
        case_event.c.case_id == bindparam("case_id"),
        case_event.c.kind == "received",
    )
    .order_by(case_event.c.seq)
)
_move_thread = (
    update(thread)
    .where(thread.c.tenant == bindparam("b_tenant"), thread.c.case_id == bindparam("b_from"))
    .values(case_id=bindparam("b_to"))
)
_move_contacts = (
    update(contact_case)
    .where(contact_case.c.tenant == bindparam("b_tenant"), contact_case.c.case_id == bindparam("b_from"))
    .values(case_id=bindparam("b_to"))
)


def code_of(signer: Signer, tenant: str, challenge_id: str) -> str:
    """The code of a challenge: the signature of its id, as digits."""
    number = int.from_bytes(base64.b32decode(signer.sign("code", tenant, challenge_id).upper()), "big")
    return f"{number % 10**_CODE_DIGITS:0{_CODE_DIGITS}d}"


def token_value(challenge_id: str, case_id: str, number: str = "", *, yes: bool = False) -> str:
    """What the confirmation link's token signs. The page names the case by its `number`, and says so when the click is
    also the `yes` to what the message proposes."""
    return f"{challenge_id}~{case_id}~{number}~{'yes' if yes else ''}"


async def _customer_behind(turn: Turn) -> tuple[Customer | None, bool]:
    """Who the writer would have to be, and whether his own address is on file: then the thread itself leads there."""
    sender = turn.contact.sender
    kind, _, address = turn.writer.partition(":")
    if turn.contact.channel == "link":
        return None, False
    found = await turn.house.store.one(
        identity_of, {"tenant": turn.tenant, "kind": kind, "address": address.partition("#")[0]}
    )
    if found is not None and found["on_file"]:
        customer = await turn.records.customer_of_person(turn.tenant, found["person"])
        if customer is not None:
            return customer, sender.kind in ("email", "postal")
    order = turn.facts.get("order")
    if order:
        known = await turn.records.find_order(turn.tenant, order)
        if known is not None:
            return await turn.records.customer(turn.tenant, known.customer), False
    email = turn.facts.get("email")
    if email:
        return await turn.records.customer_by_email(turn.tenant, email), False
    return None, False


async def request_proof(turn: Turn, *, authorises: str = "") -> None:
    """Ask the writer to prove to be the customer, or ask for what would tell who that is."""
    signer = turn.house.signer
    if signer is None:
        turn.hand_over("needs a confirmation")
        return
    customer, in_thread = await _customer_behind(turn)
    if customer is None and not (turn.facts.get("order") or turn.facts.get("email")):
        turn.say("proof.who")
        turn.ask("fact", ("order", "email"))
        return
    flooded = customer is not None and await _flooded(turn, customer)
    if flooded and in_thread:
        turn.hand_over("too many confirmations asked")
        return
    challenge_id = derive_id("h", turn.tenant, turn.state.id, turn.contact.id)
    by = "link" if in_thread else "code"
    # Without a customer the challenge is opened all the same: a wrong code must be answered alike in both cases.
    _open_challenge(turn, challenge_id, customer.id if customer is not None else "", by)
    if customer is not None and in_thread:
        token = signer.token(
            "confirm", turn.tenant, token_value(challenge_id, turn.state.id, turn.state.number, yes=bool(authorises))
        )
        link = f"{turn.house.public_url}/confirm/{token}"
        turn.say("proof.link", link=link, code=code_of(signer, turn.tenant, challenge_id))
        if authorises:
            turn.facts["authorised"] = challenge_id
            turn.say(authorises)
    else:
        # The same words whether the order exists or not, and whoever it belongs to.
        turn.say("proof.code", minutes=turn.pack.policy.proof.code_minutes)
        if customer is not None and customer.email and not flooded:
            _send_code(turn, signer, challenge_id, customer)
    turn.ask("proof")


async def _flooded(turn: Turn, customer: Customer) -> bool:
    since = to_micros(turn.now - timedelta(days=1))
    rows = await turn.house.store.all(_recent, {"tenant": turn.tenant, "customer": customer.id, "since": since})
    return len(rows) >= CHALLENGES_PER_DAY


def _open_challenge(turn: Turn, challenge_id: str, customer: str, by: str) -> None:
    figures = turn.pack.policy.proof
    paper = turn.channel == "post"
    link_for = timedelta(days=figures.letter_days) if paper else timedelta(hours=figures.link_hours)
    # A code in the writer's own thread may wait there as long as the link does.
    code_for = link_for if by == "link" else timedelta(minutes=figures.code_minutes)
    turn.draft.writes.append(
        Write(
            statement=_open,
            params={
                "tenant": turn.tenant, "id": challenge_id, "case_id": turn.state.id, "customer": customer,
                "identity": turn.writer, "by": by, "tries": 0, "used": 0, "created": to_micros(turn.now),
                "code_expires": to_micros(turn.now + code_for), "link_expires": to_micros(turn.now + link_for),
            },
        )
    )  # fmt: skip
    turn.draft.tell(events.ProofAsked(at=turn.now, challenge=challenge_id, by=by))


def _send_code(turn: Turn, signer: Signer, challenge_id: str, customer: Customer) -> None:
    """The code to the address on file, in the customer's own language; it says nothing of what the writer wrote."""
    pack, language = turn.pack, turn.pack.language(customer.language)
    company = pack.company(language)
    code = code_of(signer, turn.tenant, challenge_id)
    text = pack.phrase(
        language, "proof.mail.text", company=company, name=customer.name, code=code,
        minutes=pack.policy.proof.code_minutes,
    )  # fmt: skip
    mail = turn.state.routes.get("email")
    turn.draft.reply(
        Reply(
            id=reply_id(turn.state, challenge_id, "email", customer.email),
            tenant=turn.tenant,
            case=turn.state.id,
            channel="email",
            account=mail.account if mail is not None else "",
            to=Party(kind="email", address=customer.email, name=customer.name),
            text=text,
            language=language,
            kind="notice",
            person=customer.person,
            subject=pack.phrase(language, "proof.mail.subject", company=company),
        ),
        elsewhere="code to the address on file",
    )


async def confirm_by_link(turn: Turn) -> bool:
    """The one-time link was used. True when that proved the writer; otherwise the reply says what to do."""
    given = str(turn.contact.native.get("challenge", ""))
    found = await _challenge(turn, given)
    if found is None:
        return await _proven_by_sibling(turn, given)
    if found["by"] != "link":
        return False
    if found["used"]:
        return False
    if found["link_expires"] < to_micros(turn.now):
        turn.say("proof.expired")
        return False
    turn.writer = found["identity"]
    # Only ever to the address that proved itself, whoever wrote in this case last.
    turn.route = _route_of_identity(turn, found["identity"])
    return await _prove(turn, found)


async def _proven_by_sibling(turn: Turn, challenge_id: str) -> bool:
    """The link of another matter of the same mail was used: it says who the writer is here, too, and nothing more.

    What that other message proposed was decided with the click; what is proposed here is decided here.
    """
    found = await turn.house.store.one(_one, {"tenant": turn.tenant, "id": challenge_id})
    if found is None or found["case_id"] not in turn.state.siblings or not found["used"] or found["by"] != "link":
        return False
    route = turn.state.route()
    if route is None or identity_key(route.address) != found["identity"]:
        return False
    customer = await turn.records.customer(turn.tenant, found["customer"])
    if customer is None:
        return False
    turn.writer, turn.route, turn.customer = found["identity"], route, customer
    turn.draft.tell(
        events.ProofGiven(
            at=turn.now, actor="customer", customer=customer.id, identity=turn.writer, by=SIBLING,
            person=customer.person,
        )
    )  # fmt: skip
    return True


async def confirm_by_code(turn: Turn) -> bool | None:
    """A code was given. True: proven. False: wrong, and the reply says so. None: there was no code to look at."""
    given, signer = _code_in(turn), turn.house.signer
    if given is None or signer is None or not turn.state.challenge:
        return None
    found = await _challenge(turn, turn.state.challenge)
    if found is None or found["identity"] != turn.writer or found["used"]:
        return None
    tries = turn.pack.policy.proof.code_tries
    if found["code_expires"] < to_micros(turn.now) or found["tries"] >= tries:
        return None
    if hmac.compare_digest(code_of(signer, turn.tenant, found["id"]), given):
        return await _prove(turn, found)
    guard = {"b_tenant": turn.tenant, "b_id": found["id"], "b_tries": found["tries"]}
    turn.draft.writes.append(Write(statement=_miss, params=guard, expect=1))
    if found["tries"] + 1 >= tries:
        turn.say("proof.too-often")
        turn.hand_over("wrong codes")
    else:
        turn.say("proof.wrong-code")
        turn.ask("proof")
    return False


def _code_in(turn: Turn) -> str | None:
    digits = str(turn.contact.native.get("digits", ""))
    if len(digits) == _CODE_DIGITS and digits.isdigit():
        return digits
    entity = turn.understanding.first("code")
    if len(entity) == _CODE_DIGITS and entity.isdigit():
        return entity
    # Spoken and typed codes come in groups: "123 456", "1 2 3 4 5 6".
    match = re.search(r"(?<!\d)\d(?:[\s.-]?\d){5}(?!\d)", turn.contact.own_text())
    return re.sub(r"\D", "", match[0]) if match is not None else None


async def _challenge(turn: Turn, challenge_id: str) -> Row | None:
    if not challenge_id:
        return None
    found = await turn.house.store.one(_one, {"tenant": turn.tenant, "id": challenge_id})
    return found if found is not None and found["case_id"] == turn.state.id else None


def _route_of_identity(turn: Turn, identity: str) -> model.Route | None:
    kind, _, address = identity.partition(":")
    for route in turn.state.routes.values():
        if identity_key(route.address) == identity:
            return route
    if kind != "email":
        return None
    mail = turn.state.routes.get("email")
    account = mail.account if mail is not None else ""
    return model.Route(channel="email", account=account, address=Party(kind=kind, address=address), at=turn.now)


async def _prove(turn: Turn, found: Row) -> bool:
    customer = await turn.records.customer(turn.tenant, found["customer"])
    if customer is None:
        return False
    tries = turn.pack.policy.proof.code_tries
    at = to_micros(turn.now)
    # Only the row that is still unused turns: two confirmations at one time give one proof.
    turn.draft.writes.append(
        Write(
            statement=_use,
            params={"b_tenant": turn.tenant, "b_id": found["id"], "b_tries": tries, "b_at": at},
            expect=1,
        )
    )
    turn.customer = customer
    proven = events.ProofGiven(
        at=turn.now, actor="customer", customer=customer.id, identity=turn.writer, by=found["by"],
        person=customer.person,
    )  # fmt: skip
    turn.draft.tell(proven)
    if not turn.writer.startswith("phone:"):
        turn.draft.writes.append(proven_write(tenant=turn.tenant, identity=turn.writer, person=customer.person, at=at))
    if turn.facts.get("authorised") == found["id"] and found["by"] == "link":
        turn.authorised = True
    await _join(turn, proven)
    return True


async def _join(turn: Turn, proven: events.ProofGiven) -> None:
    """A case that claimed to belong to another one, now proven: what was written goes there, and so does the turn.

    Not out of a person's hands: whoever was promised one here has it here, and no promise ends with a case.
    """
    here = turn.state
    if not here.claims or here.with_person:
        return
    there = await load_case(turn.house.store, turn.tenant, here.claims)
    if there is None or (proven.person not in (there.person, "") and there.customer != proven.customer):
        turn.draft.tell(events.Noted(at=turn.now, text="the named case belongs to somebody else"))
        return
    draft = Draft(there, turn.now, hours=turn.pack.policy.service.hours)
    for row in await turn.house.store.all(_received, {"tenant": turn.tenant, "case_id": here.id}):
        event = events.decode_event(row["data"])
        if isinstance(event, events.Received):
            draft.do(Receive(received=event))
    draft.writes.append(heard_write(turn.tenant, there.id, draft.state.heard - there.heard))
    draft.tell(events.Joined(at=turn.now, other=here.id))
    draft.tell(proven)
    if here.procedure is not None and here.procedure.name != "join":
        draft.tell(
            events.ProcedureMoved(at=turn.now, department=here.department or turn.department, procedure=here.procedure)
        )
    turn.draft.tell(events.Joined(at=turn.now, other=there.id, into=there.id))
    turn.draft.tell(events.OutcomeChosen(at=turn.now, outcome="joined"))
    turn.draft.tell(events.Closed(at=turn.now))
    moved = {"b_tenant": turn.tenant, "b_from": here.id, "b_to": there.id}
    turn.draft.writes.append(Write(statement=_move_thread, params=moved))
    turn.draft.writes.append(Write(statement=_move_contacts, params=moved))
    turn.move_to(draft)
    turn.say("joined", number=there.number)
