"""Contracts, fakes and the pytest plugin. Imported by tests and by users, never by the product."""
