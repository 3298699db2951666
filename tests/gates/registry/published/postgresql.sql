CREATE TABLE IF NOT EXISTS blobs (
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	size INTEGER NOT NULL,
	data BYTEA NOT NULL,
	PRIMARY KEY (digest)
);;

CREATE TABLE IF NOT EXISTS channels (
	channel TEXT NOT NULL,
	stage TEXT NOT NULL,
	digest TEXT NOT NULL,
	generation INTEGER NOT NULL,
	PRIMARY KEY (channel, stage)
);;

CREATE TABLE IF NOT EXISTS ledger (
	position INTEGER NOT NULL,
	time TEXT NOT NULL,
	type TEXT NOT NULL,
	actor TEXT NOT NULL,
	payload TEXT NOT NULL,
	leaf_hash BYTEA NOT NULL,
	PRIMARY KEY (position)
);;

CREATE TABLE IF NOT EXISTS ledger_head (
	id INTEGER NOT NULL,
	size INTEGER NOT NULL,
	frontier BYTEA NOT NULL,
	PRIMARY KEY (id)
);;

CREATE TABLE IF NOT EXISTS ledger_nodes (
	level INTEGER NOT NULL,
	node INTEGER NOT NULL,
	hash BYTEA NOT NULL,
	PRIMARY KEY (level, node)
);;

CREATE TABLE IF NOT EXISTS ledger_terms (
	field TEXT NOT NULL,
	value TEXT NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (field, value, position)
);;

CREATE INDEX IF NOT EXISTS ledger_by_type ON ledger (type, position);;

CREATE OR REPLACE FUNCTION relgate_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;;

CREATE OR REPLACE FUNCTION relgate_one_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.generation IS DISTINCT FROM OLD.generation + 1 THEN RAISE EXCEPTION 'a channel moves one generation at a time'; END IF; RETURN NEW; END $$;;

CREATE OR REPLACE TRIGGER channels_no_delete BEFORE DELETE ON channels FOR EACH ROW EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER channels_one_step BEFORE UPDATE ON channels FOR EACH ROW EXECUTE FUNCTION relgate_one_step();;

CREATE OR REPLACE TRIGGER blobs_no_change BEFORE UPDATE OR DELETE ON blobs FOR EACH ROW EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER blobs_no_truncate BEFORE TRUNCATE ON blobs FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_nodes_no_change BEFORE UPDATE OR DELETE ON ledger_nodes FOR EACH ROW EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_nodes_no_truncate BEFORE TRUNCATE ON ledger_nodes FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_terms_no_change BEFORE UPDATE OR DELETE ON ledger_terms FOR EACH ROW EXECUTE FUNCTION relgate_append_only();;

CREATE OR REPLACE TRIGGER ledger_terms_no_truncate BEFORE TRUNCATE ON ledger_terms FOR EACH STATEMENT EXECUTE FUNCTION relgate_append_only();;
