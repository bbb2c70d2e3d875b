"""Facegate run whole on films and simulated hardware: the demo, trials, and benchmarks."""
