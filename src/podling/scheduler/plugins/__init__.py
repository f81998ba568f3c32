"""The plugins, one file each; their order and weights stand in `profile.py`."""
