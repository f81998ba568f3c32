"""Facts of the OCI image, distribution and runtime specifications. No I/O."""
