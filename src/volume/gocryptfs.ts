import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { syncFolder } from "../files/durable-file.ts";
import { VolumeError } from "./errors.ts";
import { detachFuse, fuseMountState, unmountOrCutOff } from "./fuse-mount.ts";
import { serveGocryptfs } from "./gocryptfs-server.ts";
import { hexBytes } from "./key-encoding.ts";
import type { PlacePaths } from "./place.ts";
import { namesIn, refuseUnlessEmpty } from "./place.ts";
import type { StoreContext, VolumeStore } from "./store.ts";
import { requireTool, runTool } from "./tool.ts";
import type { Finding } from "./volume.ts";

const mountType = "fuse.gocryptfs";
const masterKeyBytes = 32;
/** Per-directory IV of gocryptfs: 16 random bytes, read-only, in every folder (gocryptfs "DirIV"). */
const folderIvFile = "gocryptfs.diriv";
const folderIvBytes = 16;
const fsckFoundErrors = 26;

/**
 * gocryptfs: content in authenticated 4 KiB blocks, names encrypted, by Debian's gocryptfs over FUSE.
 *
 * Its master key is derived from the data key and given on standard input (`-masterkey=stdin`), so there is no password,
 * no scrypt and no gocryptfs.conf: every setting comes from our authenticated header, none from an unauthenticated file.
 */
export const gocryptfsStore: VolumeStore = {
  kind: "gocryptfs",
  suites: ["intl"],
  parameters: {
    cipher: {
      meaning: "how file content is encrypted; the second is for processors without AES instructions",
      default: "aes-256-gcm",
      pattern: /^(aes-256-gcm|xchacha20-poly1305)$/,
    },
  },
  encryptsAnyFile: true,
  canOutliveOwner: true,

  async make({ place }) {
    requireTool("gocryptfs", "gocryptfs");
    requireTool("fusermount3", "fuse3");
    mkdirSync(place.root, { mode: 0o700 });
    mkdirSync(place.store, { mode: 0o700 });
    writeFileSync(join(place.store, folderIvFile), randomBytes(folderIvBytes), { mode: 0o440, flush: true });
    syncFolder(place.store);
  },

  async verifyPresence(place) {
    const iv = lstatSync(join(place.store, folderIvFile), { throwIfNoEntry: false });
    if (iv?.isFile() !== true || iv.size !== folderIvBytes)
      throw new VolumeError(
        "VOLUME_STORE_DAMAGED",
        `${place.store} is not a gocryptfs store: its ${folderIvFile} is missing or cut; restore the folder from a backup`,
      );
  },

  async open(context, lock, options) {
    const { place } = context;
    mkdirSync(place.root, { recursive: true, mode: 0o700 });
    refuseUnlessEmpty(
      place.root,
      "something wrote there in plain while the volume was locked; move these files away and open again",
    );
    return serveGocryptfs({ place, flags: flagsOf(context), masterKey: masterKeyLine(context), lock, options });
  },

  state: (place) => fuseMountState(place.root, mountType),

  async shutLeftover(place, options) {
    if ((await fuseMountState(place.root, mountType)) === "dead") return detachFuse(place.root);
    await unmountOrCutOff(place.root, options, () => {
      for (const pid of serversOf(place)) process.kill(pid, "SIGTERM");
      return detachFuse(place.root);
    });
  },

  async inspect(context) {
    // gocryptfs checks through a mount of its own, which it makes in its temporary folder.
    for (const abandoned of namesIn(context.place.folder).filter((name) => /^check-[A-Za-z0-9]{6}$/.test(name)))
      await removeCheckFolder(join(context.place.folder, abandoned));
    const temporary = mkdtempSync(join(context.place.folder, "check-"));
    try {
      const { exitCode, output } = await runTool(
        requireTool("gocryptfs", "gocryptfs"),
        ["-fsck", "-masterkey=stdin", ...flagsOf(context), "--", context.place.store],
        { input: masterKeyLine(context), environment: { TMPDIR: temporary } },
      );
      if (exitCode !== 0 && exitCode !== fsckFoundErrors)
        throw new VolumeError("VOLUME_TOOL_FAILED", `gocryptfs -fsck ended with ${exitCode}: ${output}`);
      return [storeFinding(exitCode === 0, output)];
    } finally {
      await removeCheckFolder(temporary);
    }
  },
};

/** Removes the mount point of a check, and the mount if the check was killed. */
async function removeCheckFolder(temporary: string): Promise<void> {
  for (const name of namesIn(temporary)) {
    await detachFuse(join(temporary, name));
    rmdirSync(join(temporary, name));
  }
  rmdirSync(temporary);
}

function flagsOf({ description }: StoreContext): string[] {
  return description.parameters.cipher === "xchacha20-poly1305" ? ["-xchacha"] : [];
}

/** The master key as gocryptfs reads it: 64 hex digits and a newline. The reader of the line wipes it. */
function masterKeyLine(context: StoreContext): Buffer {
  using key = context.deriveKey("master-key", masterKeyBytes);
  return key.expose((bytes) => hexBytes(bytes, Buffer.alloc(0), Buffer.from("\n")));
}

function storeFinding(ok: boolean, output: string): Finding {
  const problems = output.split("\n").filter((line) => /^fsck(:| summary)/.test(line));
  return {
    check: "every file and name of the store",
    ok,
    detail: ok ? "decrypts and authenticates" : problems.join("; ").slice(0, 1000),
    ...(ok ? {} : { remedy: "restore the files named from a backup; the others are whole" }),
  };
}

/** The gocryptfs processes that share the volume's lock. */
function serversOf(place: PlacePaths): number[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (readFileSync(`/proc/${pid}/comm`, "utf8").trim() !== "gocryptfs") return false;
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(place.store);
      } catch {
        return false;
      }
    });
}
