"""The typed config groups, one file a group. The text below each option is what `--help` says of it."""
