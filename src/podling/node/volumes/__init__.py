"""The volumes of a pod: one file a kind, each making a host path that containers see by a bind mount.

Law: set-up is idempotent, and tear-down is safe without set-up, so that a restarted agent just goes on.
"""
