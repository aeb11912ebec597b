"""What does not add up: the paper's tables, the release's procedure and the corpora, held against each other."""
