"""Errors, ids, quantities. No clock, no I/O, no import from above."""
