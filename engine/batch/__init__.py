"""Batches: many worlds, simulated chunk by chunk into a store that survives whatever happens meanwhile."""
