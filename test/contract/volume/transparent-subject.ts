import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OpenVolume } from "../../../src/volume/volume.ts";

/** How any unmodified program uses a volume that encrypts beneath it. */
export const transparent = {
  hidesNames: true,
  knowsBusy: true,
  write: (volume: OpenVolume, name: string, value: string) => writeFileSync(join(volume.dataPath, name), value),
  read: (volume: OpenVolume, name: string) => readFileSync(join(volume.dataPath, name), "utf8"),
};
