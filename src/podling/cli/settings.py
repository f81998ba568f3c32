"""The options that name a podling, shared by the verbs that need one."""

from collections.abc import Callable
from typing import Any

import click

PLACES = (
    click.option("--root", metavar="DIR", help="Where it keeps its data (/var/lib/podling)."),
    click.option("--run", metavar="DIR", help="Where its sockets are (/run/podling)."),
    click.option("--config", metavar="FILE", help="Settings in TOML (/etc/podling/config.toml)."),
    click.option("--kubeconfig", metavar="FILE", help="Where the kubectl context goes ($KUBECONFIG or ~/.kube/config)."),
    click.option("--docker-config", metavar="DIR", help="Where the docker context goes ($DOCKER_CONFIG or ~/.docker)."),
)
ADDRESSES = (
    click.option("--node-name", metavar="NAME", help="This machine's name in the cluster (its host name)."),
    click.option("--api-address", metavar="ADDRESS", help="Where the Kubernetes API listens (127.0.0.1)."),
    click.option("--api-port", type=int, metavar="PORT", help="Its port (6443)."),
    click.option("--kubelet-port", type=int, metavar="PORT", help="The agent's port (10250)."),
    click.option("--pod-cidr", metavar="CIDR", help="Addresses of the first node's pods (10.244.0.0/24)."),
    click.option("--cluster-cidr", metavar="CIDR", help="Addresses of all nodes' pods (10.244.0.0/16)."),
    click.option("--node-cidr", metavar="CIDR", help="Addresses of further nodes (10.245.0.0/24)."),
    click.option("--node-routes", type=click.Choice(["direct", "vxlan"]), help="How nodes reach each other's pods (direct)."),
    click.option("--service-cidr", metavar="CIDR", help="Addresses of services (10.96.0.0/16)."),
    click.option("--docker-tcp", metavar="ADDRESS:PORT", help="Serve the Docker API there too, to clients with a certificate."),
    click.option("--cluster-domain", metavar="DOMAIN", help="The DNS domain of services (cluster.local)."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="What goes to the log."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="How the log is written (text)."),
    click.option("--audit-policy", metavar="FILE", help="Which API requests go to an audit log (none)."),
    click.option("--audit-log", metavar="FILE", help="That log (audit.log in the server's folder)."),
)
Command = Callable[..., Any]


def places(function: Command) -> Command:
    """The options that find a podling."""
    for option in reversed(PLACES):
        function = option(function)
    return function


def settings(function: Command) -> Command:
    """The options that start one."""
    for option in reversed(ADDRESSES):
        function = option(function)
    return places(function)
