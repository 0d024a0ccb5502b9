"""What a map is: palettes, reading and cleaning, and one file a kind of variable (``kinds`` is their table)."""
