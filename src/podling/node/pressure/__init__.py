"""What the node does when memory, disk or process numbers run out: conditions, evictions, images thrown away.

Law: what is measured goes into pure deciders; only `keeper.py` reads the machine and acts.
Source: Kubernetes, "Node-pressure Eviction", "Garbage Collection of unused containers and images".
"""
