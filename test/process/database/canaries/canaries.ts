import { randomBytes } from "node:crypto";
import type { InstanceInTest } from "../instance/served-instance.ts";

/** All that a database of these tests is called and holds, each a text that stands nowhere else in the world. */
export interface Canaries {
  readonly database: string;
  readonly policy: string;
  readonly measurement: string;
  readonly tagKey: string;
  readonly fieldKey: string;
  readonly user: string;
  readonly password: string;
  readonly query: string;
}

const canary = (what: string): string => `cnry${what}${randomBytes(8).toString("hex")}`;

export function newCanaries(): Canaries {
  return {
    database: canary("db"),
    policy: canary("rp"),
    measurement: canary("ms"),
    tagKey: canary("tk"),
    fieldKey: canary("fk"),
    user: canary("us"),
    password: canary("pw"),
    query: canary("cq"),
  };
}

/** The first Monday of shards of a week each. */
const firstSecond = 1_700_438_400;
const weekSeconds = 604_800;

/** A database with its canaries in all places that InfluxDB has for texts. Values of tags and fields are added by {@link write}. */
export class DatabaseOfCanaries {
  readonly names: Canaries = newCanaries();
  readonly #values = new Map<string, string>();
  readonly #instance: InstanceInTest;
  readonly #encrypted: boolean;
  #points = 0;

  constructor(instance: InstanceInTest, encrypted: boolean) {
    this.#instance = instance;
    this.#encrypted = encrypted;
  }

  /** What lies in files of data, by what it is. */
  get content(): ReadonlyMap<string, string> {
    const { measurement, tagKey, fieldKey } = this.names;
    return new Map([["measurement", measurement], ["tag key", tagKey], ["field key", fieldKey], ...this.#values]);
  }

  /** All of it. */
  get all(): ReadonlyMap<string, string> {
    return new Map([...Object.entries(this.names), ...this.content]);
  }

  get points(): number {
    return this.#points;
  }

  async create(): Promise<void> {
    const { database, policy, measurement, fieldKey, user, password, query } = this.names;
    await this.#instance.query(
      [
        `CREATE DATABASE "${database}"${this.#encrypted ? " WITH ENCRYPTION ON" : ""}`,
        `CREATE RETENTION POLICY "${policy}" ON "${database}" DURATION INF REPLICATION 1 SHARD DURATION 1w DEFAULT`,
        `CREATE USER "${user}" WITH PASSWORD '${password}'`,
        `GRANT ALL ON "${database}" TO "${user}"`,
        `CREATE CONTINUOUS QUERY "${query}" ON "${database}" BEGIN SELECT last("${fieldKey}") INTO "${measurement}_last" FROM "${measurement}" GROUP BY time(10m) END`,
      ].join("; "),
    );
  }

  /** One point in each of some shards; its texts are new ones. */
  async write(what: string, shards = 2): Promise<void> {
    const { database, measurement, tagKey, fieldKey } = this.names;
    for (let shard = 0; shard < shards; shard++) {
      const [tag, field] = [canary("tv"), canary("fv")];
      this.#values.set(`tag value ${what} ${shard}`, tag).set(`field value ${what} ${shard}`, field);
      this.#points += 1;
      const second = firstSecond + shard * weekSeconds + this.#points;
      const line = `${measurement},${tagKey}=${tag} ${fieldKey}="a text with ${field} in it" ${second}000000000`;
      const status = await this.#instance.write(database, line);
      if (status !== 204) throw new Error(`the write was answered with ${status}`);
    }
  }

  /** How many points it has by its own count. */
  async count(): Promise<number> {
    const { database, policy, measurement, fieldKey } = this.names;
    const text = await this.#instance.query(
      `SELECT count("${fieldKey}") FROM "${database}"."${policy}"."${measurement}"`,
    );
    return Number(/"values":\[\["[^"]*",(\d+)\]/.exec(text)?.[1] ?? 0);
  }
}
