"""What is done with trained networks: scores, comparisons over many seeds, and how fast all of it is."""
