import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { sm2Encrypt } from "../../../../src/crypto/sm2-encryption.ts";
import { DatabaseError } from "../../../../src/database/errors.ts";
import type {
  EnvelopeSet,
  EnvelopeTable,
  StagedEnvelope,
  StagedEnvelopes,
} from "../../../../src/database/gm/envelope-table.ts";
import type { SubKeyOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { FileLock, LockHeld } from "../../../../src/devices/file-lock.ts";
import { replaceFileDurably, syncFolder } from "../../../../src/files/durable-file.ts";

/** Called before and after each change of a file: throws, or ends the process, where a test wants a kill. */
export type Step = (what: string) => void;

interface SetRecord {
  readonly publicKey: string;
  readonly envelopes: readonly (readonly [string, string])[];
}
interface Content {
  readonly inForce: SetRecord;
  readonly previous: SetRecord | null;
}

/** The sub-key by which the table authenticates itself. */
const ownName = "table";

/**
 * An `EnvelopeTable` over a folder with a plain file of records and a file that staged records are appended to, each with a MAC
 * under the table's own sub-key.
 */
export class RecordFileTable implements EnvelopeTable {
  readonly #folder: string;
  readonly #key: SecretBuffer;
  readonly #lock: FileLock;
  readonly #step: Step;

  private constructor(folder: string, key: SecretBuffer, lock: FileLock, step: Step) {
    this.#folder = folder;
    this.#key = key;
    this.#lock = lock;
    this.#step = step;
  }

  /** Makes a table of these sub-keys; the first is the table's own. */
  static create(folder: string, publicKey: Buffer, subKeys: ReadonlyMap<string, SecretBuffer>): void {
    mkdirSync(folder, { recursive: true });
    const own = subKeys.get(ownName);
    if (own === undefined) throw new Error("a table has a sub-key of its own");
    const envelopes = [...subKeys].map(
      ([name, subKey]) =>
        [name, subKey.expose((bytes) => sm2Encrypt(publicKey, bytes, "asn1")).toString("hex")] as const,
    );
    const content: Content = { inForce: { publicKey: publicKey.toString("hex"), envelopes }, previous: null };
    replaceFileDurably(join(folder, "keys"), sealed(own, JSON.stringify(content)), 0o600);
  }

  /** As a `TableKind` opens one. */
  static async open(folder: string, opener: SubKeyOpener, step: Step = () => {}): Promise<RecordFileTable | undefined> {
    const file = join(folder, "keys");
    if (!existsSync(file)) return undefined;
    const lock = lockOn(folder);
    const { inForce, previous } = contentOf(readFileSync(file, "utf8").split("\n")[0] ?? "");
    for (const set of [inForce, previous]) {
      if (set?.publicKey !== opener.publicKey.toString("hex")) continue;
      const own = set.envelopes.find(([name]) => name === ownName);
      const key = own && (await opener.open(Buffer.from(own[1], "hex")));
      if (key === undefined) throw new DatabaseError("ENVELOPE_TABLE_DAMAGED");
      const table = new RecordFileTable(folder, key, lock, step);
      table.#content();
      return table;
    }
    lock[Symbol.dispose]();
    throw new DatabaseError("MASTER_KEY_MISMATCH", `${folder} is for the master key ${inForce.publicKey}`);
  }

  [Symbol.dispose](): void {
    if (this.#key.disposed) return;
    this.#key[Symbol.dispose]();
    this.#lock[Symbol.dispose]();
  }

  inForce(): EnvelopeSet {
    return setOf(this.#content().inForce);
  }

  previous(): EnvelopeSet | undefined {
    const { previous } = this.#content();
    return previous === null ? undefined : setOf(previous);
  }

  staged(): StagedEnvelopes | undefined {
    const file = join(this.#folder, "keys.next");
    if (!existsSync(file)) return undefined;
    // What follows the last line end is half a record of a run that was killed.
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    const [first, ...records] = lines.map((line) => opened(this.#key, line));
    if (first === undefined) return undefined;
    const envelopes = new Map<string, StagedEnvelope>();
    for (const record of records) {
      const [name, envelope, replaces]: readonly [string, string, string] = JSON.parse(record);
      envelopes.set(name, { envelope: Buffer.from(envelope, "hex"), replaces: Buffer.from(replaces, "hex") });
    }
    return { publicKey: Buffer.from(JSON.parse(first), "hex"), envelopes };
  }

  startStaging(publicKey: Buffer): void {
    this.#step("before staging");
    replaceFileDurably(
      join(this.#folder, "keys.next"),
      sealed(this.#key, JSON.stringify(publicKey.toString("hex"))),
      0o600,
    );
    this.#step("staging");
  }

  stage(envelopes: ReadonlyMap<string, StagedEnvelope>): void {
    this.#step("before a batch");
    const records = [...envelopes].map(([name, { envelope, replaces }]) =>
      sealed(this.#key, JSON.stringify([name, envelope.toString("hex"), replaces.toString("hex")])).toString(),
    );
    const text = records.join("");
    const path = join(this.#folder, "keys.next");
    cutHalfRecord(path);
    const file = openSync(path, "a");
    try {
      // In two writes, so that a kill may leave half a record.
      writeSync(file, text.slice(0, text.length >> 1));
      this.#step("half a batch");
      writeSync(file, text.slice(text.length >> 1));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    this.#step("a batch");
  }

  putStagedInForce(): void {
    const staged = this.staged();
    if (staged === undefined) throw new Error("nothing is staged");
    const inForce: SetRecord = {
      publicKey: staged.publicKey.toString("hex"),
      envelopes: [...staged.envelopes].map(([name, { envelope }]) => [name, envelope.toString("hex")]),
    };
    this.#step("before the change");
    this.#write({ inForce, previous: this.#content().inForce });
    this.#step("the change");
    rmSync(join(this.#folder, "keys.next"), { force: true });
    syncFolder(this.#folder);
    this.#step("staged removed");
  }

  dropPrevious(): void {
    this.#step("before dropping");
    this.#write({ inForce: this.#content().inForce, previous: null });
    this.#step("dropped");
  }

  #content(): Content {
    return contentOf(opened(this.#key, readFileSync(join(this.#folder, "keys"), "utf8").trimEnd()));
  }

  #write(content: Content): void {
    replaceFileDurably(join(this.#folder, "keys"), sealed(this.#key, JSON.stringify(content)), 0o600);
  }
}

/** Cuts off what a run that was killed has left after the last line end. */
function cutHalfRecord(path: string): void {
  const text = readFileSync(path, "utf8");
  if (!text.endsWith("\n")) replaceFileDurably(path, Buffer.from(text.slice(0, text.lastIndexOf("\n") + 1)), 0o600);
}

function lockOn(folder: string): FileLock {
  try {
    return new FileLock(join(folder, "lock"), 0);
  } catch (cause) {
    if (!(cause instanceof LockHeld)) throw cause;
    throw new DatabaseError("ENVELOPE_TABLE_BUSY", `${folder} is open elsewhere`, { cause });
  }
}

/** One line: text, a tab, and its MAC. */
function sealed(key: SecretBuffer, text: string): Buffer {
  return Buffer.from(`${text}\t${macOf(key, text).toString("hex")}\n`);
}

function opened(key: SecretBuffer, line: string): string {
  const [text = "", mac = ""] = line.split("\t");
  const given = Buffer.from(mac, "hex");
  if (given.length !== 32 || !timingSafeEqual(given, macOf(key, text)))
    throw new DatabaseError("ENVELOPE_TABLE_DAMAGED", "a record does not authenticate");
  return text;
}

function macOf(key: SecretBuffer, text: string): Buffer {
  return key.expose((bytes) => createHmac("sm3", bytes).update(text).digest());
}

function contentOf(text: string): Content {
  try {
    return JSON.parse(text.split("\t")[0] ?? "");
  } catch (cause) {
    throw new DatabaseError("ENVELOPE_TABLE_DAMAGED", "the records are not JSON", { cause });
  }
}

function setOf({ publicKey, envelopes }: SetRecord): EnvelopeSet {
  return {
    publicKey: Buffer.from(publicKey, "hex"),
    envelopes: new Map(envelopes.map(([name, envelope]) => [name, Buffer.from(envelope, "hex")])),
  };
}
