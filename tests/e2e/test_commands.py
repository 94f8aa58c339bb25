"""The commands that play a customer, against the running product."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

PUBLIC = "https://service.shop.example"


@pytest_asyncio.fixture
async def behind_a_proxy(
    tmp_path: Path, mailbox: Any, learned: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """The product with a public address that is not the one it is reached by here."""
    monkeypatch.setenv("CONTACTBUS_PRODUCT__PUBLIC_URL", PUBLIC)
    shutil.copytree(learned, tmp_path / "data")
    running = tools.product(tmp_path / "data", mailbox)
    await running.start()
    yield running
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert await running.stop() == 0


async def command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in err
    assert b"\x1b" not in out
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_caller_and_a_visitor_in_the_terminal(behind_a_proxy: Any) -> None:
    product = behind_a_proxy
    assert product.ready.keys() == {
        "ready", "http", "smtp", "drop_folder", "letter_tray", "desk_url", "mailbox_url", "phone_numbers",
    }  # fmt: skip
    call = ["phone", "call", "--url", product.url, "--data", str(product.data), "--from", "+49305550144"]
    line = next(number for number, language in product.ready["phone_numbers"].items() if language == "de")
    code, out, err = await command(
        *call, "--to", line, "--say", "Meine Kaffeemaschine heizt nicht mehr.", "--keys", "0", "--wait", "70", "--json"
    )
    assert code == 0, err
    assert err == "", "no rule of the provider was broken"
    heard = json.loads(out)
    assert all(turn.keys() == {"at", "say"} for turn in heard)
    assert [turn["at"] for turn in heard] == sorted(turn["at"] for turn in heard)
    assert heard[-1]["at"] >= 70
    assert "automatisch" in heard[0]["say"].lower()
    code, out, _ = await command(*call, "--to", line, "--say", "Danke, das war alles.")
    assert code == 0
    assert " s  " in out.splitlines()[0]

    chat = ["chat", "say", "Where is my parcel?", "I want a person", "--url", product.url, "--json"]
    code, out, err = await command(*chat, "--origin", PUBLIC + "/")
    assert code == 0, err
    turns = json.loads(out)
    assert [turn["say"] for turn in turns] == ["Where is my parcel?", "I want a person"]
    assert all(turn["answers"] for turn in turns), turns

    # The doors are not open to other pages, nor to other secrets.
    code, out, err = await command(*chat)
    assert (code, out) == (1, "")
    assert "contactbus:" in err
    (product.data / "twilio_auth_token").rename(product.data / "away")
    (product.data / "twilio_auth_token").write_text("0" * 64)
    code, out, err = await command(*call, "--to", line, "--say", "Hallo")
    assert (code, out) == (1, "")
    assert "signature" in err
    (product.data / "away").rename(product.data / "twilio_auth_token")


async def test_a_call_that_breaks_off_ends_with_1(tmp_path: Path) -> None:
    """A product that picks up and then has nothing more to say."""
    from aiohttp import web

    async def voice(_request: web.Request) -> web.Response:
        document = '<?xml version="1.0"?><Response><Say language="de-DE">Hallo</Say><Redirect>/x</Redirect></Response>'
        return web.Response(text=document, content_type="text/xml")

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    app = web.Application()
    app.add_routes(
        [web.post("/phone/shop/voice", voice), web.post("/x", broken), web.post("/phone/shop/status", broken)]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    (tmp_path / "twilio_auth_token").write_text("0" * 64)
    code, out, err = await command(
        "phone", "call", "--url", f"http://127.0.0.1:{port}", "--data", str(tmp_path), "--from", "+49305550144",
        "--to", "+49301234567", "--json",
    )  # fmt: skip
    await runner.cleanup()
    assert code == 1
    assert json.loads(out)[0]["say"] == "Hallo"
    assert "/x was answered 500" in err
    assert "broke off" in err
