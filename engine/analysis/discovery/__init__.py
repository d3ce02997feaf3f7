"""Scenario discovery: what kind of year misses the plan, and the most likely way to miss it by so much."""
