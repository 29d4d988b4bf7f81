import { Transform, type TransformCallback } from "node:stream";

const quote = 0x22;
const backslash = 0x5c;
const open = new Set([0x7b, 0x5b]);
const close = new Set([0x7d, 0x5d]);
const blank = new Set([0x20, 0x09, 0x0a, 0x0d]);

interface Level {
  readonly isArray: boolean;
  /** In an object: the name whose value comes. */
  name: string;
  /** How many values are complete. */
  count: number;
  /** An object: whether a name comes next. */
  wantsName: boolean;
  /** The whitespace behind the opening bracket. */
  indent: string;
  /** An array: its first value, if a string. An object: what was found under "statement_id" and "name". */
  firstString?: string;
  statement?: string;
  series?: string;
}

/**
 * Adds the column `encrypted` to the answers of SHOW DATABASES in InfluxDB's JSON, on its way through: compact, pretty, or a
 * document for each chunk. All other bytes pass as they are, and nothing is kept but the path to the current place.
 *
 * The shape is `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[["db"],…]}]}]}`;
 * InfluxDB writes `statement_id` and `name` before what they decide about.
 *
 * @param statements - The `statement_id`s of SHOW DATABASES.
 */
export class EncryptedColumnInJson extends Transform {
  readonly #statements: ReadonlySet<string>;
  readonly #isEncrypted: (database: string) => boolean;
  readonly #path: Level[] = [];
  #output: Buffer[] = [];
  /** The text of the string or plain value being read; undefined between values. */
  #scalar: number[] | undefined;
  #inString = false;
  #escaped = false;

  constructor(statements: readonly number[], isEncrypted: (database: string) => boolean) {
    super();
    this.#statements = new Set(statements.map(String));
    this.#isEncrypted = isEncrypted;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    let copied = 0;
    for (let at = 0; at < chunk.length; at++) {
      const addition = this.#take(chunk[at] ?? 0);
      if (addition === undefined) continue;
      // The addition goes behind the array's last value, before any whitespace that precedes the bracket.
      this.#output.push(chunk.subarray(copied, at), Buffer.from(addition));
      copied = at;
    }
    this.#output.push(chunk.subarray(copied));
    this.push(Buffer.concat(this.#output));
    this.#output = [];
    callback();
  }

  /** Looks at one byte; returns what has to be written before it. */
  #take(byte: number): string | undefined {
    if (this.#inString) {
      if (byte === quote && !this.#escaped) this.#inString = false;
      this.#escaped = byte === backslash && !this.#escaped;
      this.#scalar?.push(byte);
      return undefined;
    }
    const endsScalar =
      this.#scalar !== undefined && (blank.has(byte) || byte === 0x2c || byte === 0x3a || close.has(byte));
    const addition = endsScalar ? this.#endScalar() : undefined;
    const level = this.#path.at(-1);
    if (blank.has(byte)) {
      if (level !== undefined && level.count === 0 && level.name === "") level.indent += String.fromCharCode(byte);
      return addition;
    }
    if (open.has(byte)) {
      const isArray = byte === 0x5b;
      this.#path.push({ isArray, name: "", count: 0, wantsName: !isArray, indent: "" });
    } else if (close.has(byte)) {
      this.#path.pop();
      const parent = this.#path.at(-1);
      if (parent !== undefined) parent.count += 1;
    } else if (byte === 0x2c) {
      if (level !== undefined) level.wantsName = !level.isArray;
    } else if (byte !== 0x3a) {
      this.#scalar = [byte];
      this.#inString = byte === quote;
    }
    return addition;
  }

  #endScalar(): string | undefined {
    const text = Buffer.from(this.#scalar ?? []).toString("utf8");
    this.#scalar = undefined;
    const level = this.#path.at(-1);
    if (level === undefined) return undefined;
    const value = text.startsWith('"') ? parsed(text) : text;
    if (level.wantsName) {
      level.name = value;
      level.wantsName = false;
      return undefined;
    }
    if (!level.isArray) {
      if (level.name === "statement_id") level.statement = text;
      if (level.name === "name") level.series = value;
    }
    level.count += 1;
    if (level.isArray && level.count === 1) return this.#additionTo(level, value);
    return undefined;
  }

  /** What goes behind the only value of `columns`, or of a row of `values`. */
  #additionTo(level: Level, value: string): string | undefined {
    const names = this.#path.map((each) => (each.isArray ? "[" : each.name)).join("/");
    const isColumns = names === "results/[/series/[/columns/[";
    if (!isColumns && names !== "results/[/series/[/values/[/[") return undefined;
    const isAsked = this.#statements.has(this.#path[2]?.statement ?? "") && this.#path[4]?.series === "databases";
    if (!isAsked) return undefined;
    return `,${level.indent}${isColumns ? '"encrypted"' : String(this.#isEncrypted(value))}`;
  }
}

/** A JSON string's value; what InfluxDB writes is well-formed. */
function parsed(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return "";
  }
}
