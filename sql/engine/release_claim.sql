-- Give an object free, if this resource has it. Called by: engine/claims.py, on deletion.
delete from pgstrata.claim
where
    object = %(object)s
    and cluster = %(cluster)s
    and kind = %(kind)s
    and namespace = %(namespace)s
    and name = %(name)s
    and uid = %(uid)s
