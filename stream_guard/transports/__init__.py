"""The outside world: where events come from and where results go. `base` holds the contracts."""
