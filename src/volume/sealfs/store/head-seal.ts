import { type BlockCipher, sealedOverheadBytes } from "../block-cipher.ts";
import type { FileLayout } from "../stored-file.ts";
import type { Epoch } from "./epochs.ts";
import { headBytes } from "./geometry.ts";

const magic = Buffer.from("SRSEALF1", "latin1");
const preludeBytes = 64;
/** What a medium writes at once. */
const sectorBytes = 512;
const mostBodyBytes = headBytes - preludeBytes - sealedOverheadBytes;

/** What of a head can be read without a key: enough to find the key. */
export interface Prelude {
  /** Of the zone's data key. */
  readonly generation: number;
  /** 16 bytes each. */
  readonly zoneId: Buffer;
  readonly epochId: Buffer;
  readonly sequence: number;
  readonly bodyBytes: number;
}

/**
 * What a place for a head holds: nothing (all zeros), no head at all, or something that says it is one.
 *
 * @param number - Of the place, 0 or 1: a head that was copied to the other one is none.
 */
export function parsePrelude(place: Buffer, number: number, layout: FileLayout): Prelude | "blank" | "damaged" {
  if (place[0] !== magic[0] && place.every((byte) => byte === 0)) return "blank";
  if (place.length < preludeBytes + sealedOverheadBytes || !place.subarray(0, 8).equals(magic)) return "damaged";
  const bodyBytes = place.readUInt16BE(56);
  if (place[8] !== layoutCode(layout) || place[9] !== Math.log2(layout.blockBytes)) return "damaged";
  if (place.readUInt16BE(10) !== 0 || place.readUIntBE(58, 5) !== 0 || place[63] !== number) return "damaged";
  if (bodyBytes > mostBodyBytes || place.length < preludeBytes + sealedOverheadBytes + bodyBytes) return "damaged";
  if (place.readUInt16BE(48) !== 0) return "damaged";
  return {
    generation: place.readUInt32BE(12),
    zoneId: Buffer.from(place.subarray(16, 32)),
    epochId: Buffer.from(place.subarray(32, 48)),
    sequence: place.readUIntBE(50, 6),
    bodyBytes,
  };
}

/**
 * Seals a head:
 *
 *     "SRSEALF1" ‖ integrity 1 (1 blocks, 2 tree) ‖ log2 of the block size 1 ‖ zero 2 ‖ generation 4 ‖ zone id 16 ‖ epoch id 16 ‖
 *     sequence 8 ‖ length 2 ‖ zero 5 ‖ place 1 ‖ nonce 12 ‖ tag 16 ‖ ciphertext
 *
 * with all before the nonce, and the file's id, as associated data.
 *
 * @param place - 4,096 bytes to write it into. @param number - Of the place in the file. @returns How many were written.
 */
export function sealHead(
  place: Buffer,
  number: number,
  layout: FileLayout,
  fileId: Buffer,
  zoneId: Buffer,
  epoch: Epoch,
  sequence: number,
  body: Buffer,
  cipher: BlockCipher,
): number {
  place.fill(0, 0, preludeBytes);
  magic.copy(place);
  place.writeUInt8(layoutCode(layout), 8);
  place.writeUInt8(Math.log2(layout.blockBytes), 9);
  place.writeUInt32BE(epoch.generation, 12);
  zoneId.copy(place, 16);
  epoch.id.copy(place, 32);
  place.writeUIntBE(sequence, 50, 6);
  place.writeUInt16BE(body.length, 56);
  place.writeUInt8(number, 63);
  const end = preludeBytes + sealedOverheadBytes + body.length;
  cipher.seal(headBinding(place, fileId), body, place.subarray(preludeBytes, end));
  return end;
}

/** True when a sector of what should be a head is zeros, or beyond the end of the file. */
export function hasBlankSector(place: Buffer): boolean {
  const hasLength = place.length >= preludeBytes && place.readUInt16BE(56) <= mostBodyBytes;
  const end = preludeBytes + sealedOverheadBytes + (hasLength ? place.readUInt16BE(56) : 0);
  if (place.length < end) return true;
  for (let from = 0; from < end; from += sectorBytes)
    if (place.subarray(from, Math.min(end, from + sectorBytes)).every((byte) => byte === 0)) return true;
  return false;
}

/** Of whatever file: calls never overlap. */
const binding = Buffer.alloc(preludeBytes + 16);
/** Of whatever file; its parts are copied at once. */
const openedBody = Buffer.allocUnsafeSlow(headBytes);

/** @returns The body, valid until the next call, or undefined when the head is not authentic. */
export function openHead(place: Buffer, fileId: Buffer, prelude: Prelude, cipher: BlockCipher): Buffer | undefined {
  const body = openedBody.subarray(0, prelude.bodyBytes);
  const sealed = place.subarray(preludeBytes, preludeBytes + sealedOverheadBytes + body.length);
  return cipher.open(headBinding(place, fileId), sealed, body) ? body : undefined;
}

function headBinding(place: Buffer, fileId: Buffer): Buffer {
  place.copy(binding, 0, 0, preludeBytes);
  binding.set(fileId, preludeBytes);
  return binding;
}

function layoutCode(layout: FileLayout): number {
  return layout.integrity === "tree" ? 2 : 1;
}
