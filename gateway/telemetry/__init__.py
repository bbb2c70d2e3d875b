"""Logs and clocks."""
