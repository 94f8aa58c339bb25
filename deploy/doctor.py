"""The checks of `contactbus doctor`: each says what it found and, if need be, what to do."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from bus.adapter.hosting import DISK_FLOOR_BYTES
from bus.clock import SystemClock
from bus.config import Layered
from bus.delivery.dead_letters import unseen_letters
from bus.errors import ConfigurationError
from bus.log.embedded import EmbeddedEngine
from bus.store.sqlite_file import DATABASE_NAME
from deploy.channels import load_plugin, plugin_config
from deploy.findings import finding, given_up
from deploy.settings import BusSettings, HttpSettings, ProductSettings

__all__ = ["examine"]

_LANGUAGE_DATA = {"deu": "tesseract-ocr-deu", "nor": "tesseract-ocr-nor", "eng": "tesseract-ocr-eng"}


async def examine(layers: Layered, settings: ProductSettings) -> list[dict[str, Any]]:
    """All findings, in the order in which one would mend them. Works beside the running product."""
    findings = [_data_folder(settings.data_dir), _disk(settings.data_dir), _sqlite(), await _recognition()]
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine == "kafka":
        from deploy.doctor_kafka import examine_distributed

        findings += await examine_distributed(layers, settings, bus)
    else:
        findings += await _letters(settings.data_dir)
    findings += _pack(settings)
    for name in settings.channels:
        findings.append(_channel(layers, name))
    findings.append(_relay(layers, settings))
    findings.append(_public_url(settings, layers.section("http", HttpSettings)))
    return findings


async def _letters(folder: Path) -> list[dict[str, Any]]:
    """What was given up and shows in no case; nothing of a folder that has no database yet."""
    if not (folder / DATABASE_NAME).is_file():
        return []
    engine = await EmbeddedEngine.open(folder, clock=SystemClock())
    try:
        return [given_up(await unseen_letters(engine))]
    finally:
        await engine.close()


def _data_folder(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        return finding("data folder", True, f"{folder} does not exist yet; `contactbus up` makes it")
    if not os.access(folder, os.W_OK):
        return finding(
            "data folder",
            False,
            f"{folder} cannot be written",
            f"give it to the user that runs contactbus: chown -R USER {folder}",
        )
    if folder.stat().st_mode & 0o077:
        return finding("data folder", False, f"others on this machine can read {folder}", f"chmod 700 {folder}")
    return finding("data folder", True, str(folder))


def _disk(folder: Path) -> dict[str, Any]:
    place = folder if folder.exists() else Path.cwd()
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free, nothing is accepted below {DISK_FLOOR_BYTES / 2**30:.1f}"
    return finding("disk", free > 4 * DISK_FLOOR_BYTES, text, "make room, or put the data folder on a larger disk")


def _sqlite() -> dict[str, Any]:
    version = sqlite3.sqlite_version_info
    safe = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    note = (
        ""
        if safe
        else "; its WAL-reset fault is closed here by our write lock, so keep the data folder on a local disk"
    )
    return finding("SQLite", True, sqlite3.sqlite_version + note)


async def _recognition() -> dict[str, Any]:
    import asyncio

    if shutil.which("tesseract") is None:
        return finding(
            "text recognition",
            False,
            "tesseract is missing: letters still arrive, and a person reads them",
            "apt-get install tesseract-ocr " + " ".join(_LANGUAGE_DATA.values()),
        )
    process = await asyncio.create_subprocess_exec(
        "tesseract", "--list-langs", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    there = set(output.decode("utf-8", "replace").split())
    missing = [package for language, package in _LANGUAGE_DATA.items() if language not in there]
    if missing:
        return finding("text recognition", False, "language data is missing", "apt-get install " + " ".join(missing))
    return finding("text recognition", True, "tesseract with German, Norwegian and English")


def _pack(settings: ProductSettings) -> list[dict[str, Any]]:
    from workers.packs import check, load

    try:
        problems = check(load(settings.pack))
    except (OSError, ValueError, ConfigurationError) as error:
        return [
            finding("company pack", False, f"{settings.pack} cannot be loaded: {error}", "correct the file it names")
        ]
    if problems:
        return [
            finding("company pack", False, str(problem), f"edit workers/packs/{settings.pack}") for problem in problems
        ]
    return [finding("company pack", True, f"{settings.pack} is complete in all its languages")]


def _channel(layers: Layered, name: str) -> dict[str, Any]:
    try:
        plugin_config(layers, load_plugin(name))
    except ConfigurationError as error:
        return finding(
            f"channel {name}", False, str(error), "correct the setting; `contactbus config show --origin` lists all"
        )
    return finding(f"channel {name}", True, "configured")


def _relay(layers: Layered, settings: ProductSettings) -> dict[str, Any]:
    if "email" not in settings.channels:
        return finding("mail relay", True, "no e-mail channel")
    try:
        config = plugin_config(layers, load_plugin("email"))
    except ConfigurationError:
        return finding("mail relay", False, "its settings are wrong", "correct them first: see channel email")
    if not config.relay_host:
        return finding(
            "mail relay",
            False,
            "none is set: replies by mail stay planned",
            "set relay_host in [adapters.email], or start with --relay HOST:PORT",
        )
    return finding("mail relay", True, f"{config.relay_host}:{config.relay_port}")


def _public_url(settings: ProductSettings, http: HttpSettings) -> dict[str, Any]:
    if settings.public_url.startswith("https://"):
        return finding("public address", True, settings.public_url)
    if settings.public_url:
        return finding(
            "public address",
            False,
            f"{settings.public_url} is not https",
            "Twilio and browsers want https in production",
        )
    return finding(
        "public address",
        True,
        f"http://{http.host}:{http.port}, for this machine only; set product.public_url for customers",
    )
