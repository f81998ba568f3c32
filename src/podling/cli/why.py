"""podling why: the causal chain behind something that is not running. Speaks only the Kubernetes API: works on any cluster."""

import asyncio
from typing import Any

import click

from podling.base.errors import InvalidInput, NotFound


@click.command("why")
@click.argument("target", metavar="pod/NAME")
@click.option("-n", "--namespace", help="Its namespace (the context's).")
@click.option("--context", default="", help="The kubeconfig context (the current one).")
def command(target: str, namespace: str | None, context: str) -> None:
    """Explain why a pod is not running: what holds it up, why, and what to do.

    Exits with 0 when it runs and is ready, with 1 when something holds it up.
    """
    from podling.cli.cause import explain

    kind, slash, name = target.partition("/")
    if kind not in ("pod", "pods", "po") or not slash or not name:
        raise InvalidInput(f"{target!r}: say pod/NAME")
    pod, events, node = asyncio.run(_facts(name, namespace, context))
    chain = explain(pod, events, node)
    for depth, cause in enumerate(chain):
        click.echo(f"{'   ' * (depth - 1)}{'└─ ' if depth else ''}{cause.text}")
    if chain[-1].advice:
        click.echo(f"\nTry: {chain[-1].advice}")
    if len(chain) > 1:
        raise SystemExit(1)


async def _facts(name: str, namespace: str | None, context: str) -> tuple[Any, Any, Any]:
    """The pod, its events (oldest first) and its node, if it has one."""
    from podling.api.status import ApiError
    from podling.client import kubeconfig
    from podling.client.client import Client
    from podling.client.http import HttpTransport
    from podling.client.resource import EVENTS, NODES, PODS

    access = kubeconfig.resolve(kubeconfig.load(kubeconfig.paths()), context)
    client = Client(HttpTransport(access))
    home = namespace or access.namespace
    try:
        pod = await client.get(PODS, name, home)
        events = (await client.list(EVENTS, home, fields=f"involvedObject.uid={pod['metadata']['uid']}")).items
        node_name = pod["spec"].get("nodeName")
        node = await client.get(NODES, node_name) if node_name else None
    except ApiError as error:
        raise NotFound(error.message) from error
    finally:
        await client.close()
    return pod, sorted(events, key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]), node
