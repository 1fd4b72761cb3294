"""Games that are played step by step, and the memory of what was seen in them."""
