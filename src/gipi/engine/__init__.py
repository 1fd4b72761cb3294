"""The training engine: one loop, one optimiser helper, one place; it knows no net and no data set."""
