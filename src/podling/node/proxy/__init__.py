"""Services as packet rules. Law: what the kernel should hold is a pure function of Services and EndpointSlices."""
