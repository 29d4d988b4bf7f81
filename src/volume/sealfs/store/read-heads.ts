import { FsError } from "../fs-error.ts";
import type { FileLayout, ZoneKeys } from "../stored-file.ts";
import type { FileOrigin } from "./file-parts.ts";
import { Geometry, headBytes, slotsBegin } from "./geometry.ts";
import { decodeHead, type Head } from "./head.ts";
import { openHead, type Prelude, parsePrelude } from "./head-seal.ts";

/** What one of the two places for heads holds. */
export type HeadPlace =
  | { readonly state: "blank" }
  | { readonly state: "damaged" }
  /** The key is not there; what the prelude says is unproven. */
  | { readonly state: "keyless"; readonly sequence: number; readonly cause: FsError }
  | { readonly state: "valid"; readonly head: Head; readonly keys: ZoneKeys };

/** Reads both places. Fails with what the backing file says. */
export function readHeads(origin: FileOrigin, keysOf: (zoneId: Buffer) => ZoneKeys): readonly [HeadPlace, HeadPlace] {
  const places = Buffer.alloc(slotsBegin);
  const length = origin.backing.read(0, places);
  const read = (from: number) => places.subarray(Math.min(from, length), Math.min(from + headBytes, length));
  return [readPlace(origin, read(0), 0, keysOf), readPlace(origin, read(headBytes), 1, keysOf)];
}

function readPlace(origin: FileOrigin, place: Buffer, number: number, keysOf: (zoneId: Buffer) => ZoneKeys): HeadPlace {
  const prelude = parsePrelude(place, number, origin.layout);
  if (prelude === "blank" || prelude === "damaged") return { state: prelude };
  try {
    const keys = keysOf(prelude.zoneId);
    const head = openWith(keys, place, prelude, origin.fileId, origin.layout);
    return head === undefined ? { state: "damaged" } : { state: "valid", head, keys };
  } catch (cause) {
    if (cause instanceof FsError && cause.code === "ENOKEY")
      return { state: "keyless", sequence: prelude.sequence, cause };
    if (cause instanceof FsError && cause.code === "EIO") return { state: "damaged" }; // of a zone the file can't be in
    throw cause;
  }
}

function openWith(
  keys: ZoneKeys,
  place: Buffer,
  prelude: Prelude,
  fileId: Buffer,
  layout: FileLayout,
): Head | undefined {
  using cipher = keys.fileCipher(prelude.generation, fileId, prelude.epochId);
  const body = openHead(place, fileId, prelude, cipher);
  const head = body === undefined ? undefined : decodeHead(fileId, body, new Geometry(layout));
  if (head === undefined || head.sequence !== prelude.sequence) return undefined;
  const epoch = head.epochs.find((one) => one.index === head.epoch);
  const isSame = epoch?.generation === prelude.generation && epoch.id.equals(prelude.epochId);
  return isSame ? head : undefined;
}
