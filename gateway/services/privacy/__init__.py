"""Consent, retention, erasure, access to one's own data, and the record of it all."""
