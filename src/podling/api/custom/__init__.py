"""Custom resources: what a definition makes of the one registry's kinds. Pure; a custom kind is served as a built-in one is."""
