-- Make an object this resource's to manage. Called by: engine/claims.py, behind the fence.
insert into pgstrata.claim as c (object, cluster, kind, namespace, name, uid)
values (%(object)s, %(cluster)s, %(kind)s, %(namespace)s, %(name)s, %(uid)s)
on conflict (object) do update
set
    cluster = excluded.cluster,
    kind = excluded.kind,
    namespace = excluded.namespace,
    name = excluded.name,
    uid = excluded.uid,
    claimed_at = clock_timestamp()
