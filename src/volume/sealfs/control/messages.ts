import type { EnvelopedKey, RekeyFinish } from "../keys/rekey.ts";
import type { ZoneRule } from "../keys/rules.ts";
import type { SealfsControl } from "./control.ts";

/** What is asked, with what: `{"method": …, "parameters": {…}}`, one line of JSON. Bytes are base64, zone ids hexadecimal. */
export interface ControlParameters {
  readonly keys: Empty;
  readonly rules: Empty;
  readonly setRules: { readonly rules: readonly ZoneRule[] };
  readonly rotate: { readonly zone: string };
  readonly resealing: Empty;
  readonly setResealingRate: { readonly bytesPerSecond: number };
  readonly destroyGeneration: { readonly zone: string; readonly generation: number };
  readonly destroyZone: { readonly zone: string };
  readonly sweep: Empty;
  readonly sync: Empty;
  readonly findings: Empty;
  readonly beginRekey: { readonly publicKey: Buffer };
  readonly waitingKeys: { readonly most: number };
  readonly stageKeys: { readonly made: readonly EnvelopedKey[] };
  readonly stagedKeys: Empty;
  readonly finishRekey: RekeyFinish;
  readonly dropPrevious: Empty;
}
export type ControlMethod = Exclude<keyof SealfsControl, symbol>;
type Empty = Readonly<Record<never, never>>;

/** One request, read. */
export type ControlRequest = {
  readonly [method in ControlMethod]: { readonly method: method; readonly parameters: ControlParameters[method] };
}[ControlMethod];

/** What is refused, as it travels. `code` is one of `keyTableErrors`, or `REQUEST_INVALID`. */
export interface ControlRefusal {
  readonly code: string;
  readonly message: string;
}

/** A key in its envelope as it travels. */
interface WireKey {
  readonly zone: string;
  readonly generation: number;
  readonly envelope: string;
}

/** What is no request of this form. Its message names no content. */
export class ControlRequestError extends Error {
  override readonly name = "ControlRequestError";
}

const longestPathBytes = 4096;
const mostListed = 100_000;
const longestTextBytes = 4096;
const zoneIdPattern = /^[0-9a-f]{32}$/;
const base64Pattern = /^[A-Za-z0-9+/]{1,2048}={0,2}$/;
const publicKeyBytes = 65;
const mostAtOnce = 2048;
const protections = ["sealed", "table-sealed", "plain"] as const;

const readers: { readonly [method in ControlMethod]: (fields: Fields) => ControlParameters[method] } = {
  keys: () => ({}),
  rules: () => ({}),
  setRules: (fields) => ({ rules: fields.list("rules", readRule) }),
  rotate: (fields) => ({ zone: fields.text("zone") }),
  resealing: () => ({}),
  setResealingRate: (fields) => ({ bytesPerSecond: fields.number("bytesPerSecond", 0, Number.MAX_SAFE_INTEGER) }),
  destroyGeneration: (fields) => ({
    zone: fields.text("zone"),
    generation: fields.number("generation", 1, 0xffff_ffff),
  }),
  destroyZone: (fields) => ({ zone: fields.text("zone") }),
  sweep: () => ({}),
  sync: () => ({}),
  findings: () => ({}),
  beginRekey: (fields) => {
    const publicKey = fields.bytes("publicKey");
    if (publicKey.length !== publicKeyBytes) throw new ControlRequestError("publicKey has 65 bytes");
    return { publicKey };
  },
  waitingKeys: (fields) => ({ most: fields.number("most", 1, mostAtOnce) }),
  stageKeys: (fields) => ({ made: fields.list("made", readWireKey, mostAtOnce) }),
  stagedKeys: () => ({}),
  finishRekey: (fields) => ({ keepPrevious: fields.flag("keepPrevious") }),
  dropPrevious: () => ({}),
};

/** One line, without its end. @param parameters - As they travel. */
export function encodeControlRequest(method: ControlMethod, parameters: object): string {
  return JSON.stringify({ method, parameters });
}

/** @throws {ControlRequestError} For anything that no client of ours writes. */
export function readControlRequest(line: Buffer): ControlRequest {
  const fields = new Fields(parse(line));
  const method = fields.text("method");
  const parameters = new Fields(fields.value("parameters"));
  fields.end();
  if (!isMethod(method)) throw new ControlRequestError("no such method");
  const read: unknown = readers[method](parameters);
  parameters.end();
  return { method, parameters: read } as ControlRequest;
}

/** For {@link readWireKey}. */
export function toWireKey({ zoneId, generation, envelope }: EnvelopedKey): WireKey {
  return { zone: zoneId.toString("hex"), generation, envelope: envelope.toString("base64") };
}

/** @throws {ControlRequestError} */
export function readWireKey(value: unknown): EnvelopedKey {
  const fields = new Fields(value);
  const zone = fields.text("zone");
  const generation = fields.number("generation", 1, 0xffff_ffff);
  const envelope = fields.bytes("envelope");
  fields.end();
  if (!zoneIdPattern.test(zone)) throw new ControlRequestError("a zone's id has 32 hexadecimal characters");
  return { zoneId: Buffer.from(zone, "hex"), generation, envelope };
}

function readRule(value: unknown): ZoneRule {
  const fields = new Fields(value);
  const pattern = fields.text("pattern");
  const becomes = fields.text("becomes");
  fields.end();
  const protection = protections.find((known) => known === becomes);
  if (protection === undefined) throw new ControlRequestError("a rule's becomes is sealed, table-sealed or plain");
  return { pattern, becomes: protection };
}

function isMethod(name: string): name is ControlMethod {
  return Object.hasOwn(readers, name);
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    throw new ControlRequestError("a request is one line of JSON");
  }
}

/** The fields of an object, each read once, none left over. */
class Fields {
  readonly #values: Map<string, unknown>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ControlRequestError("an object was expected");
    this.#values = new Map(Object.entries(value));
  }

  value(name: string): unknown {
    const value = this.#values.get(name);
    this.#values.delete(name);
    return value;
  }

  text(name: string): string {
    const value = this.value(name);
    const most = name === "pattern" ? longestTextBytes : longestPathBytes;
    if (typeof value !== "string" || Buffer.byteLength(value) > most || !value.isWellFormed())
      throw new ControlRequestError(`${name} is a text of up to ${most} bytes`);
    return value;
  }

  number(name: string, least: number, most: number): number {
    const value = this.value(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most)
      throw new ControlRequestError(`${name} is a whole number from ${least} to ${most}`);
    return value;
  }

  flag(name: string): boolean {
    const value = this.value(name) ?? false;
    if (typeof value !== "boolean") throw new ControlRequestError(`${name} is true or false`);
    return value;
  }

  bytes(name: string): Buffer {
    const value = this.value(name);
    if (typeof value !== "string" || !base64Pattern.test(value)) throw new ControlRequestError(`${name} is base64`);
    return Buffer.from(value, "base64");
  }

  list<T>(name: string, read: (value: unknown) => T, most: number = mostListed): readonly T[] {
    const value = this.value(name);
    if (!Array.isArray(value) || value.length > most)
      throw new ControlRequestError(`${name} is a list of at most ${most}`);
    return value.map((one: unknown) => read(one));
  }

  end(): void {
    if (this.#values.size > 0) throw new ControlRequestError("there are fields that are not known");
  }
}
