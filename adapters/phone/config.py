"""Settings of the phone channel, and the two figures that nobody can configure away."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.phone.hold_music import HOLD_MUSIC_S
from adapters.phone.languages import LANGUAGES
from bus.errors import ConfigurationError

__all__ = ["TOKEN_FILE", "PhoneConfig", "load_tokens"]

DEMO_NUMBERS = {"+49301234567": "de", "+4721234567": "nb", "+442071234567": "en"}
DEMO_VOICES = {"de": "Polly.Vicki-Neural", "nb": "Polly.Ida-Neural", "en": "Polly.Amy-Neural"}

TOKEN_FILE = "twilio_auth_token"  # noqa: S105 - the name of a file
"""In the data folder: a generated token, 64 hexadecimal digits, used while no token is configured."""

_ACTIVE_TOKENS = 2
"""One to be retired and its successor: a rotation needs no more, and a longer list is a list of leaks."""


class PhoneConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lines of one tenant.

    `numbers` maps each own number in E.164 to the language of the line. `auth_token_file` holds one or two lines, the
    current token and during a rotation the next one; without it a token is made in the data folder (demo).
    `public_url` overrides the base under which the provider reaches this process. It is the only source of the
    address that signatures are checked against, never a header of the request.
    """

    numbers: dict[str, str] = msgspec.field(default_factory=DEMO_NUMBERS.copy)
    default_language: str = "de"
    auth_token_file: str = ""
    public_url: str = ""
    company: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Spoken name of the company per language; empty: what the wiring says."""
    voices: dict[str, str] = msgspec.field(default_factory=DEMO_VOICES.copy)
    hold_announce_s: Annotated[int, Meta(ge=15, le=35)] = 35
    """From the beginning of one announcement to that of the next. At most 35, so that even with a lost and repeated
    request a waiting caller hears words within the promised 60 s."""
    hold_music_url: str = ""
    """A recording played between announcements; empty: quiet notes of our own."""
    hold_music_s: Annotated[int, Meta(ge=1, le=20)] = HOLD_MUSIC_S
    """How long that recording lasts."""
    think_hold_s: Annotated[float, Meta(ge=0.0, le=3.0)] = 1.2
    """How long a request of the provider is held for the answer of a worker; longer silence sounds like a dead line."""
    filler_pause_s: Annotated[int, Meta(ge=1, le=5)] = 3
    give_up_s: Annotated[int, Meta(ge=4, le=20)] = 12
    """After so long without an answer the caller goes to a person; also the deadline of the contact."""
    max_wait_s: Annotated[int, Meta(ge=60, le=3600)] = 1200
    """After so long in the queue a call-back (or a message, without a number) replaces waiting."""
    voicemail_s: Annotated[int, Meta(ge=10, le=600)] = 120
    callback_within_minutes: Annotated[int, Meta(ge=5, le=1440)] = 120
    """Until when a call-back is promised: so many minutes in which people work (`service.hours` of the pack)."""
    max_calls_per_number_per_hour: Annotated[int, Meta(ge=1)] = 60
    """Calls from one number beyond this are told that the line is busy: a flood costs money by the minute."""
    hotline: str = ""
    """A person's number (E.164): named and dialled for callers whom our own queue cannot help, because the bus takes
    nothing, the brokers or the state of calls are away, or nothing of ours works at all."""
    account_sid: str = ""
    """The provider's account, for call-backs: the telephone of the representative rings, then the customer's. Empty:
    people dial by hand. Needs `auth_token_file`."""
    api_url: str = "https://api.twilio.com"
    """Base of the provider's interface for calls out; a double in tests."""
    edge: str = "frankfurt"
    """Where the provider's requests to us start; empty: its default."""

    def __post_init__(self) -> None:
        for number, language in self.numbers.items():
            if not (number.startswith("+") and number[1:].isdigit()):
                raise ValueError(f"numbers: {number!r} is not E.164, such as +49301234567")
            if language not in LANGUAGES:
                raise ValueError(f"numbers.{number}: language {language!r} is none of {', '.join(LANGUAGES)}")
        if self.hotline and not (self.hotline.startswith("+") and self.hotline[1:].isdigit()):
            raise ValueError(f"hotline: {self.hotline!r} is not E.164, such as +49301234567")
        if self.account_sid and not self.auth_token_file:
            raise ValueError("account_sid: calling out needs the account's token in auth_token_file")
        if self.default_language not in LANGUAGES:
            raise ValueError(f"default_language: {self.default_language!r} is none of {', '.join(LANGUAGES)}")
        missing = [language for language in LANGUAGES if language not in self.voices]
        if missing:
            raise ValueError(f"voices: {', '.join(missing)} missing")

    def language_of(self, number: str) -> str:
        """The language in which a line is answered."""
        return self.numbers.get(number, self.default_language)


def load_tokens(config: PhoneConfig, data_dir: Path) -> tuple[str, ...]:
    """The auth tokens that signatures may be made with. Raises ConfigurationError naming the setting."""
    if not config.auth_token_file:
        return (_generated_token(data_dir / TOKEN_FILE),)
    path = Path(config.auth_token_file)
    try:
        tokens = tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"phone.auth_token_file: {path} cannot be read ({error})") from error
    if not 1 <= len(tokens) <= _ACTIVE_TOKENS or any(len(token) < 16 for token in tokens):
        raise ConfigurationError(f"phone.auth_token_file: {path} must hold one or two tokens, one a line")
    return tokens


def _generated_token(path: Path) -> str:
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_hex(32) + "\n", "ascii")
        # A link is there wholly or not at all, and fails when another process was first.
        with suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_text("ascii").strip()
