"""The JSON Schema that lbctl prints, by a validator that is not ours: what `config check` takes it takes, and the reverse for keys and values."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from lab import LBCTL, ROOT


class Yaml12(yaml.SafeLoader):
    """As YAML 1.2, and lbd, read it: on and off are words."""


Yaml12.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def validator(*args):
    schema = json.loads(subprocess.run([LBCTL, "config", "schema", *args], capture_output=True, text=True, check=True).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def main(binaries):
    return validator()


def examples():
    """Every configuration that a page or a script of the project shows."""
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for i, body in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S)):
            yield pytest.param(body, id=f"{page.name}-{i}")
    for path in sorted((ROOT / "tests" / "golden" / "import").glob("*.yaml")):
        yield pytest.param(path.read_text(), id=path.name)


@pytest.mark.parametrize("text", examples())
def test_examples_are_valid(main, text):
    document = yaml.load(text, Yaml12)
    if "version" not in document:
        validator("--included").validate(document)
    else:
        main.validate(document)


def test_there_are_examples():
    assert len(list(examples())) >= 12


BAD = [
    "version: 2",
    "services: {}",
    "{version: 1, bogus: 1}",
    "{version: 1, daemon: {engine: ebpf}}",
    "{version: 1, daemon: {socket: lbd.sock}}",
    "{version: 1, daemon: {flows: 5}}",
    "{version: 1, daemon: {orphan-after: 60}}",
    "{version: 1, daemon: {dpdk: {workers: [2], ports: [{name: wan}]}}}",
    "{version: 1, daemon: {dpdk: {ports: [{name: wan, device: e, mtu: 100}]}}}",
    "{version: 1, daemon: {engine: xdp, xdp: {interfaces: [{name: eth0, mode: skb}]}}}",
    "{version: 1, defaults: {forward: nat}}",
    "{version: 1, defaults: {source-prefix: [32]}}",
    "{version: 1, defaults: {source-prefix: [33, 64]}}",
    "{version: 1, pools: {Fe: {}}}",
    "{version: 1, pools: {fe: {backends: [{name: a}]}}}",
    "{version: 1, pools: {fe: {backends: [{name: a, address: web1.example.com}]}}}",
    "{version: 1, pools: {fe: {backends: [{name: a, address: 10.0.0.1, weight: 1001}]}}}",
    "{version: 1, pools: {fe: {backends: [{name: a, address: 10.0.0.1, port: 80}]}}}",
    "{version: 1, pools: {fe: {}}, services: {web: {pool: fe}}}",
    "{version: 1, pools: {fe: {}}, services: {web: {listen: ['192.0.2.1:80'], pool: fe}}}",
    "{version: 1, pools: {fe: {}}, services: {web: {listen: ['192.0.2.1:80/tcp'], pool: fe, table-size: 12}}}",
]


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_lbctl_refuses(main, text):
    assert not main.is_valid(yaml.load(text, Yaml12))
    assert subprocess.run([LBCTL, "config", "check", "-"], input=text, text=True, capture_output=True).returncode == 1


def test_an_included_file_has_no_daemon(binaries):
    included = validator("--included")
    assert included.is_valid({"pools": {"fe": {}}})
    assert not included.is_valid({"daemon": {}})
