import { Transform, type TransformCallback } from "node:stream";

const header = "name,tags,name";

/**
 * Adds the column `encrypted` to the answers of SHOW DATABASES in InfluxDB's CSV (RFC 4180, lines end in LF):
 *
 *     name,tags,name            name,tags,name,encrypted
 *     databases,,db             databases,,db,true
 *
 * CSV carries no statement numbers, but no other statement answers with this header and rows whose series is `databases`;
 * SHOW MEASUREMENTS has the same header, so that a header waits for the record behind it. SHOW DATABASES with no database
 * is a header alone.
 */
export class EncryptedColumnInCsv extends Transform {
  readonly #isEncrypted: (database: string) => boolean;
  #rest = Buffer.alloc(0);
  #waitingHeader = false;

  constructor(isEncrypted: (database: string) => boolean) {
    super();
    this.#isEncrypted = isEncrypted;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    let start = 0;
    let quoted = false;
    for (let at = 0; at < this.#rest.length; at++) {
      const byte = this.#rest[at];
      if (byte === 0x22) quoted = !quoted;
      if (byte !== 0x0a || quoted) continue;
      this.#record(this.#rest.subarray(start, at));
      start = at + 1;
    }
    this.#rest = Buffer.from(this.#rest.subarray(start));
    callback();
  }

  override _flush(callback: TransformCallback): void {
    if (this.#waitingHeader) this.push(`${header},encrypted\n`);
    this.push(this.#rest);
    callback();
  }

  #record(bytes: Buffer): void {
    const record = bytes.toString("utf8");
    const database = /^databases,,(?:"(?<quoted>(?:[^"]|"")*)"|(?<plain>[^",]*))$/.exec(record)?.groups;
    if (this.#waitingHeader) {
      this.push(database !== undefined || record === "" ? `${header},encrypted\n` : `${header}\n`);
      this.#waitingHeader = false;
    }
    if (record === header) {
      this.#waitingHeader = true;
    } else if (database !== undefined) {
      const name = database.quoted?.replaceAll('""', '"') ?? database.plain ?? "";
      this.push(`${record},${this.#isEncrypted(name)}\n`);
    } else {
      this.push(Buffer.concat([bytes, Buffer.from("\n")]));
    }
  }
}
