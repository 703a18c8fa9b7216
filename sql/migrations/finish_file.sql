-- Write down that a file was applied whole, with its text. Called by: migrations/journal.py.
insert into pgstrata.file (object, version, file, phase, checksum, text)
values (%(object)s, %(version)s, %(file)s, %(phase)s, %(checksum)s, %(text)s)
