PRAGMA application_id = 1718382455;
PRAGMA user_version = 1;
CREATE TABLE runs (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  workflow TEXT NOT NULL,
  file TEXT NOT NULL,
  status TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  batch TEXT NOT NULL,
  line INTEGER NOT NULL,
  origin TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL DEFAULT 0,
  steps INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  calls INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  error_kind TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  damage TEXT NOT NULL DEFAULT '',
  since INTEGER NOT NULL DEFAULT 0,
  head TEXT NOT NULL,
  head_large TEXT NOT NULL,
  result TEXT NOT NULL DEFAULT '',
  result_large TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX runs_by_time ON runs (started_at);
CREATE INDEX runs_by_workflow ON runs (workflow, started_at);
CREATE INDEX runs_by_status ON runs (status, started_at);
CREATE INDEX runs_by_user ON runs (user_id, started_at);
CREATE INDEX runs_by_session ON runs (session_id, started_at);
CREATE INDEX runs_by_batch ON runs (batch, line) WHERE batch <> '';
CREATE TABLE turns (
  key INTEGER PRIMARY KEY,
  entry TEXT NOT NULL,
  large TEXT NOT NULL
) STRICT;
CREATE TABLE events (
  key INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  large TEXT NOT NULL
) STRICT;
CREATE TABLE outputs (
  hash TEXT NOT NULL,
  run INTEGER NOT NULL,
  PRIMARY KEY (hash, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX outputs_by_run ON outputs (run);
CREATE TABLE decisions (
  run INTEGER NOT NULL,
  turn TEXT NOT NULL,
  value TEXT NOT NULL,
  by TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (run, turn)
) STRICT, WITHOUT ROWID;
CREATE TABLE exchanges (
  key INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  turn TEXT NOT NULL,
  user_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  agent TEXT NOT NULL,
  at INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  prompt TEXT NOT NULL,
  reply TEXT NOT NULL
) STRICT;
CREATE INDEX exchanges_by_session ON exchanges (user_id, session_id, agent, key);
CREATE INDEX exchanges_by_run ON exchanges (run);
INSERT INTO runs (key, id, workflow, file, status, user_id, session_id, batch, line, origin, started_at, ended_at, steps, failures, calls, input_tokens, output_tokens,
  cost, unpriced, error_kind, error, damage, since, head, head_large, result, result_large)
VALUES (3, '20260102-030405-0badcafe', 'review', '/review.yaml', 'failed', 'ann', 's', '', 0, '', 1767323045000000000, 1767323046000000000, 2, 0, 1, 10, 5,
  7, 0, 'model', 'no answer', '', 1,
  '{"id":"20260102-030405-0badcafe","workflow":"review","file":"/review.yaml","digest":"d","models":["fake/x"],"timeout":60000000000,"user_id":"ann","session_id":"s","started_at":"2026-01-02T03:04:05Z","input":"please","params":{"n":2}}', '',
  '{"output":null,"error":{"kind":"model","message":"no answer","node":"b","path":"/b","file":"review.yaml","line":3,"column":5},"steps":2,"usage":{"a":{"input_tokens":10,"output_tokens":5,"calls":1,"cost":7}},"nodes":{"a":{"output":"ready","status":"completed","visits":1}},"duration":1000000000}', '');
INSERT INTO turns (key, entry, large) VALUES
  (12884901888, '{"turn":"/a","finished":{"number":1,"output":"old","status":"completed","visits":1,"tally":{"steps":1}}}', ''),
  (12884901889, '{"turn":"/","cursor":{"state":{"next":1,"prev":"ready"},"attempt":1,"pause":"2026-01-02T03:04:06Z","counts":[1,0],"tally":{"steps":1},"names":{"a":{"output":"ready","status":"completed","visits":1}}}}', ''),
  (12884901890, '{"turn":"/a","name":"a","finished":{"number":2,"output":"ready","status":"completed","visits":1,"caught":true,"error":{"kind":"tool","message":"broken"},"tally":{"steps":1,"failures":1,"usage":{"a":{"input_tokens":10,"output_tokens":5,"calls":1,"cost":7}}}}}', '');
INSERT INTO events (key, event, large) VALUES
  (12884901889, '{"seq":1,"time":"2026-01-02T03:04:05Z","run_id":"20260102-030405-0badcafe","user_id":"ann","session_id":"s","event":"workflow_started","workflow":"review","input":"please"}', ''),
  (12884901890, '{"seq":2,"time":"2026-01-02T03:04:05.5Z","run_id":"20260102-030405-0badcafe","user_id":"ann","session_id":"s","event":"run_completed","node":"a","path":"/a","turn":"/a","visit":1,"kind":"agent","sub_run_id":"x","model":"fake/x","usage":{"input_tokens":10,"cached_tokens":0,"output_tokens":5,"reasoning_tokens":0,"cost_usd":0.0000015,"calls":1,"cache_hits":0},"duration_ms":3}', '');
INSERT INTO decisions (run, turn, value, by, at) VALUES (3, '/ok', 'true', 'ann', 1767323045000000000);
INSERT INTO exchanges (key, run, turn, user_id, session_id, agent, at, tokens, prompt, reply) VALUES (1, 3, '/a', 'ann', 's', 'writer', 1767323045000000000, 4, 'hi', 'hello');
