"""Where settings come from, and how two podlings stay apart."""

import json
import socket
from pathlib import Path

import pytest

from podling.app.config import load, settle
from podling.base.errors import InvalidInput


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('api_port = 1\nkubelet_port = 2\npod_cidr = "10.1.0.0/24"\ninsecure_registries = ["a:1", "b:2"]\n')
    environment = {"PODLING_CONFIG": str(file), "PODLING_KUBELET_PORT": "3", "PODLING_POD_CIDR": "10.2.0.0/24"}
    config = load({"root": str(tmp_path), "pod_cidr": "10.3.0.0/24"}, environment)
    assert (config.api_port, config.kubelet_port, config.pod_cidr) == (1, 3, "10.3.0.0/24")
    assert config.insecure_registries == ("a:1", "b:2")
    assert config.service_cidr == "10.96.0.0/16"


def test_a_child_process_has_the_same_configuration(tmp_path):
    config = load({"root": tmp_path, "api_port": 7, "insecure_registries": "a:1,b:2"}, {"HOME": "/h"})
    assert load({}, config.environment()) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("api_prot = 1", "unknown setting 'api_prot'; known are"),
        ('api_port = "many"', "api_port: 'many' is no number"),
        ('pod_cidr = "10.0.0.0/99"', "pod_cidr: '99' is not a valid netmask"),
        ("api_port = ", "Invalid value"),
        ('api_address = "here"', "api_address: 'here' is no IPv4 address"),
        ("metrics_resolution = 0", "metrics_resolution: 0 is too little: 1 or more seconds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as error:
        load({"config": file, "root": tmp_path}, {})
    assert message in error.value.message


def test_lists_and_numbers_come_from_the_file_and_from_variables(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('registry_mirrors = ["http://mirror:5000"]\nmax_layer_bytes = 1000\n')
    environment = {"PODLING_CONFIG": str(file), "PODLING_INSECURE_REGISTRIES": "one,two", "PODLING_MAX_LAYER_FILES": "7"}
    config = load({"root": tmp_path}, environment)
    assert (config.registry_mirrors, config.insecure_registries) == (("http://mirror:5000",), ("one", "two"))
    assert (config.max_layer_bytes, config.max_layer_files) == (1000, 7)
    assert load({}, config.environment()) == config


def test_another_root_is_another_instance():
    first, second, default = (load({"root": root} if root else {}, {}) for root in ("/a", "/b", ""))
    assert default.instance == "podling"
    assert len({first.instance, second.instance, default.instance}) == 3
    assert first.run == Path("/a/run")


def test_a_taken_port_is_replaced_once_and_remembered(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = {"root": tmp_path}
        chosen = settle(load({**flags, "api_port": port}, {}), flags)
    assert chosen.api_port != port
    assert load(flags, {}).api_port == chosen.api_port
    assert json.loads((tmp_path / "instance.json").read_text())["service_cidr"] == chosen.service_cidr
    assert chosen.service_cidr != "10.96.0.0/16"


def test_a_flag_is_never_replaced(tmp_path):
    flags = {"root": tmp_path, "pod_cidr": "10.9.0.0/24"}
    assert settle(load(flags, {}), flags).pod_cidr == "10.9.0.0/24"
