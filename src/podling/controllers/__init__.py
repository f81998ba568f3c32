"""Controllers as pure functions `reconcile(obj, view, now) -> Plan`, and the one runner that does what they decide."""
