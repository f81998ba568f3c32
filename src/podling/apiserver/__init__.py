"""The Kubernetes API: an edge over the store. Generic over the registry of kinds."""
