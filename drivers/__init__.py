"""Cameras, door hardware, and simulators of both."""
