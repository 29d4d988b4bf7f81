import { timingSafeEqual } from "node:crypto";
import { closeSync, constants, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { FsError } from "../fs-error.ts";
import { numberOf } from "../keys/sessions.ts";

const purpose = Buffer.from("sealfs sync mark\0");
const macBytes = 32;
const factBytes = 12;
/** Each mark in a sector of its own, so that a power loss leaves the other whole. */
const placeBytes = 512;
const places = 2;

/**
 * How far the store was synced: in each of the last two sessions, the last round after which all that it had committed was on the
 * medium. What is said here only ever saves a file from being doubted, so a mark that is lost or older costs no more than that.
 */
export class SyncMarks {
  readonly #path: string;
  readonly #mac: (message: Buffer) => Buffer;
  readonly #found: readonly (readonly [session: number, round: number])[];
  #fd: number | undefined;

  /** @param mac - Under a key of the volume, 32 bytes. */
  constructor(path: string, mac: (message: Buffer) => Buffer) {
    this.#path = path;
    this.#mac = mac;
    this.#found = this.#readAll();
  }

  /** @returns The last round of a session that was marked before this was made; undefined when that is not known. */
  lastRound(session: number): number | undefined {
    return this.#found.find(([marked]) => marked === session)?.[1];
  }

  /** Durable on return. @throws {Error} As Node's own calls. */
  mark(session: number, round: number): void {
    const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    this.#fd ??= openSync(this.#path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    if (!fstatSync(this.#fd).isFile()) throw new FsError("EIO", "the marks of syncs are no regular file");
    const facts = Buffer.alloc(factBytes);
    facts.writeUIntBE(session, 0, 6);
    facts.writeUIntBE(round, 6, 6);
    const mark = Buffer.concat([facts, this.#macOf(facts)]);
    writeSync(this.#fd, mark, 0, mark.length, (numberOf(session) % places) * placeBytes);
    fdatasyncSync(this.#fd);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #readAll(): readonly (readonly [number, number])[] {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const bytes = Buffer.alloc(placeBytes * places);
    try {
      const fd = openSync(this.#path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        if (fstatSync(fd).isFile()) readSync(fd, bytes, 0, bytes.length, 0);
      } finally {
        closeSync(fd);
      }
    } catch {
      return []; // the marks were never made, or are taken away
    }
    return Array.from({ length: places }, (_, place) => {
      const mark = bytes.subarray(place * placeBytes);
      const facts = mark.subarray(0, factBytes);
      const isRight = timingSafeEqual(mark.subarray(factBytes, factBytes + macBytes), this.#macOf(facts));
      return isRight ? ([facts.readUIntBE(0, 6), facts.readUIntBE(6, 6)] as const) : undefined;
    }).filter((mark) => mark !== undefined);
  }

  #macOf(facts: Buffer): Buffer {
    return this.#mac(Buffer.concat([purpose, facts]));
  }
}
