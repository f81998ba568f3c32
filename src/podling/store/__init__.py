"""Keys, opaque bytes, and one global revision. Never imports kinds."""
