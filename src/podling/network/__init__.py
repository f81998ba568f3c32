"""Container networks: address allocation, bridges, published ports, names. Deciders are pure; `linux` does."""
