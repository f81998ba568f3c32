"""Layers unpacked once by chain id, and writable views of them. One Protocol, drivers beside it."""
