"""The operator process: kopf as informer, work queue, health, lifetime. kopf is imported here alone."""
