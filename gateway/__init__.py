"""Facegate: an access-control gateway that knows the people it lets in."""

__version__ = "0.1.0"
