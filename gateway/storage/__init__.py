"""Postgres and the local journal."""
