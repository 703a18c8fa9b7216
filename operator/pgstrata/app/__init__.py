"""The operator process: kopf as informer, work queue, health, lifetime.

kopf is imported here alone. The way of a change: informer.py (kopf) -> intake.py -> queue.py ->
reconciler.py -> runs.py -> the engine; of a deletion: intake.py -> deletions.py -> runs.py.
work.py puts these together; operator.py is the life around it: election, start, supervision, end.
"""
