"""kubeconfig files as kubectl reads and writes them."""

import stat
from pathlib import Path

import pytest
import yaml

from podling.base.errors import InvalidInput, NotFound
from podling.client import kubeconfig
from podling.client.kubeconfig import Access

ACCESS = Access("https://127.0.0.1:6443", ca=b"CA", certificate=b"CERT", key=b"KEY")


def test_a_context_is_added_beside_others_and_becomes_the_current_one(tmp_path: Path) -> None:
    file = tmp_path / "config"
    other = kubeconfig.entry("other", Access("https://other:6443", token="secret"))
    file.write_text(yaml.safe_dump(other | {"preferences": {"colors": True}}))
    kubeconfig.add_to(file, "podling", ACCESS)
    config = kubeconfig.read(file)
    assert config["current-context"] == "podling"
    assert config["preferences"] == {"colors": True}
    assert kubeconfig.resolve(config) == ACCESS
    assert kubeconfig.resolve(config, "other").token == "secret"


def test_only_the_owner_may_read_it_and_no_half_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / ".kube" / "config"
    kubeconfig.add_to(file, "podling", ACCESS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["config"]


def test_its_secrets_are_in_no_message() -> None:
    assert "hidden" not in repr(Access("https://there", key=b"hidden", token="hidden"))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("")
    link.symlink_to(real)
    kubeconfig.add_to(link, "podling", ACCESS)
    assert link.is_symlink()
    assert kubeconfig.read(real)["current-context"] == "podling"


def test_removing_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "config"
    kubeconfig.add_to(file, "other", ACCESS)
    kubeconfig.add_to(file, "podling", ACCESS)
    kubeconfig.remove_from(file, "podling")
    config = kubeconfig.read(file)
    assert [[entry["name"] for entry in config[key]] for key in ("clusters", "contexts", "users")] == [["other"]] * 3
    assert config["current-context"] == "other"


def test_of_several_files_the_first_wins(tmp_path: Path) -> None:
    for name, server in (("a", "https://first"), ("b", "https://second")):
        kubeconfig.write(tmp_path / name, kubeconfig.entry("same", Access(server)))
    environment = {"KUBECONFIG": f"{tmp_path}/a:{tmp_path}/missing:{tmp_path}/b"}
    assert kubeconfig.resolve(kubeconfig.load(kubeconfig.paths(environment))).server == "https://first"


def test_files_named_in_it_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"CA")
    config = kubeconfig.entry("c", Access("https://x"))
    config["clusters"][0]["cluster"]["certificate-authority"] = "ca.pem"
    config["users"][0]["user"]["tokenFile"] = "token"
    kubeconfig.write(tmp_path / "config", config)
    access = kubeconfig.resolve(kubeconfig.load([tmp_path / "config"]))
    assert (access.ca, access.token_file) == (b"CA", tmp_path / "token")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no current context"):
        kubeconfig.resolve(kubeconfig.EMPTY)
    with pytest.raises(NotFound, match="no context 'nowhere'"):
        kubeconfig.resolve(kubeconfig.entry("a", ACCESS), "nowhere")


@pytest.mark.parametrize("text", ["{", "just text", "clusters: 7"])
def test_what_is_no_kubeconfig_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=str(file)):
        kubeconfig.add_to(file, "podling", ACCESS)
    assert file.read_text() == text
