"""The node agent: pods as containers, services as packet rules, names as answers. The one layer that knows both worlds.

Law: what a pod needs next, what the packet rules are and what a name means are decided by pure functions over plain
objects; few doers carry it out, through the engine and `podling.linux`, and speak to the cluster through `podling.client`.
"""
