"""Corpora and checkpoints from their own sources: resumed, verified, safely unpacked."""
