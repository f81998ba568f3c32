"""Composition roots: the server, the agent, and both together. The only importer of drivers; wiring and nothing else."""
