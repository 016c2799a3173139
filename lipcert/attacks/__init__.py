"""What is observed: drifts that are really reached, the lower side of every claim."""
