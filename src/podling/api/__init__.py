"""Kubernetes facts: kinds, schemas, defaulting, validation, selectors, patches. No I/O, no clock, no randomness."""
