"""Data sets and streams of training batches; they know nothing of nets or training."""
