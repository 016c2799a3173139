"""What is claimed, on what evidence, and how it is stored."""
