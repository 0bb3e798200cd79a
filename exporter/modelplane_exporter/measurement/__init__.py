"""What finished calls add up to: state by identity, device time, events, the cap on tenants."""
