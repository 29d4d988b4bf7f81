import assert from "node:assert/strict";
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Readable } from "node:stream";
import { rowValue } from "../sealfs/databases/row-value.ts";
import type { Engine, EngineFolders, Row } from "./engine.ts";
import { awaitGone, followNumbers, gather, run, until, whyMissing, withDescendants } from "./processes.ts";

const programs = "/usr/lib/postgresql/15/bin";
const numberOf = (option: string): number => Number(spawnSync("id", [option, "postgres"], { encoding: "utf8" }).stdout);
const owner = { uid: numberOf("-u"), gid: numberOf("-g") };
const program = (name: string): string => join(programs, name);
const cluster = ({ data }: EngineFolders): string => join(data, "cluster");
const asOwner = ({ scratch }: EngineFolders): SpawnOptions => ({
  ...owner,
  cwd: scratch,
  env: { PATH: process.env.PATH, LC_ALL: "C" },
});
const sqlArgs = ({ scratch }: EngineFolders): string[] => [
  ...["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", scratch, "-U", "postgres", "-d", "postgres"],
];

/** Only a UNIX socket is listened on. Checkpoints and cleaning come often enough for a test of seconds. */
const settings = [
  ...["listen_addresses=", "fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=16MB"],
  ...["checkpoint_timeout=30s", "max_wal_size=32MB", "autovacuum_naptime=1s", "bgwriter_delay=20ms"],
];

async function startServer(folders: EngineFolders): Promise<{ child: ChildProcess; messages: () => string }> {
  const all = [...settings, `unix_socket_directories=${folders.scratch}`].flatMap((setting) => ["-c", setting]);
  const child = spawn(program("postgres"), ["-D", cluster(folders), ...all], {
    ...asOwner(folders),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const messages = gather(child.stderr);
  await until(async () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`postgres ended: ${messages()}`);
    return (await exitCodeOf(program("pg_isready"), ["-q", "-h", folders.scratch])) === 0;
  }, "postgres answers");
  return { child, messages };
}

async function exitCodeOf(command: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(command, args, { stdio: "ignore" });
  await once(child, "exit");
  return child.exitCode;
}

const sql = (folders: EngineFolders, text: string): Promise<string> =>
  run(program("psql"), [...sqlArgs(folders), "-c", text], asOwner(folders));

/** Row after row, with a total that must fit them; a line comes back only after the commit before it. */
function* statements(first: number): Iterable<string> {
  for (let row = first; ; row++) {
    const value = rowValue(row).toString("hex");
    yield `BEGIN; INSERT INTO rows VALUES (${row}, '\\x${value}'); UPDATE total SET rows = ${row}; COMMIT;\n\\echo ${row}\n`;
    if (row % 40 === 0) yield "CHECKPOINT;\n";
  }
}

export const postgresql: Engine = {
  name: "PostgreSQL",
  whyMissing: whyMissing(...["initdb", "postgres", "psql", "pg_isready", "pg_amcheck", "pg_checksums"].map(program)),
  owner,

  async prepare(folders) {
    const args = ["-D", cluster(folders), "-U", "postgres", "-A", "trust", "-k", "-E", "UTF8", "--locale=C"];
    await run(program("initdb"), args, asOwner(folders));
    const { child } = await startServer(folders);
    await sql(
      folders,
      `CREATE TABLE rows (row integer PRIMARY KEY, value bytea NOT NULL);
       CREATE INDEX ON rows (md5(value)); CREATE TABLE total (rows integer); INSERT INTO total VALUES (0);
       CREATE EXTENSION amcheck;`,
    );
    const ended = once(child, "close");
    child.kill("SIGINT");
    await ended;
  },

  async write(folders, first) {
    const { child } = await startServer(folders);
    const psql = spawn(program("psql"), sqlArgs(folders), {
      ...asOwner(folders),
      stdio: ["pipe", "pipe", "ignore"],
    });
    psql.stdin.on("error", () => {});
    Readable.from(statements(first)).pipe(psql.stdin);
    let killed: readonly number[] = [];
    const ended = Promise.all([once(child, "close"), once(psql, "close")]);
    return {
      safe: followNumbers(psql),
      kill() {
        killed = child.pid === undefined ? [] : withDescendants(child.pid);
        for (const pid of killed)
          try {
            process.kill(pid, "SIGKILL");
          } catch {
            // It has ended by itself.
          }
      },
      ended: ended.then(() => awaitGone(killed)),
    };
  },

  async read(folders) {
    const { child, messages } = await startServer(folders);
    const rows = (await sql(folders, "SELECT row, encode(value, 'hex') FROM rows ORDER BY row"))
      .split("\n")
      .slice(0, -1)
      .map((line): Row => {
        const [row, value = ""] = line.split("|");
        return [Number(row), Buffer.from(value, "hex")];
      });
    assert.equal(Number(await sql(folders, "SELECT rows FROM total")), rows.length);
    const amcheck = ["-h", folders.scratch, "-U", "postgres", "--heapallindexed", "-t", "rows", "-t", "total"];
    await run(program("pg_amcheck"), [...amcheck, "postgres"], asOwner(folders));
    const ended = once(child, "close");
    child.kill("SIGINT");
    await ended;
    assert.doesNotMatch(messages(), /PANIC|invalid page|checksum/);
    await run(program("pg_checksums"), ["--check", "-D", cluster(folders)], asOwner(folders));
    return rows;
  },
};
