"""The book: papermill over the notebooks, then jupyter-book."""

from __future__ import annotations

from serab_lib.book.build import build

__all__ = ["build"]
