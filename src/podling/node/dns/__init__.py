"""Cluster DNS on each node. Law: the names of a service are a pure function of it and its EndpointSlices."""
