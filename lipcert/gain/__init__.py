"""How much operations can enlarge distances."""
