"""An OCI distribution server. An edge above the content store."""
