"""The adapter kit on the four channels of the house."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from adapters import chat, email, phone, post
from adapters.chat.config import ChatConfig
from adapters.email.config import EmailConfig
from adapters.phone.config import PhoneConfig
from adapters.post.config import PostConfig
from adapters.post.reader import Letter
from adapters.post.samples import make_scan
from bus.adapter.contract import ChannelPlugin, Raw
from bus.adapter.hosting import Intake
from bus.log.embedded import EmbeddedEngine
from bus.store.blobs import Blobs
from bus.telemetry import Metrics
from bus.testing.adapter_conformance import AdapterConformance
from bus.testing.clock import FakeClock

RECEIVED = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

GERMAN = "ich möchte die Rechnung prüfen lassen, der Betrag wurde zweimal abgebucht."
NORWEGIAN = "jeg vil gjerne angre på kjøpet, pakken ble levert for seks dager siden."
ENGLISH = "I was charged more at the till than the price on the shelf."


def _name(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _mail_of(data: bytes, mail_from: str = "grete.ohlsen@kunde.example") -> Raw:
    return Raw(
        tenant="shop",
        account="hilfe@shop.example",
        media_type="message/rfc822",
        received_at=RECEIVED,
        data=data,
        native={"mail_from": mail_from},
    )


_WITH_ATTACHMENT = b"""Content-Type: multipart/mixed; boundary=grenze

--grenze
Content-Type: text/html; charset=latin-1
Content-Transfer-Encoding: quoted-printable

<p>Gr=FC=DFe, die Rechnung h=E4ngt an.</p>
--grenze
Content-Type: application/pdf; name="Auszug.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjcKJSVFT0Y=
--grenze--
""".replace(b"\n", b"\r\n")


class TestEmail(AdapterConformance):
    @pytest.fixture
    def plugin(self) -> ChannelPlugin:
        return email.plugin

    @pytest.fixture
    def config(self) -> EmailConfig:
        return EmailConfig()

    def _mail(self, text: str, *extra: str, sender: str = "Grete Ohlsen <grete.ohlsen@kunde.example>") -> Raw:
        head = [
            f"From: {sender}",
            "To: hilfe@shop.example",
            "Subject: Anliegen",
            "Date: Sun, 22 Nov 2026 09:00:00 +0100",
            # The same for all: an id that somebody else knows must not make a mail vanish as a duplicate.
            "Message-ID: <1f2e@kunde.example>",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            *extra,
        ]
        body = text.encode("utf-8", "surrogatepass")
        return _mail_of("\r\n".join(head).encode() + b"\r\n\r\n" + body + b"\r\n")

    @pytest.fixture
    def say(self) -> Callable[[str], Raw]:
        return self._mail

    @pytest.fixture
    def samples(self) -> Sequence[Raw]:
        head = self._mail("").data.split(b"Content-Type")[0]
        return [
            self._mail("Guten Tag,\r\n\r\n" + GERMAN),
            self._mail("Hei,\r\n\r\n" + NORWEGIAN, sender="Kari Lunde <kari.lunde@kunde.example>"),
            self._mail("Hello,\r\n\r\n" + ENGLISH),
            _mail_of(head + _WITH_ATTACHMENT),
        ]

    @pytest.fixture
    def broken(self) -> Sequence[Raw]:
        sealed = b"application/pkcs7-mime; smime-type=enveloped-data"
        deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(400))
        encrypted = self._mail("x").data.replace(b"text/plain; charset=utf-8", sealed)
        return [_mail_of(data) for data in (b"", encrypted, deep)]

    @pytest.fixture
    def automatic(self) -> Sequence[Raw]:
        bounce = self._mail("Ihre Nachricht konnte nicht zugestellt werden.")
        return [
            self._mail("Ich bin bis Montag nicht im Büro.", "Auto-Submitted: auto-replied"),
            self._mail("Unsubscribe here", "Precedence: bulk", "List-Id: <news.example>"),
            self._mail("Feriemelding", "X-Auto-Response-Suppress: All"),
            self._mail("Zustellung", sender="Mailer <mailer-daemon@kunde.example>"),
            self._mail("Von uns selbst", sender="Nordlicht <hilfe@shop.example>"),
            _mail_of(bounce.data, mail_from=""),
        ]


class TestChat(AdapterConformance):
    @pytest.fixture
    def plugin(self) -> ChannelPlugin:
        return chat.plugin

    @pytest.fixture
    def config(self) -> ChatConfig:
        return ChatConfig()

    def _frame(self, data: bytes, session: str = "s-1", lang: str = "de") -> Raw:
        return Raw(
            tenant="shop", account="web", media_type="application/json", data=data, received_at=RECEIVED,
            native={"session": session, "lang": lang},
        )  # fmt: skip

    def _said(self, text: str, lang: str = "de") -> Raw:
        # As a browser's JSON.stringify writes it: half a character becomes an escape.
        return self._frame(json.dumps({"t": "send", "cid": _name(text), "text": text, "lang": lang}).encode())

    @pytest.fixture
    def say(self) -> Callable[[str], Raw]:
        return self._said

    @pytest.fixture
    def samples(self) -> Sequence[Raw]:
        return [self._said(GERMAN), self._said(NORWEGIAN, "nb"), self._said(ENGLISH, "en")]

    @pytest.fixture
    def broken(self) -> Sequence[Raw]:
        no_text = (b'{"t":"send","text":5,"cid":"1"}', b'{"t":"send","cid":"2","text":""}')
        return [self._frame(data) for data in (b"", b"\xff\xfe", b'{"t":"hello"}', *no_text)]


class TestPhone(AdapterConformance):
    @pytest.fixture
    def plugin(self) -> ChannelPlugin:
        return phone.plugin

    @pytest.fixture
    def config(self) -> PhoneConfig:
        return PhoneConfig()

    def _form(self, data: bytes, step: str = "3") -> Raw:
        return Raw(
            tenant="shop", account="+49301234567", media_type="application/x-www-form-urlencoded", data=data,
            received_at=RECEIVED, native={"event": "said", "step": step, "language": "de"},
        )  # fmt: skip

    def _said(self, text: str) -> Raw:
        form = {
            "CallSid": "CA" + _name(text) * 2,
            "From": "+49305550144",
            "To": "+49301234567",
            "CallStatus": "in-progress",
            "SpeechResult": text,
            "Confidence": "0.91",
        }
        return self._form(urlencode(form, errors="surrogatepass").encode())

    @pytest.fixture
    def say(self) -> Callable[[str], Raw]:
        return self._said

    @pytest.fixture
    def samples(self) -> Sequence[Raw]:
        return [self._said(GERMAN), self._said(NORWEGIAN), self._said(ENGLISH)]

    @pytest.fixture
    def broken(self) -> Sequence[Raw]:
        bodies = (b"", b"\xff\xfe=\x00", b"SpeechResult=Hallo", b"====")
        return [self._form(data, step=str(step)) for step, data in enumerate(bodies)]


_SENDERS = {
    "de": ("Grete Ohlsen", "Lindenweg 4", "10969 Berlin"),
    "nb": ("Kari Lunde", "Storgata 12", "0155 Oslo"),
    "en": ("Tom Baker", "8 Mill Lane", "York YO1 7AB"),
}
_LETTERS = {
    "de": f"Sehr geehrte Damen und Herren,\n\n{GERMAN[0].upper()}{GERMAN[1:]}\n\nMit freundlichen Grüßen\nGrete Ohlsen",
    "nb": f"Hei,\n\n{NORWEGIAN[0].upper()}{NORWEGIAN[1:]}\n\nVennlig hilsen\nKari Lunde",
    "en": f"Dear Sir or Madam,\n\n{ENGLISH}\n\nYours faithfully\nTom Baker",
}


@lru_cache(maxsize=32)
def _scan(text: str, language: str) -> bytes:
    return make_scan(text, language, _SENDERS[language], degrade="clean", fmt="png")


_read_before: dict[tuple[bytes, str], Letter] = {}


class TestPost(AdapterConformance):
    twists = 3
    costly = True
    reads_exactly = False

    @pytest.fixture(autouse=True)
    def _each_file_is_recognised_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Recognition takes seconds and is the same pure step each time; `another process` does it anew."""
        from adapters.post import normalise

        recognise = normalise.read_letter

        def remembered(data: bytes, config: Any) -> Letter:
            key = (data, repr(config))
            if key not in _read_before:
                _read_before[key] = recognise(data, config)
            return _read_before[key]

        monkeypatch.setattr(normalise, "read_letter", remembered)

    @pytest.fixture
    def plugin(self) -> ChannelPlugin:
        # Without the limited process around it, so that what was recognised before is remembered here.
        here = msgspec.structs.replace(post.plugin.manifest, normalise_in_process=False)
        return dataclasses.replace(post.plugin, manifest=here)

    @pytest.fixture
    def config(self) -> PostConfig:
        return PostConfig()

    def _raw(self, data: bytes) -> Raw:
        return Raw(
            tenant="shop", account="scanner", media_type="", data=data, received_at=RECEIVED, native={"file": "x"}
        )

    @pytest.fixture
    def say(self) -> Callable[[str], Raw]:
        return lambda text: self._raw(
            _scan(f"Sehr geehrte Damen und Herren,\n\n{text}\n\nMit freundlichen Grüßen\nGrete Ohlsen", "de")
        )

    @pytest.fixture
    def samples(self) -> Sequence[Raw]:
        return [self._raw(_scan(text, language)) for language, text in _LETTERS.items()]

    @pytest.fixture
    def broken(self, samples: Sequence[Raw]) -> Sequence[Raw]:
        return [self._raw(data) for data in (b"", b"GIF89a", b"%PDF-1.7\n%%EOF", samples[0].data[:3_000])]

    async def test_a_letter_is_accepted_through_the_limited_process(
        self, samples: Sequence[Raw], config: PostConfig, engine: EmbeddedEngine, tmp_path: Path
    ) -> None:
        assert post.plugin.manifest.normalise_in_process
        intake = Intake(
            post.plugin, config, log_port=engine, blobs=Blobs(tmp_path / "blobs"), clock=FakeClock(), metrics=Metrics(),
            data_dir=tmp_path,
        )  # fmt: skip
        answer = await intake.accept(samples[0])
        await intake.close()
        assert answer.quality.status == "ok", answer.quality.reasons
        assert not answer.duplicate
