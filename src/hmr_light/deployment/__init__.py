"""A checkpoint → a file for another runtime, which has passed a comparison with the model or is not there."""
