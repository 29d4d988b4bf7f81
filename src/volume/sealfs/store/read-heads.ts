import type { BlockCipher } from "../block-cipher.ts";
import { FsError } from "../fs-error.ts";
import type { FileLayout, ZoneKeys } from "../stored-file.ts";
import type { FileOrigin } from "./file-parts.ts";
import { Geometry, headBytes, slotsBegin } from "./geometry.ts";
import { decodeHead, type Head } from "./head.ts";
import { hasBlankSector, openHead, type Prelude, parsePrelude } from "./head-seal.ts";

/** What one of the two places for heads holds. */
export type HeadPlace =
  | { readonly state: "blank" }
  | { readonly state: "damaged" }
  /** No head, and sectors of it are zeros: it never came to the medium whole, over what was blank. */
  | { readonly state: "torn" }
  /** The key is not there; what the prelude says is unproven. */
  | { readonly state: "keyless"; readonly sequence: number; readonly cause: FsError }
  | { readonly state: "valid"; readonly head: Head; readonly keys: ZoneKeys };

/** Of a file, what its heads are read with. */
export type HeadOrigin = Pick<FileOrigin, "backing" | "fileId" | "layout">;

/** Ciphertext of the two places, of whatever file: what is read from it is copied or opened at once. */
const headScratch = Buffer.allocUnsafeSlow(slotsBegin);

/** Reads both places. Fails with what the backing file says. */
export function readHeads(origin: HeadOrigin, keysOf: (zoneId: Buffer) => ZoneKeys): readonly [HeadPlace, HeadPlace] {
  const places = headScratch;
  const length = origin.backing.read(0, places);
  const read = (from: number) => places.subarray(Math.min(from, length), Math.min(from + headBytes, length));
  using ciphers = new LastCipher(origin.fileId);
  return [readPlace(origin, read(0), 0, keysOf, ciphers), readPlace(origin, read(headBytes), 1, keysOf, ciphers)];
}

/** The two heads of a file lie under one key, but when its epoch has changed in between. */
class LastCipher implements Disposable {
  readonly #fileId: Buffer;
  #of: { readonly keys: ZoneKeys; readonly prelude: Prelude; readonly cipher: BlockCipher } | undefined;

  constructor(fileId: Buffer) {
    this.#fileId = fileId;
  }

  /** Good until the next call. @throws {FsError} ENOKEY. */
  of(keys: ZoneKeys, prelude: Prelude): BlockCipher {
    const last = this.#of;
    const isSame =
      last?.keys === keys &&
      last.prelude.generation === prelude.generation &&
      last.prelude.epochId.equals(prelude.epochId);
    if (isSame) return last.cipher;
    this[Symbol.dispose]();
    const cipher = keys.fileCipher(prelude.generation, this.#fileId, prelude.epochId);
    this.#of = { keys, prelude, cipher };
    return cipher;
  }

  [Symbol.dispose](): void {
    this.#of?.cipher[Symbol.dispose]();
    this.#of = undefined;
  }
}

function readPlace(
  origin: HeadOrigin,
  place: Buffer,
  number: number,
  keysOf: (zoneId: Buffer) => ZoneKeys,
  ciphers: LastCipher,
): HeadPlace {
  const prelude = parsePrelude(place, number, origin.layout);
  if (prelude === "blank") return { state: prelude };
  const broken = { state: hasBlankSector(place) ? "torn" : "damaged" } as const;
  if (prelude === "damaged") return broken;
  try {
    const keys = keysOf(prelude.zoneId);
    const head = openWith(ciphers.of(keys, prelude), place, prelude, origin.fileId, origin.layout);
    return head === undefined ? broken : { state: "valid", head, keys };
  } catch (cause) {
    if (cause instanceof FsError && cause.code === "ENOKEY")
      return { state: "keyless", sequence: prelude.sequence, cause };
    if (cause instanceof FsError && cause.code === "EIO") return broken; // of a zone the file can't be in
    throw cause;
  }
}

function openWith(
  cipher: BlockCipher,
  place: Buffer,
  prelude: Prelude,
  fileId: Buffer,
  layout: FileLayout,
): Head | undefined {
  const body = openHead(place, fileId, prelude, cipher);
  const head = body === undefined ? undefined : decodeHead(fileId, body, new Geometry(layout));
  if (head === undefined || head.sequence !== prelude.sequence) return undefined;
  const epoch = head.epochs.find((one) => one.index === head.epoch);
  const isSame = epoch?.generation === prelude.generation && epoch.id.equals(prelude.epochId);
  return isSame ? head : undefined;
}
