import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { WrapperIdentity } from "./records.ts";

/** Wraps the data keys of zones. An envelope by itself need not prove who made it: the table that holds it does. */
export interface KeyWrapper extends Disposable {
  /** Written in the table, so that another master key is noticed when the table is opened. */
  readonly identity: WrapperIdentity;
  /** False when only new envelopes can be made: the private side is not here. */
  readonly canUnwrap: boolean;
  /** @param context - What the key is for; bound into the envelope where the algorithm has a place for it. */
  wrap(key: SecretBuffer, context: Buffer): Buffer;
  /**
   * The caller disposes of the result.
   *
   * @throws {KeyTableError} `ENVELOPE_REFUSED`, `PRIVATE_KEY_ABSENT`.
   */
  unwrap(envelope: Buffer, context: Buffer): SecretBuffer;
}

/** True when both wrap by the same key. */
export function sameWrapper(left: WrapperIdentity, right: WrapperIdentity): boolean {
  if (left.kind === "sm2") return right.kind === "sm2" && left.publicKey.equals(right.publicKey);
  return left.kind === right.kind;
}

const zoneLabel = Buffer.from("strongroom/sealfs/keys/v1/zone");
const namesLabel = Buffer.from("strongroom/sealfs/keys/v1/names");

/** `label ‖ volume id (16) ‖ zone id (16) ‖ generation (u32)`. */
export function zoneKeyContext(volumeId: Buffer, zoneId: Buffer, generation: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(generation);
  return Buffer.concat([zoneLabel, volumeId, zoneId, number]);
}

const quickLabel = Buffer.from("strongroom/sealfs/keys/v1/quick");

/** `label ‖ volume id (16)`. */
export function quickKeyContext(volumeId: Buffer): Buffer {
  return Buffer.concat([quickLabel, volumeId]);
}

/** `label ‖ volume id (16)`. */
export function namesKeyContext(volumeId: Buffer): Buffer {
  return Buffer.concat([namesLabel, volumeId]);
}
