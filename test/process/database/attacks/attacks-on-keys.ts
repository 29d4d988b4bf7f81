import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scaled } from "../../../run-settings.ts";
import { randomMoments } from "../../volume/engines/random-moments.ts";
import type { AttackedInstance } from "./attacked-instance.ts";
import type { Attack } from "./attacks-on-content.ts";
import { tableBytes, tableFile } from "./stored-keys.ts";

/**
 * Attacks on the key table and the other files of an instance's keys. The records of a table are sealed: who has no key can change
 * the envelope of a shard, and what a zone is, only by changing bits, cutting, and putting in records of other tables.
 *
 * @param foreign - The folder of another instance under the same master key, and of one under another.
 */
export function attacksOnKeys(
  attacked: AttackedInstance,
  foreign: { readonly sameMaster: string; readonly otherMaster: string },
): ReadonlyMap<string, Attack> {
  const from = (other: string, name: string) => (folder: string) => cpSync(join(other, name), join(folder, name));
  const random = randomMoments();
  const used = tableBytes(attacked.whole);
  const flips = Array.from({ length: scaled(60) }, () => Math.floor(random() * used));
  return new Map<string, Attack>([
    ...flips.map((at) => [`byte ${at} of the key table changed`, (folder: string) => flip(folder, at)] as const),
    ["the end of another instance's key table", (folder) => graft(folder, foreign.sameMaster, used)],
    ["the key table of another instance", from(foreign.sameMaster, "store/keys")],
    ["the key table of another master key's instance", from(foreign.otherMaster, "store/keys")],
    ["a key table cut in two", (folder) => truncateSync(tableFile(folder), Math.floor(used / 2))],
    ["a key table without its last record", (folder) => truncateSync(tableFile(folder), used - 1)],
    ["an empty key table", (folder) => truncateSync(tableFile(folder), 0)],
    ["no key table", (folder) => rmSync(tableFile(folder))],
    ["the header of another instance", from(foreign.sameMaster, "volume.header")],
    ["the instance key's envelope of another instance", from(foreign.sameMaster, "instance.envelope")],
    ["the instance key's envelope of another master key", from(foreign.otherMaster, "instance.envelope")],
    [
      "the instance key's envelope of another instance, and no file with the key",
      (folder) => {
        from(foreign.sameMaster, "instance.envelope")(folder);
        rmSync(join(folder, "instance.key"));
      },
    ],
    [
      "the instance key of another instance, and no envelope",
      (folder) => {
        from(foreign.sameMaster, "instance.key")(folder);
        rmSync(join(folder, "instance.envelope"));
      },
    ],
  ]);
}

function flip(folder: string, at: number): void {
  const bytes = readFileSync(tableFile(folder));
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(tableFile(folder), bytes);
}

/** The second half of what is used of another table, at its own place. */
function graft(folder: string, other: string, used: number): void {
  const bytes = readFileSync(tableFile(folder));
  const half = Math.floor(Math.min(used, tableBytes(other)) / 2);
  readFileSync(tableFile(other)).copy(bytes, half, half, 2 * half);
  writeFileSync(tableFile(folder), bytes);
}
