import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { Suite } from "../../../crypto/suite.ts";
import { frameOverheadBytes, linkBytes, sealFrame } from "./frame.ts";
import { encodeBody, recordTypes, type TableRecord } from "./records.ts";
import { encodeHeader, freshSalt, headerBytes } from "./table-header.ts";

/** Where the next record of a file goes, and what seals it. */
export class RecordChain implements Disposable {
  readonly #suite: Suite;
  readonly #recordKey: SecretBuffer;
  #link: Buffer;
  #nextSequence: number;

  /** @param recordKey - The chain becomes its owner. @param link - The file's last 16 bytes. */
  constructor(suite: Suite, recordKey: SecretBuffer, link: Buffer, nextSequence: number) {
    this.#suite = suite;
    this.#recordKey = recordKey;
    this.#link = link;
    this.#nextSequence = nextSequence;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get link(): Buffer {
    return this.#link;
  }

  /** Seals records one behind the other. The chain stays where it is until {@link advance}, so that a failed write changes nothing. */
  seal(records: readonly TableRecord[]): Buffer {
    let link = this.#link;
    const frames = records.map((record, at) => {
      const body = encodeBody(record);
      const sequence = this.#nextSequence + at;
      const frame = sealFrame(this.#suite, this.#recordKey, link, sequence, recordTypes[record.type], body);
      link = frame.subarray(frame.length - linkBytes);
      return frame;
    });
    return Buffer.concat(frames);
  }

  /** What {@link seal} gave has been written. */
  advance(sealed: Buffer, count: number): void {
    this.#link = Buffer.from(sealed.subarray(sealed.length - linkBytes));
    this.#nextSequence += count;
  }

  [Symbol.dispose](): void {
    this.#recordKey[Symbol.dispose]();
  }
}

export interface NewTable {
  readonly suite: Suite;
  readonly volumeId: Buffer;
  readonly firstSequence: number;
}

/**
 * A whole table file under a fresh salt, with the chain that goes on behind it, which the caller disposes of.
 *
 * @param tableKey - Stays the caller's.
 */
export function encodeTable(
  { suite, volumeId, firstSequence }: NewTable,
  tableKey: SecretBuffer,
  records: readonly TableRecord[],
): { readonly bytes: Buffer; readonly chain: RecordChain } {
  const bodies = records.reduce((sum, record) => sum + encodeBody(record).length + frameOverheadBytes, 0);
  const header = { suite, volumeId, salt: freshSalt(), firstSequence, wholeBytes: headerBytes + bodies };
  const { bytes: encoded, recordKey } = encodeHeader(header, tableKey);
  const chain = new RecordChain(suite, recordKey, encoded.subarray(encoded.length - linkBytes), firstSequence);
  if (records.length === 0) return { bytes: encoded, chain };
  const sealed = chain.seal(records);
  chain.advance(sealed, records.length);
  return { bytes: Buffer.concat([encoded, sealed]), chain };
}
