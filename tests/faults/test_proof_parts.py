"""The parts of the proof, each alone: a schedule that repeats, a line that can be broken, mail servers that notice."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from proof.ledger import Ledger
from proof.proxy import Proxy
from proof.questions import LANGUAGES, MATTERS, matters_of, order_of_matters
from proof.schedule import schedule
from proof.sink import Sink
from proof.smtp import hand_over

KINDS = {"kill": (3.0, ("a", "b"), (0.0, 1.0)), "cut": (1.0, ("line",), (0.0, 0.0))}


def test_a_seed_repeats_its_schedule_and_another_seed_does_not() -> None:
    assert schedule(7, 60, KINDS) == schedule(7, 60, KINDS)
    assert schedule(7, 60, KINDS) != schedule(8, 60, KINDS)
    planned = schedule(7, 600, KINDS)
    assert [each.at for each in planned] == sorted(each.at for each in planned)
    assert {each.kind for each in planned} == {"kill", "cut"}
    assert all(each.at < 600 for each in planned)


def test_a_longer_run_begins_as_the_shorter_one_did() -> None:
    short = schedule(7, 60, KINDS)
    assert schedule(7, 120, KINDS)[: len(short)] == short


def test_neighbours_in_a_conversation_are_told_apart() -> None:
    matters = order_of_matters(random.Random(1), 200)
    assert set(matters) == set(MATTERS)
    assert all(first != second for first, second in itertools.pairwise(matters))


def test_the_packs_own_answers_are_recognised_and_nothing_else() -> None:
    from workers.packs import load

    pack = load("shop")
    articles = {"hours": "info.opening_hours", "delivery": "info.delivery_and_payment", "account": "account.access"}
    for language in LANGUAGES:
        for matter, name in articles.items():
            text = pack.articles[language][name].text
            assert matters_of(text) == (matter,), (language, matter)
    assert matters_of("Guten Tag, womit kann ich helfen?") == ()


# --- the line


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest_asyncio.fixture
async def line(echo: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(lambda: [("127.0.0.1", 1), ("127.0.0.1", echo)])
    await proxy.start()
    yield proxy
    await proxy.close()


async def test_a_line_carries_both_ways_past_a_target_that_is_down(line: Proxy) -> None:
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"HELLO"
        writer.close()


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_a_held_direction_delivers_nothing_until_it_is_let_go(line: Proxy, direction: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"A"
    line.hold(direction)
    writer.write(b"b")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.2)
    line.let_go(cut=False)
    assert await asyncio.wait_for(reader.readexactly(1), 5) == b"B"
    writer.close()


async def test_a_cut_line_is_gone_with_what_was_on_it(line: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
    writer.write(b"a")
    await reader.readexactly(1)
    line.hold("out")
    writer.write(b"b")
    line.let_go(cut=True)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    writer.close()


async def test_a_refusing_line_takes_nobody(line: Proxy) -> None:
    line.refuse = True
    reader, _ = await asyncio.open_connection("127.0.0.1", line.port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readexactly(1), 5)


# --- the mail servers


MAIL = b"From: a@kunde.example\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\r\nEn pakke bruker fem dager.\r\n"


async def test_a_kept_mail_is_noted_with_what_it_answers() -> None:
    ledger = Ledger()
    async with Sink(ledger) as sink:
        port = sink.address[1]
        assert await hand_over(port, "a@shop.example", "K@kunde.example", MAIL, timeout_s=5) == ""
        (receipt,) = ledger.receipts
        assert (receipt.customer, receipt.matters, receipt.answers) == ("k@kunde.example", ("delivery",), "<0@x>")
        assert receipt.sure


async def test_a_hidden_yes_is_a_mail_that_arrived_and_a_sender_who_cannot_know() -> None:
    ledger = Ledger()
    async with Sink(ledger) as sink:
        sink.hide_yes = True
        assert await hand_over(sink.address[1], "a@shop.example", "k@kunde.example", MAIL, timeout_s=5) is None
        (receipt,) = ledger.receipts
        assert not receipt.sure


async def test_refusals_are_no_yes() -> None:
    ledger = Ledger()
    async with Sink(ledger) as sink:
        port = sink.address[1]
        assert await hand_over(port, "a@shop.example", "k@abgelehnt.example", MAIL, timeout_s=5) is None
        sink.slow_down = True
        assert await hand_over(port, "a@shop.example", "k@kunde.example", MAIL, timeout_s=5) is None
        assert ledger.receipts == []


async def test_a_server_that_says_nothing_gives_no_yes_in_time(line: Proxy) -> None:
    line.hold("out")
    assert await hand_over(line.port, "a@shop.example", "k@kunde.example", MAIL, timeout_s=0.3) is None
