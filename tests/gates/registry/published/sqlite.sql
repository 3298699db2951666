CREATE TABLE IF NOT EXISTS blobs (
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	size INTEGER NOT NULL,
	data BLOB NOT NULL,
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
	leaf_hash BLOB NOT NULL,
	PRIMARY KEY (position)
);;

CREATE TABLE IF NOT EXISTS ledger_head (
	id INTEGER NOT NULL,
	size INTEGER NOT NULL,
	frontier BLOB NOT NULL,
	PRIMARY KEY (id)
);;

CREATE TABLE IF NOT EXISTS ledger_nodes (
	level INTEGER NOT NULL,
	node INTEGER NOT NULL,
	hash BLOB NOT NULL,
	PRIMARY KEY (level, node)
);;

CREATE TABLE IF NOT EXISTS ledger_terms (
	field TEXT NOT NULL,
	value TEXT NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (field, value, position)
);;

CREATE INDEX IF NOT EXISTS ledger_by_type ON ledger (type, position);;

CREATE TRIGGER IF NOT EXISTS blobs_no_insert BEFORE INSERT ON blobs WHEN EXISTS (SELECT 1 FROM blobs WHERE (digest = NEW.digest) OR rowid = NEW.rowid) BEGIN SELECT RAISE(ABORT, 'blobs is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS blobs_no_update BEFORE UPDATE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS blobs_no_delete BEFORE DELETE ON blobs BEGIN SELECT RAISE(ABORT, 'blobs is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_no_insert BEFORE INSERT ON ledger WHEN EXISTS (SELECT 1 FROM ledger WHERE (position = NEW.position) OR rowid = NEW.rowid) BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_no_update BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_no_delete BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_nodes_no_insert BEFORE INSERT ON ledger_nodes WHEN EXISTS (SELECT 1 FROM ledger_nodes WHERE (level = NEW.level AND node = NEW.node) OR rowid = NEW.rowid) BEGIN SELECT RAISE(ABORT, 'ledger_nodes is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_nodes_no_update BEFORE UPDATE ON ledger_nodes BEGIN SELECT RAISE(ABORT, 'ledger_nodes is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_nodes_no_delete BEFORE DELETE ON ledger_nodes BEGIN SELECT RAISE(ABORT, 'ledger_nodes is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_terms_no_insert BEFORE INSERT ON ledger_terms WHEN EXISTS (SELECT 1 FROM ledger_terms WHERE (field = NEW.field AND value = NEW.value AND position = NEW.position) OR rowid = NEW.rowid) BEGIN SELECT RAISE(ABORT, 'ledger_terms is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_terms_no_update BEFORE UPDATE ON ledger_terms BEGIN SELECT RAISE(ABORT, 'ledger_terms is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS ledger_terms_no_delete BEFORE DELETE ON ledger_terms BEGIN SELECT RAISE(ABORT, 'ledger_terms is append-only'); END;;

CREATE TRIGGER IF NOT EXISTS channels_no_delete BEFORE DELETE ON channels BEGIN SELECT RAISE(ABORT, 'a channel is never deleted'); END;;

CREATE TRIGGER IF NOT EXISTS channels_one_step BEFORE UPDATE ON channels WHEN NEW.generation IS NOT OLD.generation + 1 BEGIN SELECT RAISE(ABORT, 'a channel moves one generation at a time'); END;;
