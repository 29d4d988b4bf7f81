import { DatabaseError } from "../errors.ts";

/** The files of an instance's folder that come before its volume in a backup, by their names there. */
export const backedUpFiles = ["instance.envelope", "instance.master"] as const;
export type BackedUpFile = (typeof backedUpFiles)[number];
export type BackedUpFiles = ReadonlyMap<BackedUpFile, Buffer>;

const magic = Buffer.from("SRDB");
const format = 1;
export const fixedBytes = 8;
/** Of one file. */
const maxFileBytes = 64 * 1024;
const maxFilesBytes: number = 256 * 1024;

/**
 * The beginning of a backup:
 *
 *     "SRDB" (4) ‖ format = 1 (1) ‖ zero (1) ‖ length (u16, in units of 16 bytes) ‖ JSON {name: base64 of the file}, filled up with spaces
 *
 * The volume's sealed export follows. Nothing here is secret, and nothing here needs a proof: an instance key that comes of it either
 * opens the export, or does not.
 */
export function encodePrelude(files: BackedUpFiles): Buffer {
  const text = JSON.stringify(Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.toString("base64")])));
  const body = Buffer.from(text.padEnd(Math.ceil(text.length / 16) * 16, " "));
  if (body.length > maxFilesBytes) throw new RangeError(`the files before a backup have ${body.length} bytes`);
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed);
  fixed.writeUInt8(format, 4);
  fixed.writeUInt16BE(body.length / 16, 6);
  return Buffer.concat([fixed, body]);
}

/** How many bytes follow the fixed beginning. @throws {DatabaseError} `BACKUP_DAMAGED`. */
export function preludeBodyBytes(fixed: Buffer): number {
  if (fixed.length !== fixedBytes || !fixed.subarray(0, 4).equals(magic))
    throw damagedBackup("it does not begin with SRDB");
  if (fixed.readUInt8(4) !== format || fixed.readUInt8(5) !== 0)
    throw damagedBackup(`its format is ${fixed.readUInt8(4)}, known is ${format}`);
  const bytes = fixed.readUInt16BE(6) * 16;
  if (bytes > maxFilesBytes) throw damagedBackup("its beginning is too long");
  return bytes;
}

/** @throws {DatabaseError} `BACKUP_DAMAGED` for what {@link encodePrelude} would not have written. */
export function decodePreludeBody(body: Buffer): BackedUpFiles {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    throw damagedBackup("its beginning is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw damagedBackup("its beginning is no object");
  const files = new Map<BackedUpFile, Buffer>();
  for (const [name, text] of Object.entries(value)) {
    const known = backedUpFiles.find((each) => each === name);
    if (known === undefined || typeof text !== "string") throw damagedBackup("its beginning names an unknown file");
    const bytes = Buffer.from(text, "base64");
    if (bytes.toString("base64") !== text || bytes.length > maxFileBytes)
      throw damagedBackup("a file in its beginning is not what was written");
    files.set(known, bytes);
  }
  return files;
}

/** @param why - What is wrong, in words that name no content. */
export function damagedBackup(why: string): DatabaseError {
  return new DatabaseError("BACKUP_DAMAGED", `the backup cannot be used: ${why}; nothing was restored`, {
    hint: "take another copy of it",
  });
}
