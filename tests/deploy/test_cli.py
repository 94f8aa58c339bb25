"""The command line as scripts and operators meet it: every command a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deploy.cli import lazy, main

CONTRACT = {
    "up", "demo show", "serve", "workers run", "workers list", "workers drain", "workers rewind", "normalise",
    "contacts list", "cases list", "cases show", "cases rebuild", "cases compare", "people show", "people merge",
    "people split", "people vouch", "consent show", "replies list", "chat say", "phone call", "dead-letters list",
    "dead-letters show", "dead-letters retry", "dead-letters discard", "triage explain", "triage train",
    "triage evaluate", "policy judge", "campaigns start", "doctor", "config show", "bench", "chaos", "migrate",
    "replay", "topics plan", "topics apply",
    "reports", "staff add", "staff list", "staff remove", "staff link",
}  # fmt: skip
CHANNELS = ("email", "chat", "phone", "post")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run `contactbus` in a folder of its own; whatever it is given, there is never a traceback and never colour."""
    folder = tmp_path_factory.mktemp("cli")

    def call(*arguments: Any, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *map(str, arguments)],
            capture_output=True, text=True, input=stdin, timeout=100, cwd=folder,
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), **environment},
        )  # fmt: skip
        for output in (done.stdout, done.stderr):
            assert "Traceback" not in output, output
            assert "\x1b" not in output, output
        assert done.returncode in (0, 1, 2), done.stderr
        return done

    return call


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            assert command.help
            yield from every_command(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_help_needs_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys\nfrom deploy.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Start here" in done.stdout
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert loaded.isdisjoint(
        {"sqlalchemy", "aiohttp", "sklearn", "numpy", "msgspec", "structlog", "twilio", "adapters", "workers", "bus"}
    )


def test_every_command_of_the_contract_is_there_and_explained() -> None:
    commands = dict(every_command(main))
    assert commands.keys() == CONTRACT
    assert lazy.SHORT_HELP.keys() == {name.partition(" ")[0] for name in CONTRACT}
    for name, command in commands.items():
        assert command.help, name
        assert len(command.help) > 20, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"


def test_whatever_prints_data_takes_json() -> None:
    silent = {"dead-letters show", "dead-letters retry", "dead-letters discard"}
    for name, command in every_command(main):
        takes = any("--json" in parameter.opts for parameter in command.params)
        assert takes is (name not in silent), name


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "nonsense"),
        (["up", "--http", "nowhere"], "HOST:PORT"),
        (["up", "--smtp", "127.0.0.1:99999"], "--smtp"),
        (["up", "--pack", "nowhere"], "nowhere"),
        (["serve", "fax", "--data", "data"], "installed are"),
        (["workers", "run", "plumbing"], "intake"),
        (["workers", "run", "front", "--groups", "not-there.toml"], "not-there.toml"),
        (["cases", "list", "--data", "not-there"], "--data"),
        (["cases", "list", "--data", "."], "no data of contactbus"),
        (["chat", "say", "hello", "--url", "127.0.0.1:1"], "http://127.0.0.1:8080"),
        (["cases", "list", "--limit", "0"], "--limit"),
        (["normalise", "fax", __file__], "installed are"),
        (["normalise", "email", "not-there.eml"], "not-there.eml"),
        (["triage", "explain", "hello", "--pack", "nowhere"], "nowhere"),
        (["triage", "evaluate", "--train", __file__, "--test", __file__], "text"),
        (["policy", "judge", "not-there.jsonl"], "not-there.jsonl"),
        (["campaigns", "start", "not-there.toml"], "not-there.toml"),
        (["chat", "say"], "TEXT"),
        (["phone", "call", "--from", "+49305550144", "--to", "+49301234567", "--wait", "long"], "--wait"),
        (["config", "show", "--config", "not-there.toml"], "not-there.toml"),
        (["bench", "nothing"], "nothing"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_to_do(run: Run, arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chat", "say", "hello", "--url", "http://127.0.0.1:1"], "is the product running?"),
        (["phone", "call", "--from", "+49305550144", "--to", "+49301234567", "--data", "none"], "--data"),
    ],
)
def test_what_fails_ends_with_1(run: Run, arguments: list[str], told: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr


def test_what_nobody_foresaw_is_one_line_with_its_place_and_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_options: Any) -> None:
        raise KeyError("grete.ohlsen@kunde.example")

    monkeypatch.setattr("deploy.bench.bus.run", broken)
    done = CliRunner().invoke(main, ["bench", "bus"])
    assert done.exit_code == 1
    assert "KeyError at broken" in done.stderr
    assert "grete" not in done.output


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_options: Any) -> None:
        raise ModuleNotFoundError(name="psycopg")

    monkeypatch.setattr("deploy.bench.bus.run", broken)
    done = CliRunner().invoke(main, ["bench", "bus"])
    assert done.exit_code == 1
    assert 'pip install "contactbus[postgres]"' in done.stderr


def test_settings_show_where_each_came_from_and_no_secret(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(
        '[product]\ntenant = "shop"\nin_doubt_s = 45\n'
        '[adapters.chat]\nidentity_secrets = ["a secret of at least 32 bytes, long"]\n'
    )
    done = run(
        "config", "show", "--origin", "--json", "--config", file, "--data", tmp_path / "x", CONTACTBUS_HTTP__PORT="8099"
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert rows["product.in_doubt_s"] == ("45.0", f"file {file}")
    assert rows["http.port"] == ("8099", "environment CONTACTBUS_HTTP__PORT")
    assert rows["product.data"] == (str(tmp_path / "x"), "flag")
    assert rows["adapters.email.smtp_port"] == ("2525", "default")
    assert rows["adapters.chat.token_minutes"][0] == "15"
    assert rows["adapters.chat.identity_secrets"][0] == "•••"
    table = run("config", "show", "--origin", "--config", file)
    assert table.stdout.splitlines()[0].split() == ["setting", "value", "from"]
    assert "a secret" not in done.stdout + table.stdout
    assert "from" not in run("config", "show").stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("toml", "path", "named"),
    [
        ("[product]\nnonsense = 1", "[product]", "nonsense"),
        ("[adapters.email]\nsmtp_prot = 25", "[adapters.email]", "smtp_prot"),
        ("[prodcut]\ntenant = 'shop'", "[prodcut]", "product"),
        ("[adapters.emial]\nsmtp_port = 25", "[adapters.emial]", "email"),
        ("[adapters.phone]\nhold_announce_s = 36", "[adapters.phone]", "hold_announce_s"),
        ("[product]\nlog_level = 'LOUD'", "[product]", "log_level"),
    ],
)
def test_unknown_settings_and_unaffordable_limits_are_refused_by_path(
    run: Run, tmp_path: Path, toml: str, path: str, named: str
) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(toml)
    for command in (["config", "show"], ["up", "--data", tmp_path / "data"]):
        done = run(*command, "--config", file)
        assert (done.returncode, done.stdout) == (2, "")
        assert path in done.stderr
        assert named in done.stderr
        assert str(file) in done.stderr, "the layer it came from is named"
    assert not (tmp_path / "data" / "bus.sqlite").exists()


GOOD = {
    "email": b"From: Kari <kari.lunde@kunde.example>\r\nTo: hilfe@shop.example\r\nSubject: Hei\r\n"
    b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@kunde.example>\r\n\r\nHvor er pakken min?\r\n",
    "chat": b'{"t":"send","v":1,"cid":"m1","text":"Where is my parcel?","lang":"en"}',
    "phone": b"CallSid=CA00000000000000000000000000000001&From=%2B49305550144&To=%2B49301234567"
    b"&SpeechResult=Wo+ist+mein+Paket&Confidence=0.91",
    "post": b"%PDF-1.4\n%nothing in it\n",
}
BROKEN = (
    b"",
    b"\x00\xff\xfe" * 999,
    b'{"t":',
    b"[" * 100_000,
    "ÆØÅ \ud800".encode("utf-16", "surrogatepass"),
    b"%PDF-",
)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_file_gives_one_contact_in_the_order_of_the_files(run: Run, tmp_path: Path, channel: str) -> None:
    files = []
    for number, data in enumerate((BROKEN[0], GOOD[channel], *BROKEN[1:])):
        files.append(tmp_path / f"{number}.bin")
        files[-1].write_bytes(data)
    done = run("normalise", channel, *files)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    contacts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(contacts) == len(files)
    assert {contact["channel"] for contact in contacts} == {channel}
    for number, contact in enumerate(contacts):
        if number != 1 or channel == "post":
            assert contact["quality"]["status"] in ("degraded", "unreadable"), contact
    if channel != "post":
        assert contacts[1].get("quality", {}).get("status", "ok") == "ok"
        assert {"email": "Hvor", "chat": "Where", "phone": "Wo"}[channel] in contacts[1]["text"]
    assert len({contact["id"] for contact in contacts}) == len(files), "none is taken for a copy of another"
    assert run("normalise", channel, *files).stdout == done.stdout, "the same again"


def test_understanding_can_be_asked_and_measured(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("triage", "explain", "Meine Karte wurde doppelt belastet, SO-10234", "--json").stdout)
    assert (found["language"], found["department"]) == ("de", "billing")
    assert found["intents"][0]["label"] == "billing.duplicate_charge"
    assert {"kind": "order", "value": "SO-10234"}.items() <= found["entities"][0].items()
    assert "billing" in run("triage", "explain", "My card was charged twice", "--lang", "en").stdout

    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    parcels = [f"Where is my parcel number {n}?,parcel,en" for n in range(20)]
    money = [f"I was charged {n} pounds twice,money,en" for n in range(20)]
    train.write_text("\n".join(("text,label,lang", *parcels, *money)))
    test.write_text("text,label,lang\nWhere is the parcel?,parcel,en\nYou charged me twice,money,en\n")
    done = run("triage", "evaluate", "--train", train, "--test", test, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["train"], figures["test"]) == (40, 2)
    assert figures["accuracy"] == figures["macro_f1"] == 1.0
    assert {"ece", "coverage"} <= figures.keys()


def test_doctor_names_what_is_missing_and_its_cure(run: Run, tmp_path: Path) -> None:
    whole = {row["name"]: row for row in json.loads(run("doctor", "--json", "--data", tmp_path / "data").stdout)}
    assert whole["text recognition"]["ok"] is True
    assert whole["company pack"]["ok"] is True
    done = run("doctor", "--json", "--data", tmp_path / "data", PATH="/nowhere")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert all(row.keys() == {"name", "ok", "detail", "fix"} for row in rows.values())
    assert rows["text recognition"]["ok"] is False
    assert "apt-get install tesseract-ocr" in rows["text recognition"]["fix"]
    assert "person" in rows["text recognition"]["detail"]
    assert rows["mail relay"]["fix"]
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    open_to_all = run("doctor", "--data", tmp_path / "data")
    assert open_to_all.returncode == 1
    assert f"chmod 700 {tmp_path / 'data'}" in open_to_all.stdout
    assert not (tmp_path / "data" / "bus.sqlite").exists(), "looking changes nothing"
    relayed = run("doctor", "--data", tmp_path / "none", CONTACTBUS_ADAPTERS__EMAIL__RELAY_HOST="mail.example")
    assert relayed.returncode == 0, relayed.stdout


def test_doctor_goes_on_when_one_channel_is_wrong(run: Run) -> None:
    done = run("doctor", "--json", CONTACTBUS_ADAPTERS__EMAIL__SMTP_PROT="25", CONTACTBUS_PRODUCT__PACK="nowhere")
    assert done.returncode == 1
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "smtp_prot" in rows["channel email"]["detail"]
    assert "CONTACTBUS_ADAPTERS__EMAIL__SMTP_PROT" in rows["channel email"]["detail"]
    assert rows["company pack"]["ok"] is False
    assert rows["channel post"]["ok"] is True


def test_the_demo_shows_its_customers(run: Run) -> None:
    customers = json.loads(run("demo", "show", "--json").stdout)
    by_name = {customer["name"]: customer for customer in customers}
    assert by_name["Grete Ohlsen"]["email"] == "grete.ohlsen@kunde.example"
    assert by_name["Kari Lunde"]["orders"][0]["number"] == "SO-10301"
    table = run("demo", "show").stdout
    assert all(name in table for name in by_name)


def test_a_newcomers_data_folder_is_not_made_by_looking(run: Run, tmp_path: Path) -> None:
    looking = (["cases", "list"], ["contacts", "list"], ["workers", "list"], ["workers", "drain", "all"])
    for command in (*looking, ["dead-letters", "list"]):
        assert run(*command, "--data", tmp_path / "none").returncode == 2
    assert not (tmp_path / "none").exists()
