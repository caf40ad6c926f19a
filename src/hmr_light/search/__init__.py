"""Search for networks: a space of them, and trials that are ordinary runs."""
