"""The benchmark: embeddings, the grid of cells, what a run leaves behind, many machines."""
