"""Inversion and edits by text in the host: runs, attention, words, fingerprints, files, and maps finished afterwards."""
