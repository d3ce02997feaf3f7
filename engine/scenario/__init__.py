"""Scenario files: reading, checking, naming their numbers, drawing their worlds."""
