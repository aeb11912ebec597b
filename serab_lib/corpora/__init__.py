"""The corpora: what is known of them, what is on disk, who is in which part."""
