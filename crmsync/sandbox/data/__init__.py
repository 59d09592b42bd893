"""The records of a new organization: made from a seed, or read from a folder of CSV files."""
