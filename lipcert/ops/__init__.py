"""Operations: one file each, each a value of a kind that states facts (see `kinds`)."""
