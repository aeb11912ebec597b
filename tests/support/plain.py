"""The program that derives notebooks, which is an extension of the book and no part of the library."""

import importlib.util
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "book" / "_ext" / "plain_notebooks.py"

spec = importlib.util.spec_from_file_location("plain_notebooks", FILE)
plain_notebooks = importlib.util.module_from_spec(spec)
sys.modules["plain_notebooks"] = plain_notebooks
spec.loader.exec_module(plain_notebooks)
