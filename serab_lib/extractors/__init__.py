"""Frozen feature extractors: one file a family, and a registry of names."""
