"""The road of one walk-up: sighting, identity, decision, grant; and its supervision."""
