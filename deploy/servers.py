"""`python -m deploy.servers`: brokers and a database for development, or for the time that a command runs.

    python -m deploy.servers --kafka 1 --postgres                   until Ctrl+C, addresses printed
    python -m deploy.servers --kafka 1 --postgres -- pytest tests   for one command, which finds them in its environment

Servers named by CONTACTBUS_TEST_KAFKA or CONTACTBUS_TEST_POSTGRES are used as they are.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.kafka.brokers import DEFAULT_VERSION, Brokers
from deploy.postgres.server import PostgresServer

__all__ = ["KAFKA_VARIABLE", "POSTGRES_VARIABLE", "main"]

KAFKA_VARIABLE = "CONTACTBUS_TEST_KAFKA"
POSTGRES_VARIABLE = "CONTACTBUS_TEST_POSTGRES"


def main(arguments: Sequence[str] | None = None) -> int:
    """Start what is asked for, run the command or wait, stop it all."""
    parser = argparse.ArgumentParser(prog="python -m deploy.servers", description="Servers for development and tests.")
    parser.add_argument("--kafka", type=int, choices=(0, 1, 3), default=0, help="number of brokers")
    parser.add_argument("--kafka-version", default=os.environ.get("CONTACTBUS_KAFKA_VERSION", DEFAULT_VERSION))
    parser.add_argument("--kafka-port", type=int, default=0, help="port of the first broker; default a free one")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL server")
    parser.add_argument("--postgres-port", type=int, default=0, help="default a free one")
    parser.add_argument("--folder", type=Path, help="where data lies and stays; default a folder that is removed")
    parser.add_argument("command", nargs="*", help="run this and stop with it")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="contactbus-servers-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        found = dict(os.environ)
        stops = []
        try:
            if chosen.kafka and KAFKA_VARIABLE not in found:
                ports = [chosen.kafka_port + n for n in range(chosen.kafka)] if chosen.kafka_port else ()
                brokers = Brokers(folder / "kafka", count=chosen.kafka, version=chosen.kafka_version, ports=ports)
                stops.append(brokers.stop)
                (folder / "kafka").mkdir(exist_ok=True)
                brokers.start()
                found[KAFKA_VARIABLE] = brokers.bootstrap
            if chosen.postgres and POSTGRES_VARIABLE not in found:
                server = PostgresServer(folder / "postgres", port=chosen.postgres_port)
                stops.append(server.stop)
                server.start()
                found[POSTGRES_VARIABLE] = server.dsn
            return _serve(found, chosen.command)
        except KeyboardInterrupt:
            return 130
        finally:
            for stop in reversed(stops):
                stop()


def _serve(environment: dict[str, str], command: Sequence[str]) -> int:
    if command:
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
    for name in (KAFKA_VARIABLE, POSTGRES_VARIABLE):
        if name in environment:
            print(f"{name}='{environment[name]}'", flush=True)
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
