"""The embedded family: networks, recipes, training of its parts, files."""
