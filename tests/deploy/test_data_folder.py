"""A data folder is closed to others, and nobody else's folder is taken for one."""

import stat
from pathlib import Path

import pytest

from bus.errors import ConfigurationError
from deploy.data_folder import claim_data_folder


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_new_folder_is_made_for_us_alone(tmp_path: Path) -> None:
    claim_data_folder(tmp_path / "some" / "data")
    assert mode(tmp_path / "some" / "data") == 0o700


@pytest.mark.parametrize(
    "names", [(), ("lost+found",), ("signing.key", "else"), ("models",), ("bus.sqlite",), ("blobs",)]
)
def test_an_empty_folder_and_one_of_ours_is_closed_to_others(tmp_path: Path, names: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    for name in names:
        (data / name).mkdir()
    claim_data_folder(data)
    assert mode(data) == 0o700


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root")
    etc.chmod(0o755)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        claim_data_folder(etc)
    assert mode(etc) == 0o755
    assert [entry.name for entry in etc.iterdir()] == ["passwd"]


def test_who_closed_a_folder_beforehand_may_have_put_something_into_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "twilio_auth_token").write_text("secret")
    claim_data_folder(data)
    assert mode(data) == 0o700
