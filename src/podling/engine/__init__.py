"""Containers from create to remove, over images, snapshots, runtime, network and volumes. Knows no HTTP and no Kubernetes."""
