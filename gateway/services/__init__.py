"""Use cases behind the command line and the API."""
