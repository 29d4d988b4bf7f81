import { alone, type Fields, form, formType, http, type Request, read, run, withClause, write } from "./request.ts";

const rootPassword = "pw & 1é";
const basic = (user: string, password: string): Fields => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});
const asRoot = basic("root", rootPassword);
const asReader = basic("reader", "r");
const asNobody = basic("nobody", "n");
const asRootIn = { u: "root", p: rootPassword };

const shown = (...rows: readonly (readonly [string, boolean])[]): string => {
  const values = rows.length === 0 ? "" : `,"values":${JSON.stringify(rows)}`;
  return `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name","encrypted"]${values}}]}]}\n`;
};
const root = (q: string): Request => form({ q }, {}, asRoot);
/** What plain influxd says of the statement without its clause, it being the clause that the instance names. */
const forbidden = (q: string, user: string): string =>
  `{"error":"error authorizing query: ${user} not authorized to execute statement '${q}', requires admin privilege"}\n`;

/** To an influxd with authentication: who may do what, and what the others are told. */
export const userRequests: readonly Request[] = [
  http("GET", "/ping"),
  run("SHOW DATABASES"),
  run("CREATE USER reader WITH PASSWORD 'r'"),
  withClause("CREATE DATABASE enc WITH ENCRYPTION ON", "CREATE DATABASE enc", (q) => form({ q })),
  write("m v=1"),
  run(`CREATE USER root WITH PASSWORD '${rootPassword}' WITH ALL PRIVILEGES`),
  run("SHOW DATABASES"),
  form({ q: "SHOW USERS" }),
  withClause("CREATE DATABASE enc WITH ENCRYPTION ON", "CREATE DATABASE enc", (q) => form({ q })),
  root("SHOW USERS"),
  { ...root("SHOW DATABASES"), body: shown() },
  run("SHOW USERS", asRootIn),
  form({ q: "SHOW USERS", ...asRootIn }),
  form({ q: "SHOW USERS" }, asRootIn),
  run("SHOW USERS", { u: "root", p: "wrong" }),
  run("SHOW USERS", { u: "root" }),
  run("SHOW USERS", { u: "unknown", p: "x" }),
  run("SHOW USERS", {}, basic("root", "wrong")),
  run("SHOW USERS", {}, { Authorization: "Basic !!!" }),
  run("SHOW USERS", {}, { Authorization: "Token root:x" }),
  run("SHOW USERS", {}, { Authorization: "Bearer not.a.token" }),
  run("SHOW USERS", { u: "unknown", p: "x" }, asRoot),
  withClause("CREATE DATABASE enc WITH ENCRYPTION ON", "CREATE DATABASE enc", root),
  withClause("CREATE DATABASE other ENCRYPTION ON", "CREATE DATABASE other", (q) => run(q, asRootIn)),
  root("CREATE DATABASE noenc; CREATE USER reader WITH PASSWORD 'r'; CREATE USER nobody WITH PASSWORD 'n'"),
  root("GRANT READ ON enc TO reader; GRANT WRITE ON noenc TO reader"),
  // influxd tells them in any order.
  { ...root("SHOW GRANTS FOR reader"), same: "shape" },
  { ...root("SHOW DATABASES"), body: shown(["enc", true], ["other", true], ["noenc", false]) },
  { ...run("SHOW DATABASES", {}, asReader), body: shown(["enc", true], ["noenc", false]) },
  { ...run("SHOW DATABASES", {}, asNobody), body: shown() },
  {
    ...run("SHOW DATABASES", asRootIn, { "Accept-Encoding": "gzip" }),
    body: shown(["enc", true], ["other", true], ["noenc", false]),
  },
  write("m v=1 1000000000", {}, asRoot),
  write("m v=2 2000000000", asRootIn),
  write("m v=3 3000000000", {}, asReader),
  write("m v=4 4000000000", { db: "noenc" }, asReader),
  write("m v=5 5000000000", {}, asNobody),
  write("m v=6 6000000000", {}, basic("root", "wrong")),
  write("m v=7 7000000000"),
  write("m v=8 8000000000", { db: "nope" }, asRoot),
  read("SELECT * FROM m", {}, asReader),
  read("SELECT * FROM m", { db: "noenc" }, asReader),
  read("SELECT * FROM enc..m; SELECT * FROM noenc..m", {}, asReader),
  read("SELECT * FROM m", {}, asNobody),
  read("SELECT * FROM m", { u: "reader", p: "r", pretty: "true" }),
  read("SELECT * FROM m", {}, { ...asReader, Accept: "application/csv" }),
  read("SELECT * FROM m", {}, { ...asNobody, Accept: "application/csv" }),
  read("SELECT * INTO enc..n FROM m", {}, asReader),
  read("SHOW MEASUREMENTS", {}, asReader),
  run("SHOW USERS", {}, asReader),
  run("DROP DATABASE enc", {}, asReader),
  run("DROP SHARD 1", {}, asReader),
  run("DROP RETENTION POLICY autogen ON enc", {}, asReader),
  run("CREATE DATABASE x", {}, asReader),
  alone(
    form({ q: "CREATE DATABASE x WITH ENCRYPTION ON" }, {}, asReader),
    403,
    forbidden("CREATE DATABASE x WITH ENCRYPTION ON", "reader"),
  ),
  alone(
    form({ q: "ALTER DATABASE enc ENCRYPTION OFF" }, {}, asReader),
    403,
    forbidden("ALTER DATABASE enc ENCRYPTION OFF", "reader"),
  ),
  run("SET PASSWORD FOR reader = 'other'", {}, asReader),
  run("GRANT ALL PRIVILEGES TO reader", {}, asReader),
  http("POST", "/query", { "Content-Type": formType, ...asReader }, "q=SHOW+GRANTS+FOR+reader"),
  root("REVOKE READ ON enc FROM reader"),
  read("SELECT * FROM m", {}, asReader),
  root("SET PASSWORD FOR reader = 'new'"),
  run("SHOW DATABASES", {}, asReader),
  { ...run("SHOW DATABASES", {}, basic("reader", "new")), body: shown(["noenc", false]) },
  root("DROP USER reader"),
  run("SHOW DATABASES", {}, basic("reader", "new")),
  http("GET", "/debug/requests?seconds=0", asNobody),
  http("OPTIONS", "/query"),
  http("HEAD", "/query?q=SHOW+USERS"),
  root("DROP DATABASE enc; DROP DATABASE other; DROP DATABASE noenc"),
  { ...root("SHOW DATABASES"), body: shown() },
];
