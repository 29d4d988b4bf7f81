import { gzipSync } from "node:zlib";
import { form, http, type Request, read, write } from "./request.ts";

const day = 1_700_000_000;

/** 600 rows of two hosts, an hour apart. */
const cpu = Array.from({ length: 300 }, (_, at) =>
  ["a", "b"]
    .map(
      (host) =>
        `cpu,host=${host},region=${host === "a" ? "east" : "west"} usage=${((at * 37) % 100) / 4},count=${at}i,` +
        `ok=${at % 3 === 0},msg="m${at % 5}" ${day + at * 3600}`,
    )
    .join("\n"),
).join("\n");
const mem = Array.from({ length: 48 }, (_, at) => `mem,host=a free=${1000 + at}i ${(day + at * 1800) * 1000}`).join(
  "\n",
);
const count = (measurement: string): Request => read(`SELECT count(*) FROM ${measurement}`);

/** Line protocol in every form, and what is wrong about it. */
export const writeRequests: readonly Request[] = [
  write(cpu, { precision: "s" }),
  write(cpu, { db: "noenc", precision: "s" }),
  write(mem, { precision: "ms" }),
  write(`p,u=n v=1 ${day}000000000\n`),
  write(`p,u=n2 v=1 ${day}000000000\n`, { precision: "n" }),
  write(`p,u=ns v=1 ${day}000000000\n`, { precision: "ns" }),
  write(`p,u=u v=1 ${day}000000\n`, { precision: "u" }),
  write(`p,u=µ v=1 ${day}000000\n`, { precision: "µ" }),
  write(`p,u=ms v=1 ${day}000\n`, { precision: "ms" }),
  write("p,u=m v=1 28333333\n", { precision: "m" }),
  write("p,u=h v=1 472222\n", { precision: "h" }),
  write(`p,u=xx v=1 ${day}000000000\n`, { precision: "xx" }),
  write(`p,u=empty v=1 ${day}000000000\n`, { precision: "" }),
  read("SELECT * FROM p"),
  write(`all,c=1 v=1 ${day}`, { precision: "s", consistency: "all" }),
  write(`all,c=2 v=1 ${day}`, { precision: "s", consistency: "one", rp: "autogen" }),
  write(`all,c=3 v=1 ${day}`, { precision: "s", consistency: "several" }),
  count("all"),
  write(gzipSync(`zip v=1 ${day}\nzip v=2 ${day + 1}`), { precision: "s" }, { "Content-Encoding": "gzip" }),
  write("zip v=3", {}, { "Content-Encoding": "gzip" }),
  write(gzipSync("zip v=3").subarray(0, 12), {}, { "Content-Encoding": "gzip" }),
  write(`zip v=4 ${day + 4}`, { precision: "s" }, { "Content-Encoding": "identity" }),
  write(`zip v=5 ${day + 5}`, { precision: "s" }, { "Transfer-Encoding": "chunked" }),
  read("SELECT * FROM zip"),
  write(`typed v=1 ${day}`, { precision: "s" }, { "Content-Type": "text/plain" }),
  write(`typed v=1 ${day + 1}`, { precision: "s" }, { "Content-Type": "application/x-www-form-urlencoded" }),
  write(`typed v=1 ${day + 2}`, { precision: "s" }, { "Content-Type": "application/json" }),
  read("SELECT * FROM typed"),
  // What is wrong is told, and the good lines are kept.
  ...[
    `good v=1 ${day}\nbad line here\ngood v=2 ${day + 1}`,
    "garbage",
    "m",
    "m v=",
    "m v=abc",
    "m v=1i,w=2u",
    `m v="open ${day}`,
    "m,a= v=1",
    "m,=a v=1",
    ",a=b v=1",
    "m,a=1 v=1 9999999999999999999",
    "m v=1 notatime",
    "m v=99999999999999999999i",
    "m v=NaN",
    `cpu,host=a usage="text" ${day}`,
    `cpu,host=a usage="text" ${day}\ncpu,host=a usage=1 ${day + 9_000_000}`,
    "m,a=1,a=2 v=1 1",
    "",
    "# a comment",
    "\n\n\n",
    `crlf v=1 ${day}\r\ncrlf v=2 ${day + 1}\r\n`,
    `esc\\ aped\\,m,tag\\ k=va\\,l\\=ue f\\ 1=1.5,s="quo\\"te, \\\\" ${day}`,
    `名前,タグ=値 フィールド="文字列" ${day}`,
    `bool b=t,c=T,d=true,e=f,g=FALSE ${day}`,
    `exp v=1e5,w=-1.5E-3,x=+1 ${day}`,
    "old v=1 -1000000000",
    `time time=1 ${day}`,
    `time,time=x v=1 ${day}`,
    `long v="${"x".repeat(70_000)}" ${day}`,
    `longtag,t=${"x".repeat(66_000)} v=1 ${day}`,
  ].map((lines) => write(lines, { precision: "s" })),
  // influxd repeats the line in a header; the instance puts a space there for each control character.
  ...["m v=\xff\x001", "m v=\x01", "m\x7f"].map((line) => ({
    ask: { ...write(Buffer.from(line, "latin1")).ask, lenient: true },
  })),
  write("m v=1", { db: "" }),
  write("m v=1", { db: "nope" }),
  write("m v=1", { db: "データ" }),
  write("m v=1", { rp: "方針" }),
  write("測定 値="),
  write("m v=1", { db: "nope" }, { Accept: "application/csv" }),
  write("m v=1", { rp: "nope" }),
  http("POST", "/write", {}, "m v=1"),
  http("POST", "/write?db=enc&db=nope", {}, `twice v=1 ${day}`),
  http("GET", "/write?db=enc"),
  http("PUT", "/write?db=enc", {}, "m v=1"),
  http("DELETE", "/write?db=enc"),
  http("HEAD", "/write?db=enc"),
  http("OPTIONS", "/write?db=enc"),
  http("POST", "/write/?db=enc", {}, "m v=1"),
  http("POST", "/write?db=enc&u=some&p=one", {}, `user v=1 ${day}`),
  http("POST", "/write?db=enc&precision=%zz", {}, `escape v=1 ${day}`),
  count("good"),
  count("cpu"),
  count("crlf"),
  read('SELECT * FROM "esc aped,m"'),
  read('SELECT * FROM "名前"'),
  read("SELECT * FROM exp"),
  read("SELECT * FROM bool"),
  read('SELECT * FROM "time"'),
  read("SELECT * FROM long", {}, { "Accept-Encoding": "gzip" }),
  // An endpoint of Prometheus and one of InfluxDB 2: whatever this influxd makes of them.
  http("POST", "/api/v1/prom/write?db=enc", { "Content-Encoding": "snappy" }, "nonsense"),
  http("POST", "/api/v1/prom/read?db=enc", { "Content-Encoding": "snappy" }, "nonsense"),
  http("POST", "/api/v2/write?bucket=enc/autogen", {}, "m v=1"),
  form({ q: "SELECT count(usage) FROM cpu; SELECT count(usage) FROM noenc..cpu" }, { db: "enc" }),
];
