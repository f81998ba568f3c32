"""Routes to the pods of other nodes. What they are is decided by pure code; how they are laid is one of two ways."""
