"""Which pods serve a Service: EndpointSlices, and the older Endpoints, from the same facts."""
