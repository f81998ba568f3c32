"""API group metrics.k8s.io: what nodes and pods use. Its objects are measured when asked for, and never stored."""
