"""From embeddings to the numbers of the paper: classifiers, protocol, metrics, statistics."""
