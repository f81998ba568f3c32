"""Compose files. An edge above the engine."""
