import { driverOver } from "./driver.ts";
import { fscryptStore } from "./fscrypt.ts";
import { gocryptfsStore } from "./gocryptfs.ts";
import { levelStore, nativeStore } from "./in-program.ts";
import type { VolumeStore } from "./store.ts";
import type { VolumeDriver, VolumeKind } from "./volume.ts";

const stores: Readonly<Record<VolumeKind, VolumeStore>> = {
  fscrypt: fscryptStore,
  gocryptfs: gocryptfsStore,
  level: levelStore,
  native: nativeStore,
};

/** The driver of a kind of volume. */
export function volumeDriver(kind: VolumeKind): VolumeDriver {
  return driverOver(stores[kind]);
}
