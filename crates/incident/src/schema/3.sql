-- Version 3: gaps that are closed, and what belongs to a message beside its flags.

-- closed_at: when a run found that the store lacks it no more; null as long as it does. closed_by:
-- that run. annotations: a JSON array of objects of entry, userid (empty: everybody's) and value, an
-- array of bytes. seen_by: a JSON array of the users, other than the owner, who have seen it.
ALTER TABLE gaps ADD COLUMN closed_at INTEGER;
ALTER TABLE gaps ADD COLUMN closed_by INTEGER REFERENCES runs (id);
ALTER TABLE gaps ADD COLUMN annotations TEXT NOT NULL DEFAULT '[]';
ALTER TABLE gaps ADD COLUMN seen_by TEXT NOT NULL DEFAULT '[]';
