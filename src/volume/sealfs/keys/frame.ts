import { kernelRandomBytes } from "../../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { aeadOpen, aeadSeal, nonceBytes, type Suite, tagBytes } from "../../../crypto/suite.ts";
import { isRecordType, maxBodyBytes } from "./records.ts";

/** The tag of the record before, or the end of the header's check: what a record is chained to. */
export const linkBytes: number = tagBytes;

const clearBytes = 4 + 8 + 1;
export const frameOverheadBytes: number = clearBytes + nonceBytes + linkBytes + tagBytes;

/** The clear beginning of a frame. */
export interface FrameStart {
  readonly sequence: number;
  readonly typeByte: number;
  /** The whole frame. */
  readonly frameBytes: number;
}

/**
 * Seals one record:
 *
 *     body length (u32) ‖ sequence (u64) ‖ type (1) ‖ nonce (12) ‖ sealed (link (16) ‖ body) ‖ tag (16)
 *     associated data = body length ‖ sequence ‖ type
 *
 * The link is the 16 bytes before the frame in the file: the tag of the record before (of the first: the end of the header).
 * So a record proves by itself that it was written to this file, and by its link that it stands behind the right one.
 */
export function sealFrame(
  suite: Suite,
  recordKey: SecretBuffer,
  link: Buffer,
  sequence: number,
  typeByte: number,
  body: Buffer,
): Buffer {
  const start = Buffer.alloc(clearBytes);
  start.writeUInt32BE(body.length, 0);
  start.writeBigUInt64BE(BigInt(sequence), 4);
  start.writeUInt8(typeByte, 12);
  const nonce = kernelRandomBytes(nonceBytes);
  const sealed = recordKey.expose((key) => aeadSeal(suite, key, nonce, start, Buffer.concat([link, body])));
  return Buffer.concat([start, nonce, sealed]);
}

/** What a frame at this place would be; undefined when it cannot be one, or does not fit before the end. */
export function readFrameStart(file: Buffer, at: number): FrameStart | undefined {
  if (at + frameOverheadBytes > file.length) return undefined;
  const bodyBytes = file.readUInt32BE(at);
  const sequence = Number(file.readBigUInt64BE(at + 4));
  const typeByte = file.readUInt8(at + 12);
  const frameBytes = bodyBytes + frameOverheadBytes;
  if (bodyBytes > maxBodyBytes || at + frameBytes > file.length) return undefined;
  if (!Number.isSafeInteger(sequence) || !isRecordType(typeByte)) return undefined;
  return { sequence, typeByte, frameBytes };
}

/** An authentic record. */
export interface OpenedFrame {
  /** False when it was written behind another record than the one that is there. */
  readonly linked: boolean;
  readonly body: Buffer;
}

/** The frame at this place, or undefined when it is not authentic. */
export function openFrame(
  suite: Suite,
  recordKey: SecretBuffer,
  file: Buffer,
  at: number,
  { frameBytes }: FrameStart,
): OpenedFrame | undefined {
  const start = file.subarray(at, at + clearBytes);
  const nonce = file.subarray(at + clearBytes, at + clearBytes + nonceBytes);
  const sealed = file.subarray(at + clearBytes + nonceBytes, at + frameBytes);
  // Bodies hold wrapped keys, paths and rules; what is secret in them is wrapped once more.
  const opened = recordKey.expose((key) => aeadOpen(suite, key, nonce, start, sealed));
  return opened?.expose((content) => ({
    linked: content.subarray(0, linkBytes).equals(file.subarray(at - linkBytes, at)),
    body: Buffer.from(content.subarray(linkBytes)),
  }));
}
