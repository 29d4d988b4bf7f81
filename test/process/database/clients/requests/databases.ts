import { alone, form, multipart, type Request, read, run, withClause } from "./request.ts";

const done = '{"results":[{"statement_id":0}]}\n';

function databases(...rows: readonly (readonly [string, boolean])[]): string {
  const values = rows.length === 0 ? "" : `,"values":${JSON.stringify(rows)}`;
  return `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name","encrypted"]${values}}]}]}\n`;
}

const two = databases(["enc", true], ["noenc", false]);
const many = databases(
  ["enc", true],
  ["noenc", false],
  ["30d", true],
  ["in form", true],
  ["b", true],
  ["c", false],
  ["p", false],
  ["off", false],
);
const pretty = `${JSON.stringify(JSON.parse(two), null, 4)}\n`;
const statement = (q: string): Request => run(q);

/** An error of the one statement of a request, which only the instance can give. */
function refused(q: string, message: string): Request {
  return alone(run(q), 200, `${JSON.stringify({ results: [{ statement_id: 0, error: message }] })}\n`);
}

/** Databases are made, shown and refused. After it there are `enc`, which is encrypted, and `noenc`, which is not. */
export const databaseRequests: readonly Request[] = [
  { ...run("SHOW DATABASES"), body: databases() },
  withClause("CREATE DATABASE enc WITH ENCRYPTION ON", "CREATE DATABASE enc", statement),
  run("CREATE DATABASE noenc"),
  { ...run("SHOW DATABASES"), body: two },
  { ...read("show databases"), body: two },
  { ...form({ q: "SHOW DATABASES" }), body: two },
  { ...multipart({ q: "SHOW DATABASES" }), body: two },
  { ...run("SHOW DATABASES", { pretty: "true" }), body: pretty },
  { ...run("SHOW DATABASES", { pretty: "1" }), body: two },
  { ...run("SHOW DATABASES", { chunked: "true" }), body: two },
  { ...run("SHOW DATABASES", { chunked: "true", chunk_size: "1" }), body: two },
  { ...run("SHOW DATABASES", { epoch: "ns" }), body: two },
  { ...run("SHOW DATABASES", {}, { "Accept-Encoding": "gzip" }), body: two },
  { ...run("SHOW DATABASES", {}, { "Accept-Encoding": "gzip, deflate, br" }), body: two },
  { ...run("SHOW DATABASES", { pretty: "true" }, { "Accept-Encoding": "gzip" }), body: pretty },
  {
    ...run("SHOW DATABASES", {}, { Accept: "application/csv" }),
    body: "name,tags,name,encrypted\ndatabases,,enc,true\ndatabases,,noenc,false\n",
  },
  {
    ...run("SHOW DATABASES", { chunked: "true" }, { Accept: "text/csv" }),
    body: "name,tags,name,encrypted\ndatabases,,enc,true\ndatabases,,noenc,false\n",
  },
  run("SHOW DATABASES", {}, { Accept: "application/x-msgpack" }),
  run("SHOW MEASUREMENTS ON noenc", {}, { Accept: "application/csv" }),
  {
    ...run("SHOW DATABASES; SHOW DATABASES"),
    body: `{"results":[${[0, 1]
      .map((id) => two.slice(12, -3).replace('"statement_id":0', `"statement_id":${id}`))
      .join(",")}]}\n`,
  },
  { ...form({ q: "SHOW DATABASES;" }), body: two },
  { ...form({ q: " ;; SHOW DATABASES ; " }), body: two },
  run("CREATE DATABASE enc"),
  withClause("CREATE DATABASE enc ENCRYPTION ON", "CREATE DATABASE enc", statement),
  withClause("create database noenc with encryption off", "create database noenc", statement),
  run('CREATE DATABASE "30d" WITH DURATION 30d'),
  run('DROP DATABASE "30d"'),
  withClause(
    'CREATE DATABASE "30d" encryption on WITH NAME rp DURATION 30d REPLICATION 1 SHARD DURATION 1d',
    'CREATE DATABASE "30d" WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME rp',
    statement,
  ),
  run('SHOW RETENTION POLICIES ON "30d"'),
  withClause('CREATE DATABASE "in form" WITH ENCRYPTION ON', 'CREATE DATABASE "in form"', (q) => form({ q })),
  withClause("CREATE DATABASE b WITH ENCRYPTION ON", "CREATE DATABASE b", (q) => multipart({ q })),
  withClause("/* c */ CREATE -- d\n DATABASE c WITH ENCRYPTION OFF", "CREATE DATABASE c", (q) => form({ q })),
  withClause(
    "CREATE DATABASE p; CREATE DATABASE off WITH ENCRYPTION OFF; SHOW MEASUREMENTS ON p",
    "CREATE DATABASE p; CREATE DATABASE off; SHOW MEASUREMENTS ON p",
    (q) => form({ q }),
  ),
  { ...run("SHOW DATABASES"), body: many },
  { ...run("SHOW DATABASES", {}, { "Accept-Encoding": "gzip" }), body: many },
  alone(run('ALTER DATABASE "off" ENCRYPTION OFF'), 200, done),
  refused(
    "CREATE DATABASE noenc WITH ENCRYPTION ON",
    'database "noenc" exists already and is not encrypted: ALTER DATABASE … ENCRYPTION ON converts it',
  ),
  refused(
    "CREATE DATABASE enc WITH ENCRYPTION OFF",
    'database "enc" exists already and is encrypted: ALTER DATABASE … ENCRYPTION OFF converts it',
  ),
  refused("CREATE DATABASE _internal WITH ENCRYPTION ON", 'database "_internal" can\'t be encrypted'),
  refused('CREATE DATABASE "a/b" WITH ENCRYPTION ON', "invalid name"),
  refused("ALTER DATABASE nope ENCRYPTION ON", "database not found: nope"),
  // Spellings that neither takes are refused by influxd itself, in its words.
  ...[
    "CREATE DATABASE x WITH ENCRYPTION",
    "CREATE DATABASE x WITH ENCRYPTION MAYBE",
    "CREATE DATABASE x ENCRYPTED",
    "CREATE DATABASE x WITH",
    "CREATE DATABASE x WITH DURATION",
    "CREATE DATABASE WITH ENCRYPTION ON",
    "ALTER DATABASE enc",
    "ALTER DATABASE enc ENCRYPTION",
    "CREATE DATABASE",
    "CREATE DATABASE 1abc",
    'CREATE DATABASE "x',
    "CREATE DATABASE x; SELECT",
    "SHOW DATABASE",
    "SHOW DATABASES WITH",
    "CREATE DATABASE x WITH REPLICATION 0",
    "CREATE DATABASE x WITH DURATION 1m",
    'CREATE DATABASE ""',
    'CREATE DATABASE ".."',
    "DROP DATABASE",
  ].map((q) => run(q)),
  run("DROP DATABASE nope"),
  run('DROP DATABASE "30d"; DROP DATABASE "in form"; DROP DATABASE b'),
  form({ q: "DROP DATABASE c; DROP DATABASE p; DROP DATABASE off" }),
  { ...run("SHOW DATABASES"), body: two },
];
