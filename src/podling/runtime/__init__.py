"""One container as the kernel sees it: conmon and an OCI runtime behind one Protocol."""
