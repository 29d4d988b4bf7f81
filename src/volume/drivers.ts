import { driverOver } from "./driver.ts";
import type { VolumeStore } from "./store.ts";
import type { VolumeDriver, VolumeKind } from "./volume.ts";

const stores: Readonly<Record<VolumeKind, () => Promise<VolumeStore>>> = {
  fscrypt: async () => (await import("./fscrypt.ts")).fscryptStore,
  gocryptfs: async () => (await import("./gocryptfs.ts")).gocryptfsStore,
  sealfs: async () => (await import("./sealfs.ts")).sealfsStore,
  level: async () => (await import("./in-program.ts")).levelStore,
  native: async () => (await import("./in-program.ts")).nativeStore,
};

/** Loads the store of a kind of volume, for what works on the store of a locked volume itself. */
export function volumeStore(kind: VolumeKind): Promise<VolumeStore> {
  return stores[kind]();
}

/** Loads the driver of a kind of volume, and nothing of the other kinds. */
export async function volumeDriver(kind: VolumeKind): Promise<VolumeDriver> {
  return driverOver(await stores[kind]());
}
