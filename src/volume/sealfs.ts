import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { VolumeError } from "./errors.ts";
import { detachFuse, fuseMountState, unmountFuse } from "./fuse-mount.ts";
import { refuseUnlessEmpty } from "./place.ts";
import { mountType } from "./sealfs/kernel/mount.ts";
import { encodeHandover, type Handover } from "./sealfs/server/handover.ts";
import { inspectSealedStore } from "./sealfs/server/inspection.ts";
import { storeNames } from "./sealfs/server/store-names.ts";
import type { FileLayout } from "./sealfs/stored-file.ts";
import { serveSealfs } from "./sealfs-server.ts";
import type { StoreContext, VolumeStore } from "./store.ts";

const tableKeyBytes = 32;

/** Our own file system: contents in authenticated blocks under AES-256-GCM or SM4-GCM, over FUSE (docs/sealfs.md). */
export const sealfsStore: VolumeStore = {
  kind: "sealfs",
  suites: ["intl", "sm"],
  parameters: {
    blockSize: {
      meaning: "bytes of a file that are sealed together: 4096, 8192, 16384, 32768 or 65536",
      default: "16384",
      pattern: /^(4096|8192|16384|32768|65536)$/,
    },
    integrity: {
      meaning: "blocks: a changed block is noticed; tree: an older version of a block as well",
      default: "tree",
      pattern: /^(blocks|tree)$/,
    },
    names: {
      meaning: "whether the sealed folder shows the names of files: plain or encrypted",
      default: "encrypted",
      pattern: /^(plain|encrypted)$/,
    },
  },
  encryptsAnyFile: true,
  canOutliveOwner: true,

  async make(context) {
    mkdirSync(context.place.root, { mode: 0o700 });
    const { makeSealedStore } = await import("./sealfs/server/make-store.ts");
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    await makeSealedStore(handoverOf(context), tableKey);
  },

  async verifyPresence(place) {
    const tree = lstatSync(join(place.store, storeNames.tree), { throwIfNoEntry: false });
    if (tree?.isDirectory() !== true || !existsSync(join(place.store, storeNames.keyTable)))
      throw new VolumeError(
        "VOLUME_STORE_DAMAGED",
        `${place.store} is not a sealfs store: its key table or its tree is missing; restore the folder from a backup`,
      );
  },

  async open(context, lock, { outliveOwner = false, owner, onDamage }) {
    const { place } = context;
    mkdirSync(place.root, { recursive: true, mode: 0o700 });
    refuseUnlessEmpty(
      place.root,
      "something wrote there in plain while the volume was locked; move these files away and open again",
    );
    const allowOther = process.getuid?.() === 0 || (owner !== undefined && owner.uid !== process.getuid?.());
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    const handover = encodeHandover({ ...handoverOf(context), allowOther, hasOwner: !outliveOwner }, tableKey);
    return serveSealfs({ place, handover, lock, outliveOwner, ...(onDamage === undefined ? {} : { onDamage }) });
  },

  state: (place) => fuseMountState(place.root, mountType),

  async shutLeftover(place, { patienceMs, whenBusy }) {
    if ((await fuseMountState(place.root, mountType)) === "dead") return detachFuse(place.root);
    try {
      await unmountFuse(place.root, patienceMs);
    } catch (error) {
      if (whenBusy === "refuse" || !(error instanceof VolumeError) || error.code !== "VOLUME_BUSY") throw error;
      await detachFuse(place.root);
    }
  },

  async inspect(context) {
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    return await inspectSealedStore(handoverOf(context), tableKey);
  },
};

function handoverOf({ place, description }: StoreContext): Omit<Handover, "allowOther" | "hasOwner"> {
  const { blockSize: blockBytes, integrity, names } = description.parameters;
  return {
    store: place.store,
    mountPoint: place.root,
    volumeId: description.volumeId,
    suite: description.suite,
    layout: { blockBytes: Number(blockBytes), integrity: integrity as FileLayout["integrity"] },
    names: names as Handover["names"],
  };
}
