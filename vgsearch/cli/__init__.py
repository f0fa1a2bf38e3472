"""The command line: each command parses, loads, calls one function and prints."""
