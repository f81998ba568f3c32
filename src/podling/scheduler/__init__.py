"""Chooses nodes. The cycle is pure over an immutable snapshot; plugins stand in one ordered list; one loop binds."""
