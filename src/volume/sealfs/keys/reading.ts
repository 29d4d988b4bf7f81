import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { damaged } from "./errors.ts";
import { frameOverheadBytes, linkBytes, openFrame, readFrameStart } from "./frame.ts";
import { decodeBody, type TableRecord } from "./records.ts";
import { decodeHeader, headerBytes, type TableHeader } from "./table-header.ts";

/** The largest file that is read. */
export const maxTableBytes: number = 1 << 28;
/** One append is no longer; so an interrupted one leaves no longer tail. */
export const maxAppendBytes: number = 1 << 22;
/** Places that look like a record behind a broken one, before the search gives up and calls the table damaged. */
const maxSearches = 4096;
/** What they are opened with at most: each may be as long as a record. */
const maxSearchedBytes: number = 1 << 24;
const maxSequenceGap = 1 << 22;

/** What a key table's file holds. The caller disposes of the key. */
export interface ReadTable {
  readonly header: TableHeader;
  readonly recordKey: SecretBuffer;
  readonly records: readonly TableRecord[];
  /** Up to the end of the last authentic record. */
  readonly validBytes: number;
  /** What an interrupted append left behind it; 0 for a whole file. */
  readonly tornBytes: number;
  readonly nextSequence: number;
  /** The last 16 bytes of what is valid. */
  readonly link: Buffer;
}

export interface ReadOptions {
  /** The file was closed in good order: a broken end is then damage, not an interrupted append. */
  readonly closedCleanly?: boolean;
}

/**
 * Reads a table. A broken end that an interrupted append explains is left out and counted in `tornBytes`: it lies behind
 * what the file had when it got its name, is no longer than an append, and no authentic record follows it.
 *
 * @throws {KeyTableError} `KEY_TABLE_WRONG_KEY`; `KEY_TABLE_DAMAGED` for everything else.
 */
export function readTable(file: Buffer, tableKey: SecretBuffer, options: ReadOptions = {}): ReadTable {
  if (file.length > maxTableBytes) throw damaged(`it has ${file.length} bytes, the most is ${maxTableBytes}`);
  const { header, recordKey } = decodeHeader(file, tableKey);
  try {
    return readRecords(file, header, recordKey, options.closedCleanly === true);
  } catch (error) {
    recordKey[Symbol.dispose]();
    throw error;
  }
}

function readRecords(file: Buffer, header: TableHeader, recordKey: SecretBuffer, closedCleanly: boolean): ReadTable {
  const records: TableRecord[] = [];
  let at = headerBytes;
  let sequence = header.firstSequence;
  while (at < file.length) {
    const start = readFrameStart(file, at);
    const opened = start === undefined ? undefined : openFrame(header.suite, recordKey, file, at, start);
    if (start === undefined || opened === undefined) break;
    if (!opened.linked || start.sequence !== sequence)
      throw damaged(`record ${sequence} is not the one that was written there`);
    records.push(decodeBody(start.typeByte, opened.body));
    at += start.frameBytes;
    sequence += 1;
  }
  const tornBytes = file.length - at;
  if (at < header.wholeBytes) throw damaged(`record ${sequence} is cut or altered`);
  if (tornBytes > 0) {
    if (closedCleanly)
      throw damaged(`record ${sequence}, at its end, is cut or altered though it was closed in good order`);
    if (tornBytes > maxAppendBytes || authenticRecordFollows(file, at, sequence, header, recordKey))
      throw damaged(`record ${sequence} is altered, and there are records after it`);
  }
  const link = Buffer.from(file.subarray(at - linkBytes, at));
  return { header, recordKey, records, validBytes: at, tornBytes, nextSequence: sequence, link };
}

/** Searches behind a broken record for one that is authentic: then the broken one is not the remainder of an append. */
function authenticRecordFollows(
  file: Buffer,
  brokenAt: number,
  sequence: number,
  { suite }: TableHeader,
  recordKey: SecretBuffer,
): boolean {
  let searches = 0;
  let searchedBytes = 0;
  for (let at = brokenAt + 1; at + frameOverheadBytes <= file.length; at++) {
    // The sequence's upper bytes are zero nearly always: a cheap look before the frame is read.
    if (file[at + 4] !== 0 || file[at] !== 0) continue;
    const start = readFrameStart(file, at);
    if (start === undefined || start.sequence <= sequence - 1 || start.sequence > sequence + maxSequenceGap) continue;
    searches += 1;
    searchedBytes += start.frameBytes;
    if (searches > maxSearches || searchedBytes > maxSearchedBytes) return true;
    if (openFrame(suite, recordKey, file, at, start) !== undefined) return true;
  }
  return false;
}
