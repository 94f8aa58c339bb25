"""`groups.toml`: which workers run where, for whom, how often. One file for the whole house, the same on every host.

    [tenants.shop]
    config = "shop.toml"                       # the settings of this company, as `--config` takes them
    regions = { eu = "inside the EEA" }        # where its customers' data may be worked on, each with the legal basis

    [groups.front]
    workers = ["intake", "triage", "case"]
    members = 2                                # processes that one `workers run front` starts
    regions = ["eu"]                           # where this group's people and machines are

The file is judged as a whole: every worker, lane and tenant needs somebody who runs it, or customers would wait for
ever behind a hole that no process can see. Several groups may run the same worker: they are members of one consumer
group and share its partitions. What a group reads is chosen by topic alone, never by passing records over, so changing
the file neither loses nor repeats anything.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.delivery.worker import Worker
from bus.errors import ConfigurationError
from bus.log.topics import DEPARTMENTS

__all__ = [
    "LANES",
    "Group",
    "GroupsFile",
    "InLanes",
    "Share",
    "Tenant",
    "load_groups",
    "problems",
    "refuse_elsewhere",
    "shares",
]

LANES = ("live", "deferred")

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company whose customers are served. `config` is relative to the file of groups.

    `regions`: where its data may be worked on, each with the basis of the transfer (inside the EEA, an adequacy
    decision, standard clauses with their date), as the register of processing activities says it.
    """

    config: str
    regions: Mapping[_Name, Annotated[str, msgspec.Meta(min_length=1)]] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers that run together. Nothing named under `tenants` or `lanes` means all of them.

    `members` are processes: each is a member of its workers' consumer groups. More than a topic has partitions would
    idle.
    """

    workers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    tenants: tuple[str, ...] = ()
    lanes: tuple[Literal["live", "deferred"], ...] = ()
    regions: tuple[_Name, ...] = ()
    members: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1


class GroupsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. Without tenants it describes the one company of `--config`."""

    groups: Mapping[_Name, Group]
    tenants: Mapping[_Name, Tenant] = {}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one process of a group does: some workers of one tenant. Tenants never share a process, so the rules, the
    model and the database rights of one are never in the memory of another.

    `tenant` is empty where the command line names the settings; `lanes` is empty for all.
    """

    group: str
    workers: tuple[str, ...]
    tenant: str = ""
    lanes: tuple[str, ...] = ()
    ordinal: int = 0


def load_groups(path: Path, workers: Sequence[str]) -> GroupsFile:
    """Read and judge a file against the workers that exist. Raises ConfigurationError naming every fault."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), GroupsFile)
    except OSError as error:
        raise ConfigurationError(f"the groups file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the groups file {path} is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"the groups file {path}: {error}") from None
    found = problems(file, workers)
    if found:
        raise ConfigurationError("\n  ".join((f"the groups file {path} cannot be followed:", *found)))
    return file


def problems(file: GroupsFile, workers: Sequence[str]) -> list[str]:
    """Everything that is wrong with a file, one sentence each, the exact place named."""
    found: list[str] = []
    for name, group in file.groups.items():
        found += _group_problems(file, name, group, workers)
    return found or _holes(file, workers)


def _group_problems(file: GroupsFile, name: str, group: Group, workers: Sequence[str]) -> list[str]:
    found: list[str] = []
    if name == "all":
        found.append("[groups.all] is the name of everything together; choose another")
    for worker in group.workers:
        if worker not in workers:
            found.append(f"[groups.{name}] names the worker {worker!r}; there are {', '.join(workers)}")
        elif group.lanes and worker not in DEPARTMENTS:
            found.append(f"[groups.{name}] has lanes, but {worker} has none; give it a group without lanes")
    for what, given in (("workers", group.workers), ("tenants", group.tenants), ("lanes", group.lanes)):
        twice = sorted({each for each in given if given.count(each) > 1})
        if twice:
            found.append(f"[groups.{name}] names {', '.join(twice)} twice under {what}")
    for tenant in group.tenants:
        if tenant not in file.tenants:
            there = ", ".join(file.tenants) or "none: add [tenants.NAME]"
            found.append(f"[groups.{name}] names the tenant {tenant!r}; there are {there}")
    for tenant in _tenants_of(file, group):
        found += _region_problems(name, group, tenant, file.tenants.get(tenant))
    return found


def _region_problems(name: str, group: Group, tenant: str, declared: Tenant | None) -> list[str]:
    if not tenant:
        return (
            [f"[groups.{name}] names regions, and no tenant permits any: add [tenants.NAME]"] if group.regions else []
        )
    if declared is None:
        return []
    if declared.regions and not group.regions:
        return [f"[groups.{name}] does not say in which regions it works, and {tenant} permits only some"]
    return [
        f"[groups.{name}] works in {region!r}, where {tenant} permits nobody to work; name the region under "
        f"[tenants.{tenant}.regions] with the basis of the transfer, or take {tenant} from the group"
        for region in group.regions
        if not declared.regions.get(region, "").strip()
    ]


def _holes(file: GroupsFile, workers: Sequence[str]) -> list[str]:
    found: list[str] = []
    for tenant in tuple(file.tenants) or ("",):
        running = [group for group in file.groups.values() if tenant in _tenants_of(file, group)]
        for worker in workers:
            for lane in LANES if worker in DEPARTMENTS else ("",):
                if not any(
                    worker in group.workers and (not lane or lane in (group.lanes or LANES)) for group in running
                ):
                    what = " ".join((worker, *((f"in the lane {lane}",) if lane else ())))
                    found.append(f"nobody runs {what}{f' for {tenant}' if tenant else ''}: its customers would wait")
    return found


def _tenants_of(file: GroupsFile, group: Group) -> tuple[str, ...]:
    return group.tenants or tuple(file.tenants) or ("",)


def shares(file: GroupsFile, name: str, *, tenant: str = "", members: int | None = None) -> list[Share]:
    """The processes of a group, of one tenant only when it is named; `members` instead of what the file says.

    Raises ConfigurationError for a wrong name.
    """
    group = file.groups.get(name)
    if group is None:
        raise ConfigurationError(f"no group is called {name!r}; the file has {', '.join(file.groups)}")
    serving = _tenants_of(file, group)
    if tenant and tenant not in serving:
        raise ConfigurationError(f"the group {name} does not serve the tenant {tenant!r}")
    return [
        Share(group=name, workers=group.workers, tenant=each, lanes=group.lanes, ordinal=ordinal)
        for each in ((tenant,) if tenant else serving)
        for ordinal in range(members or group.members)
    ]


def refuse_elsewhere(file: GroupsFile, name: str, region: str) -> None:
    """Raises ConfigurationError when this machine, which stands in `region`, may not run the group."""
    regions = file.groups[name].regions
    if region and regions and region not in regions:
        raise ConfigurationError(f"this machine stands in {region!r} ([bus] region), the group {name} in {regions}")


class InLanes:
    """A worker that takes only some lanes of its topics; another member of the same consumer group has the others."""

    def __init__(self, worker: Worker, lanes: Sequence[str]) -> None:
        self._worker = worker
        self.topics: Sequence[str] = tuple(topic for topic in worker.topics if topic.rpartition(".")[2] in lanes)
        self.prepare, self.handle = worker.prepare, worker.handle

    @property
    def group(self) -> str:
        """The worker's consumer group: progress is kept by topic, so it does not matter who read a lane before."""
        return self._worker.group
