import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { readVolumeHeader } from "../../../../../src/volume/header.ts";
import { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";
import { countZone, noFindings } from "../../../../../src/volume/sealfs/server/zone-check.ts";
import { deriveVolumeKey } from "../../../../../src/volume/sub-key.ts";

const root = 1;

/** Looks into a locked sealfs volume without changing anything. */
export async function lookInto<T>(
  folder: string,
  dataKey: SecretBuffer,
  look: (volume: OpenedVolume) => T,
): Promise<T> {
  const description = readVolumeHeader(readFileSync(join(folder, "volume.header")));
  const { volumeId, suite, parameters } = description;
  using tableKey = deriveVolumeKey(description, dataKey, "table-key", 32);
  const volume = await OpenedVolume.open(
    {
      ...{ store: join(folder, "store"), mountPoint: "/", volumeId, suite },
      layout: { blockBytes: Number(parameters.blockSize), integrity: parameters.integrity as "blocks" | "tree" },
      names: parameters.names as "plain" | "encrypted",
    },
    tableKey,
    () => {},
    "check",
  );
  try {
    return look(volume);
  } finally {
    volume.close();
  }
}

/** Bytes of a zone that lie under each generation, as the files' heads say. @throws {Error} When something cannot be read. */
export function bytesUnder({ tree, keys }: OpenedVolume, path: readonly string[]): ReadonlyMap<number, number> {
  const zone = keys.table.zoneMadeFor(path);
  if (zone === undefined) throw new Error(`there is no zone at ${path.join("/")}`);
  const found = noFindings();
  const steps = countZone({ tree, keys, zone }, found);
  while (steps.next().done !== true);
  if (found.damagedCount > 0) throw new Error(found.damaged.join("; "));
  return found.bytes;
}

/** Of those, what lies under others than the newest. */
export function olderBytes(volume: OpenedVolume, path: readonly string[]): number {
  const newest = volume.keys.table.zoneMadeFor(path)?.highestGeneration;
  let older = 0;
  for (const [generation, bytes] of bytesUnder(volume, path)) if (generation !== newest) older += bytes;
  return older;
}

export function contentOf({ tree }: OpenedVolume, path: readonly string[]): Buffer {
  const nodes: number[] = [];
  let size = 0;
  for (const name of path) {
    const { node, attributes } = tree.lookup(nodes.at(-1) ?? root, name);
    nodes.push(node);
    size = attributes.size;
  }
  const handle = tree.open(nodes.at(-1) ?? root, 0);
  try {
    const content = Buffer.alloc(size);
    for (let at = 0; at < size; ) {
      const count = tree.read(handle, at, content.subarray(at, at + 1024 * 1024));
      if (count === 0) throw new Error(`${path.join("/")} ends early`);
      at += count;
    }
    return content;
  } finally {
    tree.release(handle);
    for (const node of nodes.reverse()) tree.forget(node, 1);
  }
}
