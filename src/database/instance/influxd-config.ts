import { readFileSync, statSync } from "node:fs";
import { parse, stringify, TomlError, type TomlTable } from "smol-toml";
import { DatabaseError } from "../errors.ts";

/** Folders and addresses of an influxd that only this machine reaches. */
export interface InfluxdPlaces {
  /** On the volume: meta, data and wal lie in it. */
  readonly dataFolder: string;
  /** Of the port for backups, on loopback. */
  readonly backupPort: number;
  /** Where HTTP is served, from the folder that influxd starts in; undefined: on loopback alone. */
  readonly socketName?: string | undefined;
}

const maxConfigBytes = 256 * 1024;
/** influxd reads a name without regard to case: spelt otherwise it could take the place of one that is fixed here. */
const plainName = /^[a-z0-9_-]+$/;
/** Of tables and the names in them; what lies deeper, such as headers of HTTP, is free. */
const namedLevels = 2;

/** What an influxdb.conf says for influxd to run as it does by itself, but without a log of queries. */
const defaults: TomlTable = {
  "reporting-disabled": true,
  data: { "query-log-enabled": false },
  http: { "log-enabled": false, "max-body-size": 25_000_000 },
  logging: { level: "info" },
};

/**
 * The settings that an operator gives influxd.
 *
 * @throws {DatabaseError} `SETTINGS_INVALID` when the file cannot be read, is not TOML, or has a name that is not in lower case.
 */
export function readInfluxdConfig(file: string): TomlTable {
  const refuse = (what: string): DatabaseError => new DatabaseError("SETTINGS_INVALID", `${file}: ${what}`);
  try {
    const found = statSync(file);
    if (!found.isFile() || found.size > maxConfigBytes) throw refuse(`is no file of at most ${maxConfigBytes} bytes`);
    const settings = parse(readFileSync(file, "utf8"));
    const strange = strangeName(settings, namedLevels);
    if (strange !== undefined) throw refuse(`names are written in lower case, not ${JSON.stringify(strange)}`);
    return settings;
  } catch (cause) {
    if (cause instanceof DatabaseError) throw cause;
    // Only the place: the line itself may hold a secret.
    if (cause instanceof TomlError) throw refuse(`is not TOML: line ${cause.line}, column ${cause.column}`);
    throw refuse(`cannot be read: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

/**
 * The text of an influxdb.conf: the operator's settings, with all that decides where influxd writes and who reaches it in its
 * place. Port 0 for HTTP: the kernel gives a free one, which influxd then tells.
 *
 * @param given - As {@link readInfluxdConfig} gives them.
 */
export function influxdConfig(given: TomlTable, { dataFolder, backupPort, socketName }: InfluxdPlaces): string {
  const loopback = "127.0.0.1";
  const fixed: TomlTable = {
    "bind-address": `${loopback}:${backupPort}`,
    meta: { dir: `${dataFolder}/meta` },
    data: {
      dir: `${dataFolder}/data`,
      "wal-dir": `${dataFolder}/wal`,
      // A file of its own for queries, in later versions: the log on the volume takes them. 1.6 does not know the name.
      "query-log-path": "",
    },
    http: {
      enabled: true,
      "bind-address": `${loopback}:0`,
      "https-enabled": false,
      "unix-socket-enabled": socketName !== undefined,
      ...(socketName === undefined ? {} : { "bind-socket": socketName, "unix-socket-permissions": "0600" }),
      // Standard error, which goes to the log on the volume.
      "access-log-path": "",
    },
    logging: { format: "logfmt", "suppress-logo": true },
  };
  return `${stringify(merged(merged(defaults, given), fixed))}\n`;
}

/** Which of influxd's own doors, apart from HTTP, an operator's settings open: by their tables. */
export function otherDoors(given: TomlTable): readonly string[] {
  return ["graphite", "collectd", "opentsdb", "udp"].filter((name) => {
    const value = given[name];
    const tables = Array.isArray(value) ? value : [value];
    return tables.some((each) => isTable(each) && each.enabled === true);
  });
}

function strangeName(table: TomlTable, levels: number): string | undefined {
  for (const [name, value] of Object.entries(table)) {
    if (!plainName.test(name)) return name;
    const tables = (Array.isArray(value) ? value : [value]).filter(isTable);
    const strange = levels === 1 ? undefined : tables.map((each) => strangeName(each, levels - 1)).find(Boolean);
    if (strange !== undefined) return strange;
  }
  return undefined;
}

/** Tables are merged; whatever else `over` has comes first. */
function merged(under: TomlTable, over: TomlTable): TomlTable {
  const result: TomlTable = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const before = result[name];
    result[name] = isTable(before) && isTable(value) ? merged(before, value) : value;
  }
  return result;
}

function isTable(value: TomlTable[string] | undefined): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}
