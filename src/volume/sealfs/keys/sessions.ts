import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { BodyReader, BodyWriter } from "./body.ts";
import { damaged } from "./errors.ts";

/** Sessions that did not end well, one or, where many were put together, a row of them. */
export interface UnsettledSessions {
  readonly from: number;
  readonly to: number;
  /** Of the machine's start that the session ran in, 16 bytes; zeros when nobody knows. */
  readonly bootId: Buffer;
}

export const bootIdBytes = 16;
/** A session's name has 48 bits: its number, from 1, and 16 random ones. */
const mostSessions = 2 ** 48 - 1;
const numberUnit = 2 ** 16;
/** The names of so many latest ones are kept. */
const mostKnown = 1024;
/** With more, the two oldest become one. */
const mostUnsettled = 256;
const unknownBoot: Buffer = Buffer.alloc(bootIdBytes);

/**
 * The sessions of a volume: each opening for serving begins one. A session is named by its number and some random bits, so that one
 * that an older table was put back over is not taken for one of the same number begun since. Which of them did not end in good order
 * is kept until what they left has been settled. Never changes; each step gives another.
 */
export class SessionLog {
  /** The latest that were begun, oldest first. */
  readonly #known: readonly number[];
  /** Oldest first. */
  readonly unsettled: readonly UnsettledSessions[];

  private constructor(known: readonly number[], unsettled: readonly UnsettledSessions[]) {
    this.#known = known;
    this.unsettled = unsettled;
  }

  static readonly none: SessionLog = new SessionLog([], []);

  /** @throws {KeyTableError} `KEY_TABLE_DAMAGED` for what {@link writeTo} would not have written. */
  static read(body: BodyReader): SessionLog {
    const knownCount = body.u16();
    if (knownCount > mostKnown) throw damaged("it has too many sessions");
    const known: number[] = [];
    for (let read = 0; read < knownCount; read += 1) {
      const session = body.u48();
      if (session < numberUnit || (read > 0 && numberOf(session) !== numberOf(known[read - 1] ?? 0) + 1))
        throw damaged("it has sessions out of turn");
      known.push(session);
    }
    const last = known.at(-1) ?? 0;
    const count = body.u16();
    if (count > mostUnsettled) throw damaged("it has too many sessions");
    const unsettled: UnsettledSessions[] = [];
    for (let read = 0, after = 0; read < count; read += 1) {
      const entry = { from: body.u48(), to: body.u48(), bootId: body.fixed(bootIdBytes) };
      if (entry.from <= after || entry.to < entry.from || entry.to > last) throw damaged("it has sessions out of turn");
      unsettled.push(entry);
      after = entry.to;
    }
    return new SessionLog(known, unsettled);
  }

  /** `count 2`, then the latest sessions, 6 each; `count 2`, then for each unsettled row `from 6 ‖ to 6 ‖ boot id 16`. */
  writeTo(body: BodyWriter): void {
    body.u16(this.#known.length);
    for (const session of this.#known) body.u48(session);
    body.u16(this.unsettled.length);
    for (const { from, to, bootId } of this.unsettled) body.u48(from).u48(to).fixed(bootId);
  }

  /** The latest that was begun; 0 before the first. */
  get last(): number {
    return this.#known.at(-1) ?? 0;
  }

  /** A name for the next one. */
  next(): number {
    return (numberOf(this.last) + 1) * numberUnit + kernelRandomBytes(2).readUInt16BE(0);
  }

  /** False for one that was not begun in this table, as far as it goes back. */
  mayHaveBegun(session: number): boolean {
    const [oldest = numberUnit] = this.#known;
    return numberOf(session) < numberOf(oldest) || this.#known.includes(session);
  }

  /** True for a session that was begun, and did not end well. */
  isUnsettled(session: number): boolean {
    return this.unsettledWith(session) !== undefined;
  }

  unsettledWith(session: number): UnsettledSessions | undefined {
    return this.unsettled.find(({ from, to }) => from <= session && session <= to);
  }

  /** @throws {KeyTableError} `KEY_TABLE_DAMAGED` for another number than the next. */
  begun(session: number, bootId: Buffer): SessionLog {
    if (numberOf(session) !== numberOf(this.last) + 1 || session > mostSessions)
      throw damaged("it begins a session out of turn");
    const known = [...this.#known, session].slice(-mostKnown);
    const unsettled = [...this.unsettled, { from: session, to: session, bootId }];
    const [oldest, next, ...rest] = unsettled;
    if (unsettled.length <= mostUnsettled || oldest === undefined || next === undefined)
      return new SessionLog(known, unsettled);
    return new SessionLog(known, [{ from: oldest.from, to: next.to, bootId: unknownBoot }, ...rest]);
  }

  /** In good order. @throws {KeyTableError} `KEY_TABLE_DAMAGED` for any but the last, or one that has ended. */
  ended(session: number): SessionLog {
    if (session !== this.last || !this.isUnsettled(session)) throw damaged("it ends a session that is not open");
    return new SessionLog(this.#known, this.unsettled.slice(0, -1));
  }

  /** What all up to this one have left is settled. @throws {KeyTableError} `KEY_TABLE_DAMAGED` for one that was not begun. */
  settled(upTo: number): SessionLog {
    if (upTo > this.last) throw damaged("it settles a session that was not begun");
    return new SessionLog(
      this.#known,
      this.unsettled.filter(({ to }) => to > upTo),
    );
  }
}

/** A session's number, from 1. */
export function numberOf(session: number): number {
  return Math.floor(session / numberUnit);
}
