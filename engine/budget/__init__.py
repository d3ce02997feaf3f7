"""The budget: which money makes attainment most likely, and how good that answer is."""
