import { timingSafeEqual } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { Sm2Recipient } from "../../crypto/sm2-encryption.ts";
import { writeDurably } from "../../files/durable-file.ts";
import type { KeyHolder } from "../../volume/key-holder.ts";
import { DatabaseError } from "../errors.ts";

/** The data key of an instance's volume. */
export const instanceKeyBytes = 32;
const format = "strongroom-instance-envelope-1";
const mostFileBytes = 64 * 1024;
const mostEnvelopeBytes = 16 * 1024;

/** The instance key under a master key. Anyone could make one: that it is the right key is proved by the volume's header. */
export interface InstanceEnvelope {
  /** Of which master key: `04 ‖ X ‖ Y` in hexadecimal. */
  readonly masterKey: string;
  /** An SM2 ciphertext in the DER of GM/T 0009-2012. */
  readonly envelope: Buffer;
}

/**
 * Reads `instance.envelope`.
 *
 * @returns Undefined when there is none.
 * @throws {DatabaseError} `INSTANCE_DAMAGED`.
 */
export function readInstanceEnvelope(file: string): InstanceEnvelope | undefined {
  const bytes = readWhole(file, false);
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value !== "object" || value === null) throw new SyntaxError();
    const { format: found, masterKey, envelope, ...others } = value as Readonly<Record<string, unknown>>;
    if (found !== format || typeof masterKey !== "string" || typeof envelope !== "string") throw new SyntaxError();
    const decoded = Buffer.from(envelope, "base64");
    if (Object.keys(others).length > 0 || decoded.length === 0 || decoded.length > mostEnvelopeBytes)
      throw new SyntaxError();
    if (decoded.toString("base64") !== envelope || !/^[\x21-\x7e]{1,512}$/.test(masterKey)) throw new SyntaxError();
    return { masterKey, envelope: decoded };
  } catch (cause) {
    throw damaged(file, "is not an instance key in an envelope", cause);
  }
}

/** Writes `instance.envelope` durably: after a crash it is as before, or whole. */
export function writeInstanceEnvelope(file: string, { masterKey, envelope }: InstanceEnvelope): void {
  writeDurably(file, Buffer.from(`${JSON.stringify({ format, masterKey, envelope: envelope.toString("base64") })}\n`));
}

/** The instance key in a new envelope to an SM2 master key. */
export function envelopInstanceKey(key: SecretBuffer, publicKey: Buffer): InstanceEnvelope {
  const envelope = key.expose((bytes) => new Sm2Recipient(publicKey).encrypt(bytes, "asn1"));
  return { masterKey: publicKey.toString("hex"), envelope };
}

/**
 * Opens an instance key with the master key.
 *
 * @returns The caller disposes of it.
 * @throws {DatabaseError} `MASTER_KEY_MISMATCH` when the envelope is for another master key, `ENVELOPE_REFUSED` when it does not open.
 */
export async function openInstanceEnvelope(
  { masterKey, envelope }: InstanceEnvelope,
  { publicKey, unwrap }: KeyHolder,
): Promise<SecretBuffer> {
  if (masterKey !== publicKey.toString("hex"))
    throw new DatabaseError(
      "MASTER_KEY_MISMATCH",
      "the instance key is enveloped to another master key than is configured",
      {
        hint: "configure the master key that the instance was last served with, or that fctools envelop changed it to",
      },
    );
  if (unwrap === undefined)
    throw new DatabaseError("ENVELOPE_REFUSED", "the private half of the master key is not here");
  const key = await unwrap(envelope, publicKey);
  if (key.byteLength === instanceKeyBytes) return key;
  key[Symbol.dispose]();
  throw new DatabaseError("ENVELOPE_REFUSED", "the envelope of the instance key holds something else");
}

/**
 * Reads an instance key that is kept in a file: 32 bytes as they are.
 *
 * @returns Undefined when there is none. The caller disposes of it.
 * @throws {DatabaseError} `INSTANCE_DAMAGED`; `SETTINGS_INVALID` when others could read it.
 */
export function readInstanceKey(file: string): SecretBuffer | undefined {
  const bytes = readWhole(file, true);
  if (bytes === undefined) return undefined;
  if (bytes.length === instanceKeyBytes) return SecretBuffer.adopt(bytes);
  bytes.fill(0);
  throw damaged(file, `has not ${instanceKeyBytes} bytes`);
}

/** Writes an instance key durably, mode 0600, and reads it back. */
export function writeInstanceKey(file: string, key: SecretBuffer): void {
  key.expose((bytes) => writeDurably(file, bytes));
  using written = readInstanceKey(file);
  if (written === undefined || !key.expose((bytes) => written.expose((others) => timingSafeEqual(bytes, others))))
    throw damaged(file, "does not hold what was written to it");
}

/** @returns Memory of its own; undefined when there is no such file. */
function readWhole(file: string, secret: boolean): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw damaged(file, `cannot be read: ${(cause as NodeJS.ErrnoException).code}`, cause);
  }
  try {
    const { mode, size, uid } = fstatSync(descriptor);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw damaged(file, "is not a regular file");
    if (secret && ((mode & 0o077) !== 0 || uid !== process.getuid?.()))
      throw new DatabaseError(
        "SETTINGS_INVALID",
        `${file} holds the instance key, and is not its owner's and yours alone`,
        {
          hint: `chmod 600 ${file}`,
        },
      );
    if (size > mostFileBytes) throw damaged(file, `is over ${mostFileBytes} bytes`);
    const bytes = Buffer.allocUnsafeSlow(size);
    let length = 0;
    for (let count = -1; count !== 0 && length < size; length += count)
      count = readSync(descriptor, bytes, length, size - length, length);
    if (length === size) return bytes;
    bytes.fill(0);
    throw damaged(file, "was cut while it was read");
  } finally {
    closeSync(descriptor);
  }
}

function damaged(file: string, what: string, cause?: unknown): DatabaseError {
  return new DatabaseError("INSTANCE_DAMAGED", `${file} ${what}`, {
    hint: "restore it from a backup of the instance's folder",
    ...(cause === undefined ? {} : { cause }),
  });
}
