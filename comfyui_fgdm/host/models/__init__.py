"""Models under the host's memory management: folders, factor files, the embedded family, factors applied to a MODEL."""
