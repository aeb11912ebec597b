"""The book: what its notebooks show, and how papermill and jupyter-book make a site of them."""
