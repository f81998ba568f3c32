"""The command line. One file a verb; each imports what it needs when it runs, so that `podling --help` stays quick."""
