"""One pod's life as an event machine: `lifecycle.step(state, event, now) -> (state, instructions)`. Pure."""
