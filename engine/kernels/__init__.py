"""Compiled kernels: NumPy and Numba only, no labels, files or classes of the layers above."""
