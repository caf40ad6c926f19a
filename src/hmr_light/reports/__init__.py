"""Tables from the runs that MLflow has. A row is one checkpoint of one run, traceable to where it came from."""
