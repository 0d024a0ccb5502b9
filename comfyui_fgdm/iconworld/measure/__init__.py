"""Measurements of the embedded family on held-out prompts and scenes."""
