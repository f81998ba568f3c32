"""Dockerfile to image: a parser, a pure plan of steps, and an executor over images, snapshots and the runtime."""
