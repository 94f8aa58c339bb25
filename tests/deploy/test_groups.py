"""The file of groups, judged as a whole."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigurationError
from bus.log.topics import DEPARTMENTS
from deploy.departments import GROUPS, topics_by_group
from deploy.groups import LANES, Group, GroupsFile, Share, load_groups, problems, refuse_elsewhere, shares
from deploy.tenants import settings_of_tenants

WORKERS = tuple(GROUPS)
WHOLE = Group(workers=WORKERS)


def read(folder: Path, text: str) -> GroupsFile:
    path = folder / "groups.toml"
    path.write_text(text)
    return load_groups(path, WORKERS)


def test_the_example_is_followed_as_written() -> None:
    path = Path(__file__).parents[2] / "deploy" / "groups.example.toml"
    file = load_groups(path, WORKERS)
    front = shares(file, "front")
    assert {share.tenant for share in front} == {"shop"}
    assert len(shares(file, "understanding")) == 2
    assert shares(file, "live")[0].lanes == ("live",)


def test_a_hole_is_named_to_the_lane() -> None:
    file = GroupsFile(
        groups={
            "a": Group(workers=tuple(name for name in WORKERS if name != "billing")),
            "b": Group(workers=("billing",), lanes=("live",)),
        }
    )
    assert problems(file, WORKERS) == ["nobody runs billing in the lane deferred: its customers would wait"]


@given(st.data())
def test_there_is_a_hole_exactly_where_nobody_reads_a_topic(data: st.DataObject) -> None:
    """Against the topics themselves: what the members of all groups read, and what the house writes."""
    subset = st.sets(st.sampled_from(WORKERS), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
    departments = st.sets(st.sampled_from(DEPARTMENTS), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
    group = st.one_of(
        st.builds(lambda workers: Group(workers=workers), subset),
        st.builds(lambda workers, lane: Group(workers=workers, lanes=(lane,)), departments, st.sampled_from(LANES)),
    )
    groups = data.draw(st.dictionaries(st.sampled_from("abc"), group, min_size=1))
    read_by = topics_by_group(())
    read = {
        (worker, topic)
        for each in groups.values()
        for worker in each.workers
        for topic in read_by[worker]
        if not each.lanes or topic.rpartition(".")[2] in each.lanes
    }
    written = {(worker, topic) for worker in WORKERS for topic in read_by[worker]}
    holes = {(worker, topic.rpartition(".")[2] if worker in DEPARTMENTS else "") for worker, topic in written - read}
    assert len(problems(GroupsFile(groups=groups), WORKERS)) == len(holes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("groups = 1", "groups"),
        ("[groups.a", "no TOML"),
        ('[groups.a]\nworkers = ["plumbing"]', "plumbing"),
        ('[groups.a]\nworkers = ["intake"]\nlanguages = ["de"]', "languages"),
        ('[groups.a]\nworkers = ["triage"]\nlanes = ["live"]', "triage has none"),
        ('[groups.a]\nworkers = ["billing"]\nlanes = ["fast"]', "lanes"),
        ('[groups.a]\nworkers = ["intake", "intake"]', "twice"),
        ('[groups.a]\nworkers = ["intake"]\nmembers = 0', "members"),
        ('[groups.a]\nworkers = ["intake"]\ntenants = ["bank"]', "'bank'"),
        ('[groups.all]\nworkers = ["intake"]', "everything together"),
        ('[groups.a]\nworkers = ["intake"]', "nobody runs triage"),
        ('[groups.a]\nworkers = ["intake"]\nregions = ["eu"]', "no tenant permits any"),
        ('[groups.a]\nworkers = []', "workers"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_followed_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    assert told in str(refused.value)
    assert str(tmp_path / "groups.toml") in str(refused.value)


def test_a_tenant_without_anybody_is_a_hole(tmp_path: Path) -> None:
    every = ", ".join(f'"{name}"' for name in WORKERS)
    tenants = '[tenants.shop]\nconfig = "shop.toml"\n[tenants.bank]\nconfig = "bank.toml"\n'
    with pytest.raises(ConfigurationError, match="nobody runs intake for bank"):
        read(tmp_path, f'{tenants}[groups.a]\nworkers = [{every}]\ntenants = ["shop"]')
    file = read(tmp_path, f"{tenants}[groups.a]\nworkers = [{every}]\nmembers = 2")
    assert [(share.tenant, share.ordinal) for share in shares(file, "a")] == [
        ("shop", 0), ("shop", 1), ("bank", 0), ("bank", 1),
    ]  # fmt: skip
    assert [share.tenant for share in shares(file, "a", tenant="bank", members=1)] == ["bank"]
    with pytest.raises(ConfigurationError, match="'garage'"):
        shares(file, "a", tenant="garage")
    with pytest.raises(ConfigurationError, match="the file has a"):
        shares(file, "b")


@pytest.mark.parametrize(
    ("permitted", "works_in", "told"),
    [
        ('{ eu = "inside the EEA" }', '["eu"]', ""),
        ('{ eu = "inside the EEA", ph = "standard clauses of 2021, module 2" }', '["eu", "ph"]', ""),
        ('{ eu = "inside the EEA" }', '["eu", "ph"]', "'ph', where shop permits nobody"),
        ('{ eu = "inside the EEA", ph = " " }', '["ph"]', "'ph', where shop permits nobody"),
        ('{ eu = "" }', '["eu"]', "regions"),
        ('{ eu = "inside the EEA" }', "[]", "does not say in which regions"),
        ("{}", '["eu"]', "'eu', where shop permits nobody"),
        ("{}", "[]", ""),
    ],
)
def test_nobody_works_where_the_tenant_did_not_permit_it(
    tmp_path: Path, permitted: str, works_in: str, told: str
) -> None:
    every = ", ".join(f'"{name}"' for name in WORKERS)
    text = (
        f'[tenants.shop]\nconfig = "shop.toml"\nregions = {permitted}\n'
        f"[groups.a]\nworkers = [{every}]\nregions = {works_in}\n"
    )
    if told:
        with pytest.raises(ConfigurationError) as refused:
            read(tmp_path, text)
        assert told in str(refused.value)
    else:
        file = read(tmp_path, text)
        refuse_elsewhere(file, "a", "eu")
        if works_in != "[]":
            with pytest.raises(ConfigurationError, match="'us'"):
                refuse_elsewhere(file, "a", "us")


def test_tenants_share_no_ground(tmp_path: Path) -> None:
    assert settings_of_tenants(GroupsFile(groups={"a": WHOLE}), tmp_path / "groups.toml", {}, {}) == {}
    every = ", ".join(f'"{name}"' for name in WORKERS)
    file = read(
        tmp_path,
        f'[tenants.shop]\nconfig = "shop.toml"\n[tenants.bank]\nconfig = "bank.toml"\n[groups.a]\nworkers = [{every}]',
    )

    def write(shop: str, bank: str) -> None:
        (tmp_path / "shop.toml").write_text(f'[product]\ntenant = "shop"\n{shop}')
        (tmp_path / "bank.toml").write_text(f'[product]\ntenant = "bank"\n{bank}')

    kafka = '[bus]\nengine = "kafka"\n[kafka]\ntopic_prefix = '
    write('data = "one"', 'data = "two"')
    found = settings_of_tenants(file, tmp_path / "groups.toml", {}, {})
    assert {name: each.product.data for name, each in found.items()} == {"shop": "one", "bank": "two"}
    write('data = "one"', 'data = "./one"')
    with pytest.raises(ConfigurationError, match="data folder"):
        settings_of_tenants(file, tmp_path / "groups.toml", {}, {})
    write(f'{kafka}"shop."', f'{kafka}"bank."')
    assert len(settings_of_tenants(file, tmp_path / "groups.toml", {}, {})) == 2
    write(f'{kafka}"house."', f'{kafka}"house."')
    with pytest.raises(ConfigurationError, match=r"topic_prefix 'house\.'"):
        settings_of_tenants(file, tmp_path / "groups.toml", {}, {})
    # One cluster, of which each names other brokers first.
    write(f'{kafka}"house."\nbootstrap = ["a:1", "b:1"]', f'{kafka}"house."\nbootstrap = ["b:1", "c:1"]')
    with pytest.raises(ConfigurationError, match=r"topic_prefix 'house\.' on b:1"):
        settings_of_tenants(file, tmp_path / "groups.toml", {}, {})
    (tmp_path / "bank.toml").write_text('[product]\ntenant = "shop"\ndata = "two"')
    with pytest.raises(ConfigurationError, match="of the tenant 'shop'"):
        settings_of_tenants(file, tmp_path / "groups.toml", {}, {})


def test_shares_are_what_a_process_does() -> None:
    file = GroupsFile(groups={"a": WHOLE})
    assert shares(file, "a") == [Share(group="a", workers=WORKERS)]
