"""One class per kind of system: where nets, data and engine meet."""
