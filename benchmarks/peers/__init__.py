"""Other verifiers, run for comparison."""
