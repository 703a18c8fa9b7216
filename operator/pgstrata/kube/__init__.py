"""Talking to Kubernetes: calls, object store, status, events, lease.

`kubernetes` is imported here alone.
"""
