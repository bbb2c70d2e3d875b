"""People in bulk: staff files and photographs in, the same out again."""
