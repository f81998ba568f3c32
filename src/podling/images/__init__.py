"""Images: content by digest, references, leases, transfer to and from registries and archives."""
