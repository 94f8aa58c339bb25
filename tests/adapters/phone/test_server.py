"""Through the real server: who gets in, and whole calls over real connections."""

import hashlib
import io
import stat
import time
import wave
from array import array
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from adapters.phone import plugin
from adapters.phone.config import TOKEN_FILE, PhoneConfig, load_tokens
from adapters.phone.hold_music import HOLD_MUSIC_S
from adapters.phone.signature import FORM, JSON, sign
from adapters.phone.simulator import CallFailed, Faults, Keys, Say, Wait, simulate_call
from bus.errors import ConfigurationError

SID = "CA" + "c" * 32


@pytest_asyncio.fixture
async def server(phone: Any, engine: Any, tmp_path: Any) -> Any:
    """(base address, workers, adapter) of a running product's phone channel."""
    app = web.Application()
    adapter, workers = phone.build(
        tmp_path, clock=phone.LoopClock(), store=engine, config=PhoneConfig(public_url="http://phone.test:1/")
    )
    app.add_routes(adapter.routes())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", workers, adapter
    await runner.cleanup()


PUBLIC = "http://phone.test:1"


async def _post(base: str, path: str, form: dict[str, str], token: str, **headers: str) -> tuple[int, bytes]:
    signed = {"X-Twilio-Signature": sign(PUBLIC + path, form, token), "Content-Type": FORM, **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(base + path, data=urlencode(form).encode(), headers=signed) as answer,
    ):
        return answer.status, await answer.read()


FORM_OF_CALL = {"CallSid": SID, "From": "+49305550144", "To": "+49301234567", "CallStatus": "ringing"}


async def test_a_signed_request_is_answered_whatever_the_host_header_says(phone: Any, server: Any) -> None:
    base, _, _ = server
    status, body = await _post(base, "/phone/shop/voice", FORM_OF_CALL, phone.TOKEN)
    assert status == 200
    assert b"automatische Assistent" in body
    # The address comes from the settings alone; what a client or a proxy says about it changes nothing.
    status, _ = await _post(
        base, "/phone/shop/voice", FORM_OF_CALL, phone.TOKEN, Host="evil.example",
        **{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
    )  # fmt: skip
    assert status == 200
    evil = {"X-Twilio-Signature": sign("http://evil.example/phone/shop/voice", FORM_OF_CALL, phone.TOKEN)}
    status, _ = await _post(base, "/phone/shop/voice", FORM_OF_CALL, phone.TOKEN, Host="evil.example", **evil)
    assert status == 403


async def test_whoever_is_not_the_provider_stays_outside(phone: Any, server: Any, tmp_path: Any) -> None:
    base, workers, _ = server
    path = f"/phone/shop/{SID}/said/1"
    said = {**FORM_OF_CALL, "SpeechResult": "Hallo"}
    assert (await _post(base, path, said, "not-the-token-at-all"))[0] == 403
    assert (await _post(base, path, said, phone.TOKEN, **{"X-Twilio-Signature": ""}))[0] == 403
    assert (await _post(base, path, said, phone.TOKEN, **{"Content-Type": "text/plain"}))[0] == 403
    assert (await _post(base, path, {**said, "CallSid": "CA" + "d" * 32}, phone.TOKEN))[0] == 403
    assert (await _post(base, "/phone/shop/voice", {**said, "CallSid": "x"}, phone.TOKEN))[0] == 403
    assert (await _post(base, "/phone/other/voice", said, phone.TOKEN))[0] == 404
    assert (await _post(base, "/phone/shop/nothing", said, phone.TOKEN))[0] == 404
    other = {"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}
    assert (await _post(base, path, said, phone.TOKEN, **other))[0] == 403
    assert (await _post(base, path, {**said, "SpeechResult": "x" * 70_000}, phone.TOKEN))[0] == 413
    async with aiohttp.ClientSession() as session:
        body = b'{"CallSid": "x"}'
        url = f"{path}?bodySHA256={hashlib.sha256(b'other').hexdigest()}"
        headers = {"X-Twilio-Signature": sign(PUBLIC + url, {}, phone.TOKEN), "Content-Type": JSON}
        async with session.post(base + url, data=body, headers=headers) as answer:
            assert answer.status == 403
        twice = [("X-Twilio-Signature", sign(PUBLIC + path, said, phone.TOKEN))] * 2
        async with session.post(base + path, data=said, headers=twice) as answer:
            assert answer.status == 403
        async with session.get(base + path) as answer:
            assert answer.status == 405
    assert workers.contacts == []


async def test_a_captured_request_with_another_body_is_refused(phone: Any, server: Any) -> None:
    base, workers, _ = server
    path = f"/phone/shop/{SID}/said/1"
    await _post(base, "/phone/shop/voice", FORM_OF_CALL, phone.TOKEN)
    said = {**FORM_OF_CALL, "SpeechResult": "Hallo"}
    assert (await _post(base, path, said, phone.TOKEN))[0] == 200
    captured = {"X-Twilio-Signature": sign(PUBLIC + path, said, phone.TOKEN)}
    assert (await _post(base, path, {**said, "SpeechResult": "Etwas anderes"}, phone.TOKEN, **captured))[0] == 403
    assert (await _post(base, path, said, phone.TOKEN, **captured))[0] == 200
    assert [contact.text for contact in workers.contacts] == ["Hallo"]


async def test_a_reply_wakes_the_held_request(phone: Any, server: Any) -> None:
    base, workers, _ = server
    workers.delay_s = lambda contact: 0.3
    await _post(base, "/phone/shop/voice", FORM_OF_CALL, phone.TOKEN)
    began = time.monotonic()
    _, body = await _post(
        base, f"/phone/shop/{SID}/said/1", {**FORM_OF_CALL, "SpeechResult": "Hallo"}, phone.TOKEN
    )  # fmt: skip
    took = time.monotonic() - began
    assert b"Verstanden: Hallo" in body
    assert 0.3 <= took < 1.5


async def test_a_call_about_a_device_over_real_connections(phone: Any, server: Any) -> None:
    base, workers, _ = server
    transcript = await simulate_call(
        base, phone.JONAS, phone.GERMAN, [Say("Meine Kaffeemaschine ist defekt."), Say("Nein danke")],
        auth_token=phone.TOKEN, public_url=PUBLIC,
    )  # fmt: skip
    assert transcript.problems == []
    assert transcript.ended == "hang-up"
    assert len(transcript.heard) == 3
    assert workers.requests() == ["said", "said"]
    assert all(request.status == 200 and request.tries == 1 for request in transcript.requests)


async def test_waiting_over_real_connections_takes_no_real_time(phone: Any, server: Any) -> None:
    base, workers, _ = server
    began = time.monotonic()
    transcript = await simulate_call(
        base, phone.JONAS, phone.NORWEGIAN, [Keys("0"), Wait(130), Keys("1")], auth_token=phone.TOKEN,
        public_url=PUBLIC,
    )  # fmt: skip
    assert time.monotonic() - began < 20
    assert transcript.problems == []
    assert transcript.seconds > 130
    assert transcript.longest_gap_s <= 35
    assert "Trykk én hvis du vil bli ringt opp" in transcript.text
    assert "Vi ringer deg på plus 4 9" in transcript.heard[-1].say
    assert workers.requests() == ["person", "callback"]


async def test_lost_answers_are_asked_for_again_over_real_connections(phone: Any, server: Any) -> None:
    base, workers, _ = server
    transcript = await simulate_call(
        base, phone.JONAS, phone.ENGLISH, [Say("It is broken"), Keys("0"), Wait(70), Keys("1")],
        auth_token=phone.TOKEN, public_url=PUBLIC, seed=4, faults=Faults(lost=0.25, unsent=0.1, duplicate=0.3),
    )  # fmt: skip
    assert transcript.problems == []
    assert max(request.tries for request in transcript.requests) > 1
    assert transcript.longest_gap_s <= 60
    assert workers.requests() == ["said", "person", "callback"]


async def test_a_call_that_nobody_picks_up_says_why(phone: Any, server: Any) -> None:
    base, _, _ = server
    with pytest.raises(CallFailed, match="signature"):
        await simulate_call(
            base, phone.JONAS, phone.GERMAN, [], auth_token="wrong-token-wrong-token", public_url=PUBLIC
        )
    with pytest.raises(CallFailed, match="nobody answers"):
        await simulate_call("http://127.0.0.1:9", phone.JONAS, phone.GERMAN, [], auth_token=phone.TOKEN)
    with pytest.raises(ValueError, match="clock"):
        await simulate_call(base, phone.JONAS, phone.GERMAN, [], auth_token=phone.TOKEN, clock="slow")


async def test_real_time_is_real(phone: Any, server: Any) -> None:
    base, _, _ = server
    began = time.monotonic()
    transcript = await simulate_call(
        base, phone.JONAS, phone.GERMAN, [Keys("0", hurry=True), Wait(0.5)], auth_token=phone.TOKEN, clock="real",
        public_url=PUBLIC,
    )  # fmt: skip
    took = time.monotonic() - began
    assert 1.5 <= took < 6
    assert transcript.seconds == pytest.approx(took, abs=1.0)
    assert transcript.ended == "caller"


async def test_there_is_music_between_announcements(server: Any) -> None:
    base, _, _ = server
    async with aiohttp.ClientSession() as session, session.get(base + "/phone/shop/hold.wav") as answer:
        assert answer.content_type == "audio/wav"
        music = await answer.read()
    with wave.open(io.BytesIO(music)) as reader:
        assert reader.getnframes() / reader.getframerate() == HOLD_MUSIC_S
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        samples = array("h", reader.readframes(reader.getnframes()))
    assert 1_000 < max(map(abs, samples)) < 12_000
    assert abs(samples[0]) < 50
    assert abs(samples[-1]) < 50


async def test_the_channel_tells_what_is_missing_for_real_calls(server: Any) -> None:
    _, _, adapter = server
    health = await adapter.probe()
    assert health.ok
    assert "phone.public_url" in health.fix


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Any) -> None:
    (token,) = load_tokens(PhoneConfig(), tmp_path)
    assert len(token) == 64
    assert load_tokens(PhoneConfig(), tmp_path) == (token,)
    path = tmp_path / TOKEN_FILE
    assert path.read_text().strip() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [TOKEN_FILE]


@pytest.mark.parametrize("content", ["", "short", f"{'a' * 32}\n{'b' * 32}\n{'c' * 32}\n"])
def test_a_file_of_tokens_that_cannot_be_right_is_refused(tmp_path: Any, content: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="auth_token_file"):
        load_tokens(PhoneConfig(auth_token_file=str(path)), tmp_path)
    path.write_text(f"{'a' * 32}\n\n{'b' * 32}\n")
    assert load_tokens(PhoneConfig(auth_token_file=str(path)), tmp_path) == ("a" * 32, "b" * 32)
    with pytest.raises(ConfigurationError, match="auth_token_file"):
        load_tokens(PhoneConfig(auth_token_file=str(tmp_path / "none")), tmp_path)


def test_the_plugin_names_a_live_channel() -> None:
    assert plugin.manifest.name == "phone"
    assert plugin.manifest.kind == "live-media"
    assert not plugin.manifest.keep_raw
    assert plugin.config_type is PhoneConfig
