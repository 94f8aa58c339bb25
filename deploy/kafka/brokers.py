"""One or three KRaft brokers on loopback, for development, tests and proofs: started, killed, stopped by this class.

The server's jars come through Maven once per version and stay in a folder of the checkout. Every broker is controller
as well: three of them survive the loss of any one.
"""

import base64
import contextlib
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from bus.errors import ConfigurationError
from deploy.ports import free_ports

__all__ = ["AT_ONCE_S", "DEFAULT_VERSION", "Brokers", "libraries"]

DEFAULT_VERSION = "4.1.0"

_CHECKOUT = Path(__file__).parents[2]
_READY_S = 90.0
"""A broker on a busy machine with two cores; alone it takes about 5 s."""
_STOP_S = 20.0
_ARCHIVED_S = 120.0
"""Writing the archive of classes is part of ending, once."""

_JAVA = ("-Xms192m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Small, and quick to start rather than quick in the long run: brokers of tests seldom live for minutes."""

_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)
"""The smallest request of the protocol: key 18, version 0, correlation 1, no client id."""

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={data}
auto.create.topics.enable=false
offsets.retention.minutes=40320
unclean.leader.election.enable=false
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
controlled.shutdown.max.retries=1
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
"""
"""Short sessions, so that the loss of a broker is noticed within seconds; a single broker has single copies."""

_OPEN = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{told_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
"""

_SIGNED_IN = """\
listeners=CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{brokers_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{told_port},BROKERS://127.0.0.1:{brokers_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKERS:PLAINTEXT,CLIENTS:{protocol}
inter.broker.listener.name=BROKERS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
"""Clients sign in; brokers of one host among themselves do not."""

_ENCRYPTED = """\
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={certificate}
"""

_UNSEEN = ssl.create_default_context()
_UNSEEN.check_hostname, _UNSEEN.verify_mode = False, ssl.CERT_NONE
"""For seeing whether a broker of our own answers: whose certificate it has is for its clients to judge."""


def libraries(version: str = DEFAULT_VERSION) -> Path:
    """The folder with the server's jars, filled on first use. Raises ConfigurationError without Java or Maven."""
    folder = _CHECKOUT / ".servers" / f"kafka-{version}"
    if (folder / "complete").exists():
        return folder
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise ConfigurationError(f"{program} is missing; install the Debian package {package}")
    command = ["mvn", "-q", "-B", "-f", str(Path(__file__).parent / "pom.xml"), "dependency:copy-dependencies"]
    options = [f"-DoutputDirectory={folder}", f"-Dkafka.version={version}", "-Dstyle.color=never"]
    subprocess.run([*command, *options], check=True, stdout=sys.stderr)  # noqa: S603
    (folder / "complete").touch()
    return folder


def _archive_of(version: str) -> Path:
    return libraries(version) / "classes.jsa"


def _archive_classes(version: str) -> None:
    """Keep what a broker loads at its start as the virtual machine wants it: later starts cost a quarter.

    Made once by a broker that nobody uses. Without it, or with another Java, brokers start all the same.
    """
    target = _archive_of(version)
    if target.exists():
        return
    with tempfile.TemporaryDirectory(prefix="contactbus-broker-") as folder:
        made = Path(folder) / target.name
        model = Brokers(Path(folder), version=version)
        model._options = [f"-XX:ArchiveClassesAtExit={made}"]
        model.start(archive=False)
        model.stop(within_s=_ARCHIVED_S)
        if made.exists():
            # Into place in one step: others may be starting brokers at this moment.
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copyfile(made, partial)
            partial.rename(target)


def _cluster_id(some: uuid.UUID) -> str:
    """16 bytes in URL-safe base64, as Kafka writes them.

    The first bit is 0: what begins with a dash would be taken for an option by the tool that it is given to.
    """
    head, *rest = some.bytes
    return base64.urlsafe_b64encode(bytes((head & 0x7F, *rest))).decode().rstrip("=")


AT_ONCE_S = 0.5
"""For `stop`, of brokers whose data nobody wants."""


class Brokers:
    """A cluster. `start` returns when every broker answers; `stop` leaves no process behind.

    `told_ports` are those that clients and the other brokers are told, where a line that can be broken stands between.
    `accounts` are names and passwords with which clients have to sign in (SCRAM-SHA-512); without any, whoever comes is
    let in. They sign in over TLS where a `certificate` is given: a PEM file with the brokers' key and certificates. For
    tests: the passwords stand on a command line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        count: int = 1,
        version: str = DEFAULT_VERSION,
        ports: Sequence[int] = (),
        told_ports: Sequence[int] = (),
        accounts: Mapping[str, str] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._folder = folder
        self._version = version
        self.ports = list(ports) or free_ports(count)
        self._told_ports = list(told_ports) or self.ports
        self._controller_ports = free_ports(count)
        self._accounts = accounts or {}
        self._certificate = certificate
        self._brokers_ports = free_ports(count)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._options: list[str] = []

    @property
    def bootstrap(self) -> str:
        """Addresses for clients, separated by commas."""
        return ",".join(f"127.0.0.1:{port}" for port in self._told_ports)

    def start(self, *, archive: bool = True) -> None:
        """Format the folders and start every broker. `archive`: see `_archive_classes`."""
        if archive:
            _archive_classes(self._version)
        cluster = _cluster_id(uuid.uuid4())
        copies = min(3, len(self.ports))
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(self._controller_ports, 1))
        formatting: list[subprocess.Popen[bytes]] = []
        for node, (port, controller_port) in enumerate(zip(self.ports, self._controller_ports, strict=True), 1):
            home = self._folder / f"broker-{node}"
            home.mkdir(parents=True, exist_ok=True)
            properties = home / "server.properties"
            doors = _SIGNED_IN + (_ENCRYPTED if self._certificate else "") if self._accounts else _OPEN
            text = (_PROPERTIES + doors).format(
                node=node, port=port, told_port=self._told_ports[node - 1], controller_port=controller_port,
                brokers_port=self._brokers_ports[node - 1], certificate=self._certificate,
                protocol="SASL_SSL" if self._certificate else "SASL_PLAINTEXT",
                voters=voters, data=home / "data", copies=copies, in_sync=max(1, copies - 1),
            )  # fmt: skip
            properties.write_text(text, encoding="utf-8")
            if not (home / "data" / "meta.properties").exists():
                known = [f"SCRAM-SHA-512=[name={name},password={word}]" for name, word in self._accounts.items()]
                more = [part for each in known for part in ("--add-scram", each)]
                formatting.append(
                    self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *more)
                )
        for process in formatting:
            if process.wait() != 0:
                raise RuntimeError("a broker's folder could not be formatted")
        for index in range(len(self.ports)):
            self._launch(index)
        self._wait_until_ready(range(len(self.ports)))

    def kill(self, index: int) -> None:
        """SIGKILL, as a power cut of that host."""
        self._signal(index, signal.SIGKILL)
        process = self._processes[index]
        if process is not None:
            process.wait()
        self._processes[index] = None

    def pause(self, index: int) -> None:
        """SIGSTOP: the broker keeps its connections and answers nothing."""
        self._signal(index, signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """SIGCONT."""
        self._signal(index, signal.SIGCONT)

    def restart(self, index: int, *, wait: bool = True) -> None:
        """Start a broker that was killed, on its own data and ports."""
        self._launch(index)
        if wait:
            self._wait_until_ready([index])

    def stop(self, *, within_s: float = _STOP_S) -> None:
        """SIGTERM, then SIGKILL.

        Several brokers that leave together wait in vain for a quorum to tell; who throws their data away afterwards
        need not wait with them (`AT_ONCE_S`).
        """
        running = [process for process in self._processes if process is not None and process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + within_s
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _launch(self, index: int) -> None:
        properties = self._folder / f"broker-{index + 1}" / "server.properties"
        self._processes[index] = self._java("kafka.Kafka", str(properties))

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        jars, archive = libraries(self._version), _archive_of(self._version)
        options = self._options or ([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else [])
        with (self._folder / "brokers.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                ["java", *_JAVA, *options, "-cp", f"{jars}/*", main, *arguments],  # noqa: S607
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "LOG4J_LEVEL": "WARN"},
            )  # fmt: skip

    def _signal(self, index: int, number: signal.Signals) -> None:
        process = self._processes[index]
        if process is None or process.poll() is not None:
            raise RuntimeError(f"broker {index + 1} is not running")
        process.send_signal(number)

    def _wait_until_ready(self, indexes: Sequence[int] | range) -> None:
        deadline = time.monotonic() + _READY_S
        for index in indexes:
            process = self._processes[index]
            while True:
                answers = _answers(self.ports[index], encrypted=self._certificate is not None)
                # Asked last: who answers is the broker only while the broker lives.
                if process is None or process.poll() is not None:
                    raise RuntimeError(f"broker {index + 1} ended; see {self._folder / 'brokers.log'}")
                if answers:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"broker {index + 1} did not answer within {_READY_S:.0f} s")
                time.sleep(0.1)


def _answers(port: int, *, encrypted: bool) -> bool:
    try:
        with contextlib.ExitStack() as opened:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=2.0))
            if encrypted:
                connection = opened.enter_context(_UNSEEN.wrap_socket(connection))
            connection.sendall(struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS)
            return len(connection.recv(8)) == 8
    except OSError:
        return False
