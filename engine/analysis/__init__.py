"""Questions asked of simulated paths: attainment, and what is built on it."""
