import { mkdirSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { VolumeError } from "./errors.ts";
import { addKernelKey, folderPolicy, kernelKeyStatus, removeKernelKey, setFolderPolicy } from "./fscrypt-ioctl.ts";
import { isFolder, type PlacePaths } from "./place.ts";
import type { StoreContext, VolumeStore } from "./store.ts";
import { describeUsers, usersOfFilesUnder } from "./users-of-files.ts";
import type { CloseOptions } from "./volume.ts";

/** The largest key that the kernel takes; it derives a key for each file from it by HKDF-SHA512. */
const kernelKeyBytes = 64;
const retryMs = 50;
const checkPatienceMs = 2000;

/**
 * fscrypt: the kernel's own encryption of ext4 and f2fs (Documentation/filesystems/fscrypt.rst), version 2 policy,
 * AES-256-XTS contents and AES-256-CTS names. The key is in the kernel while the volume is open. No integrity.
 */
export const fscryptStore: VolumeStore = {
  kind: "fscrypt",
  suites: ["intl"],
  parameters: {},
  encryptsAnyFile: true,
  canOutliveOwner: true,

  async make({ place, ...context }) {
    mkdirSync(place.root, { mode: 0o700 });
    using key = kernelKey(context);
    const identifier = await addKernelKey(place.folder, key);
    try {
      await setFolderPolicy(place.root, identifier);
      syncFolder(place.folder);
    } finally {
      await removeKernelKey(place.folder, identifier);
    }
  },

  async verifyPresence(place) {
    if (!isFolder(place.root) || (await folderPolicy(place.root))?.asMade !== true)
      throw new VolumeError(
        "VOLUME_STORE_DAMAGED",
        `${place.root} is missing, or not encrypted as it was made: a copy made while the volume was open holds plain files; ` +
          "restore it into a new volume",
      );
  },

  async open(context) {
    using key = kernelKey(context);
    await addMatchingKey(context.place, key);
    return {
      programKeys: [],
      lost: new Promise(() => {}),
      close: (options) => lockRoot(context.place, options),
    };
  },

  async state(place) {
    const policy = isFolder(place.root) ? await folderPolicy(place.root) : undefined;
    if (policy === undefined) return "closed";
    const status = await kernelKeyStatus(place.folder, policy.identifier);
    return status === "present" ? "serving" : status === "draining" ? "draining" : "closed";
  },

  // Opening adds the same key again, which also takes back a removal that is still draining.
  shutLeftover: (place, options) => lockRoot(place, options),

  async inspect(context) {
    using key = kernelKey(context);
    await addMatchingKey(context.place, key);
    await lockRoot(context.place, { patienceMs: checkPatienceMs, whenBusy: "refuse" });
    return [
      { check: "encryption policy", ok: true, detail: "AES-256-XTS and AES-256-CTS under this volume's key" },
      { check: "file content", ok: true, detail: "not checked: this kind has no integrity protection to check" },
    ];
  },
};

function kernelKey(context: Pick<StoreContext, "deriveKey">): SecretBuffer {
  return context.deriveKey("kernel-key", kernelKeyBytes);
}

async function addMatchingKey(place: PlacePaths, key: SecretBuffer): Promise<Buffer> {
  const identifier = await addKernelKey(place.folder, key);
  if ((await folderPolicy(place.root))?.identifier.equals(identifier) === true) return identifier;
  await removeKernelKey(place.folder, identifier);
  throw new VolumeError(
    "VOLUME_STORE_DAMAGED",
    `${place.root} is encrypted under another key than the volume's header says: folder and header are of different ` +
      "volumes; restore both from the same backup",
  );
}

async function lockRoot(place: PlacePaths, { patienceMs }: Required<CloseOptions>): Promise<void> {
  const policy = await folderPolicy(place.root);
  if (policy === undefined) return;
  const begunMs = Date.now();
  while (!(await removeKernelKey(place.folder, policy.identifier))) {
    if (Date.now() - begunMs >= patienceMs)
      throw new VolumeError(
        "VOLUME_BUSY",
        `the key of ${place.root} is removed, but files that were open stay readable to ` +
          `${describeUsers(usersOfFilesUnder(place.root))}; stop it and close the volume again`,
      );
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}
