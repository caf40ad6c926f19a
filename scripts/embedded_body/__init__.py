"""The parts of build_body.py: where the body comes from, and what is done to it."""
