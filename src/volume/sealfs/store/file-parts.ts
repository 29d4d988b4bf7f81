import type { BackingFile, FileLayout, ZoneKeys } from "../stored-file.ts";
import { Births } from "./births.ts";
import { BlockAccess } from "./block-access.ts";
import { BlockMap } from "./block-map.ts";
import type { ReportDamage } from "./damage.ts";
import { Epochs } from "./epochs.ts";
import { type Geometry, geometryOf } from "./geometry.ts";
import type { Head } from "./head.ts";
import type { FileHealth, HeadStamp } from "./head-fate.ts";
import { SlotIo } from "./slot-io.ts";
import { SlotSpace } from "./slot-space.ts";

/** What belongs to one sealed file and does not change with its heads. */
export interface FileOrigin {
  readonly backing: BackingFile;
  /** 16 bytes. */
  readonly fileId: Buffer;
  readonly layout: FileLayout;
  readonly report: ReportDamage;
  /** Written into heads. */
  readonly stamp: () => HeadStamp;
  readonly health: FileHealth;
}

/** The working parts of an open sealed file, as one head describes it. */
export interface FileParts extends FileOrigin {
  readonly geometry: Geometry;
  readonly epochs: Epochs;
  readonly births: Births;
  readonly slots: SlotSpace;
  readonly io: SlotIo;
  readonly map: BlockMap;
  readonly access: BlockAccess;
}

/**
 * @param head - Undefined for a new file.
 * @param isDurable - Whether all that the head refers to is known to be on the medium.
 */
export function makeParts(origin: FileOrigin, keys: ZoneKeys, head: Head | undefined, isDurable: boolean): FileParts {
  const { backing, fileId, layout, report } = origin;
  const geometry = geometryOf(layout);
  const table = head === undefined ? [] : head.epochs.map((epoch) => ({ ...epoch }));
  const epochs = new Epochs(
    keys,
    fileId,
    table,
    table.find((epoch) => epoch.index === head?.epoch),
  );
  const birth = head?.birth ?? 0;
  const births = new Births(birth, isDurable ? birth : (head?.baseBirth ?? 0));
  const slots = new SlotSpace(births, head?.highWater ?? 0, (head?.blocks ?? 0) + (head?.pages ?? 0));
  const io = new SlotIo(backing, fileId, geometry, epochs, report);
  const map = new BlockMap(io, epochs, slots, births, isDurable && head !== undefined ? { ...head, fresh: 0 } : head);
  const access = new BlockAccess(io, map, epochs, slots, births);
  return { ...origin, geometry, epochs, births, slots, io, map, access };
}
