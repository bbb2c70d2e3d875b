"""What an installer does at a door: test it, watch it, find out what answers."""
