"""Seeing inside a net and a run."""
