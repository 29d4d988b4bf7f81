import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { suites } from "../crypto/suite.ts";
import { VolumeError } from "./errors.ts";
import { detachFuse, fuseMountState, unmountOrCutOff } from "./fuse-mount.ts";
import type { KeyHolder } from "./key-holder.ts";
import { refuseUnlessEmpty } from "./place.ts";
import { mountType } from "./sealfs/kernel/mount.ts";
import { encodeHandover, type Handover, type StoreHandover } from "./sealfs/server/handover.ts";
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
    anchor: {
      meaning:
        "whether the key manager keeps how far the volume has come, so that an older copy is noticed: none or key-manager",
      default: "none",
      pattern: /^(none|key-manager)$/,
    },
  },
  encryptsAnyFile: true,
  canOutliveOwner: true,
  notesOrderlyEnd: true,
  hasZones: true,

  async make(context, zones) {
    mkdirSync(context.place.root, { mode: 0o700 });
    const { makeSealedStore } = await import("./sealfs/server/make-store.ts");
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    await makeSealedStore(handoverOf(context), tableKey, zones);
  },

  async verifyPresence(place) {
    const tree = lstatSync(join(place.store, storeNames.tree), { throwIfNoEntry: false });
    if (tree?.isDirectory() !== true || !existsSync(join(place.store, storeNames.keyTable)))
      throw new VolumeError(
        "VOLUME_STORE_DAMAGED",
        `${place.store} is not a sealfs store: its key table or its tree is missing; restore the folder from a backup`,
      );
  },

  async open(context, lock, { outliveOwner = false, owner, onDamage, keyHolder, hideLocked = false }) {
    const { place } = context;
    mkdirSync(place.root, { recursive: true, mode: 0o700 });
    refuseUnlessEmpty(
      place.root,
      "something wrote there in plain while the volume was locked; move these files away and open again",
    );
    const allowOther = process.getuid?.() === 0 || (owner !== undefined && owner.uid !== process.getuid?.());
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    const { controlSocket } = place;
    const settings = {
      ...{ ...handoverOf(context), allowOther, hasOwner: !outliveOwner, controlSocket, hideLocked },
      ...told(keyHolder),
    };
    return serveSealfs({
      ...{ place, handover: encodeHandover(settings, tableKey), lock, outliveOwner },
      ...(onDamage === undefined ? {} : { onDamage }),
      ...(keyHolder?.unwrap === undefined ? {} : { unwrap: keyHolder.unwrap }),
    });
  },

  state: (place) => fuseMountState(place.root, mountType),

  async shutLeftover(place, options) {
    if ((await fuseMountState(place.root, mountType)) === "dead") return detachFuse(place.root);
    await unmountOrCutOff(place.root, options, () => detachFuse(place.root));
  },

  async head({ place, description, deriveKey }) {
    const { openKeyTable } = await import("./sealfs/keys/open-table.ts");
    using tableKey = deriveKey("table-key", tableKeyBytes);
    const volumeId = Buffer.from(description.volumeId.replaceAll("-", ""), "hex");
    const suite = suites[description.suite];
    using table = await openKeyTable({ folder: place.store, volumeId, suite, tableKey }, { readOnly: true });
    return table.head;
  },

  async inspect(context) {
    using tableKey = context.deriveKey("table-key", tableKeyBytes);
    return await inspectSealedStore(handoverOf(context), tableKey);
  },
};

/** What the server is told of who opens envelopes. */
function told(keyHolder: KeyHolder | undefined): Pick<Handover, "keyHolder"> {
  if (keyHolder === undefined) return {};
  const canUnwrap = keyHolder.unwrap !== undefined;
  return { keyHolder: { publicKey: keyHolder.publicKey.toString("hex"), canUnwrap } };
}

function handoverOf({ place, description, anchored }: StoreContext): StoreHandover {
  const { blockSize: blockBytes, integrity, names } = description.parameters;
  return {
    store: place.store,
    mountPoint: place.root,
    volumeId: description.volumeId,
    suite: description.suite,
    layout: { blockBytes: Number(blockBytes), integrity: integrity as FileLayout["integrity"] },
    names: names as Handover["names"],
    ...(anchored === undefined
      ? {}
      : { anchored: { sequence: anchored.sequence, link: anchored.link.toString("hex") } }),
  };
}
