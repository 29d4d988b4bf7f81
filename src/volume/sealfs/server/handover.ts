import { readSync } from "node:fs";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { SuiteName } from "../../../crypto/suite.ts";
import { VolumeError } from "../../errors.ts";
import type { FileLayout } from "../stored-file.ts";

/** What a server is told on its standard input. */
export interface Handover {
  /** The folder with the sealed files, by its real path. */
  readonly store: string;
  /** The empty folder to mount at, by its real path. */
  readonly mountPoint: string;
  /** UUID. */
  readonly volumeId: string;
  readonly suite: SuiteName;
  readonly layout: FileLayout;
  readonly names: "plain" | "encrypted";
  /** Where the key table stood when it was compared with the volume's anchor: any other is refused. Link in hexadecimal. */
  readonly anchored?: { readonly sequence: number; readonly link: string };
  /** Whether other users than the server's may use the mount, as far as owners and modes let them. */
  readonly allowOther: boolean;
  /** Where the server is to be asked; its folder is the volume's place. */
  readonly controlSocket: string;
  /** Who can open envelopes of sealed zones; undefined where nobody can. */
  readonly keyHolder?: {
    /** `04 ‖ X ‖ Y` in hexadecimal, of the SM2 master key. */
    readonly publicKey: string;
    /** Descriptor 5 is a socket pair whose other end answers (holder-messages.ts). */
    readonly canUnwrap: boolean;
  };
  /** Folders of sealed zones do not show where nobody can open their envelopes. */
  readonly hideLocked: boolean;
  /** Descriptor 4 is a pipe whose end means that the owner has gone: the server then unmounts and ends. */
  readonly hasOwner: boolean;
}

/** What of a hand-over is about the store alone, and not about its mount. */
export type StoreHandover = Omit<Handover, "allowOther" | "hasOwner" | "controlSocket" | "keyHolder" | "hideLocked">;

const lengthBytes = 4;
const longestSettingsBytes = 64 * 1024;
const longestKeyBytes = 64;

/** `length (u32) ‖ settings (JSON) ‖ table key`. The caller wipes it. */
export function encodeHandover(handover: Handover, tableKey: SecretBuffer): Buffer {
  const settings = Buffer.from(JSON.stringify(handover));
  const message = Buffer.alloc(lengthBytes + settings.length + tableKey.byteLength);
  message.writeUInt32BE(settings.length);
  settings.copy(message, lengthBytes);
  tableKey.expose((bytes) => message.set(bytes, lengthBytes + settings.length));
  return message;
}

/**
 * Reads a hand-over up to the end of its pipe, into one piece of memory: what a stream gathers leaves copies behind.
 *
 * @throws {VolumeError} VOLUME_PARAMETER_INVALID when it is longer than any.
 */
export function readHandover(descriptor: number): Buffer {
  const room = Buffer.alloc(lengthBytes + longestSettingsBytes + longestKeyBytes + 1);
  let length = 0;
  for (let count = -1; count !== 0 && length < room.length; length += count)
    count = readSync(descriptor, room, length, room.length - length, null);
  if (length < room.length) return room.subarray(0, length);
  room.fill(0);
  throw invalid();
}

/**
 * Reads what the process that started the server wrote, and wipes it.
 *
 * @returns The caller disposes of the key.
 * @throws {VolumeError} VOLUME_PARAMETER_INVALID when it is cut or not of this form.
 */
export function decodeHandover(message: Buffer): { readonly handover: Handover; readonly tableKey: SecretBuffer } {
  try {
    const settingsBytes = message.length < lengthBytes ? 0 : message.readUInt32BE();
    const keyAt = lengthBytes + settingsBytes;
    const keyBytes = message.length - keyAt;
    if (settingsBytes > longestSettingsBytes || keyBytes < 1 || keyBytes > longestKeyBytes) throw invalid();
    const handover = JSON.parse(message.toString("utf8", lengthBytes, keyAt)) as Handover;
    return { handover, tableKey: SecretBuffer.copyOf(message.subarray(keyAt)) };
  } catch {
    throw invalid();
  } finally {
    message.fill(0);
  }
}

function invalid(): VolumeError {
  return new VolumeError(
    "VOLUME_PARAMETER_INVALID",
    "this is no hand-over of a volume: the server of a sealfs volume is started by strongroom only",
  );
}
