BEGIN TRANSACTION;
CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        turns INTEGER NOT NULL DEFAULT 0,
        tokens INTEGER NOT NULL DEFAULT 0,
        newest REAL NOT NULL DEFAULT 0,
        UNIQUE (scope, name)
    );
INSERT INTO "chats" VALUES(1,'/home/me/a.ipynb','main',2,12,1700000001.75);
INSERT INTO "chats" VALUES(2,'/home/me/a.ipynb','side',0,0,0.0);
CREATE TABLE facts (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (namespace, key)
    );
INSERT INTO "facts" VALUES('keeps_ids','example.org','false',1700000000.5);
CREATE TABLE growth (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        turn INTEGER NOT NULL REFERENCES turns (seq),
        field TEXT NOT NULL CHECK (field IN ('text', 'items')),
        keep INTEGER NOT NULL,
        tail TEXT NOT NULL
    );
INSERT INTO "growth" VALUES(1,3,'text',0,'It');
INSERT INTO "growth" VALUES(2,3,'items',0,'[]');
INSERT INTO "growth" VALUES(3,3,'text',2,' is 6');
CREATE TABLE records (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        chat INTEGER NOT NULL REFERENCES chats (id),
        kind TEXT NOT NULL CHECK (kind IN ('turn', 'head', 'fork')),
        key TEXT,
        at REAL NOT NULL,
        moves_head INTEGER NOT NULL
    );
INSERT INTO "records" VALUES(1,1,'turn','a',1700000000.5,1);
INSERT INTO "records" VALUES(2,2,'fork','a',0.0,1);
INSERT INTO "records" VALUES(3,1,'turn','b',0.0,0);
INSERT INTO "records" VALUES(4,1,'head','a',3.0,1);
CREATE TABLE turns (
        seq INTEGER PRIMARY KEY REFERENCES records (seq),
        draft INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL,
        parent TEXT,
        response_id TEXT NOT NULL,
        previous_response_id TEXT NOT NULL,
        cell_id TEXT,
        cell_call INTEGER,
        stored INTEGER NOT NULL DEFAULT 1,
        model TEXT NOT NULL,
        host TEXT NOT NULL,
        seconds REAL NOT NULL,
        input_tokens INTEGER,
        output_tokens INTEGER,
        total_tokens INTEGER,
        cached_tokens INTEGER,
        reasoning_tokens INTEGER,
        tools TEXT,
        prompt TEXT NOT NULL,
        input TEXT NOT NULL,
        text TEXT NOT NULL,
        items TEXT NOT NULL
    );
INSERT INTO "turns" VALUES(1,0,'completed',NULL,'resp_a','','cell-1',2,1,'qwen3-max','example.org',1.25,5,7,12,1,2,'{"web_search":3}','What is {n}²?','"What is 7²?"',X'343920EDA0BD','[{"type":"message","content":[{"type":"output_text","text":"49"}]}]');
INSERT INTO "turns" VALUES(3,1,'stopped','a','','resp_a',NULL,NULL,1,'','',0.0,NULL,NULL,NULL,NULL,NULL,NULL,'','[{"role":"user","content":"And 8²?"}]','','');
CREATE INDEX records_by_chat ON records (chat, seq);
CREATE INDEX records_by_key ON records (key);
CREATE INDEX heads_by_chat ON records (chat, seq) WHERE moves_head;
CREATE UNIQUE INDEX turns_once ON records (chat, key) WHERE kind = 'turn';
CREATE INDEX turns_by_parent ON turns (parent);
CREATE INDEX growth_by_turn ON growth (turn, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('chats',2);
INSERT INTO "sqlite_sequence" VALUES('records',4);
INSERT INTO "sqlite_sequence" VALUES('growth',3);
COMMIT;
