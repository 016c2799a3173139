"""Methods: relaxations that turn a pair and a region into proved bounds, one per file."""
