"""The command line: run, plan, apply, status."""
