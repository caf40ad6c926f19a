"""What a model costs: parameters, multiply-accumulates, inference time."""
