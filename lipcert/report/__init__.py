"""The words: what a certificate says to a person, section by section."""
