import { basename } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { counterAnchor } from "../volume/anchor.ts";
import type { OpenVolume, VolumeDriver } from "../volume/volume.ts";
import { releaseDataKey } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import type { KeyToHandOver, sealedFileKey } from "./handover.ts";
import type { KeyFormat } from "./key-formats/format.ts";
import type { KeyManager } from "./key-manager.ts";
import { isFisco, type SealedFileEntry } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import type { OpenedKey } from "./sealed-key-opening.ts";
import { isTaken } from "./substitutions.ts";
import { KeptAnchor } from "./volume-anchor.ts";

/** What a program is started with. */
export interface OpenedNode {
  readonly volume?: OpenVolume;
  readonly keys: readonly KeyToHandOver[];
}

/**
 * Opens and compares every sealed key, and opens the volume: everything that must hold before a program is started.
 *
 * @param answer - The data key that the key manager was asked for; it is gone from memory on return.
 * @param cleanup - Takes the keys and the volume: disposing of it wipes and locks.
 * @param tell - Told of damage that the open volume finds.
 * @param keyManager - Keeps the volume's anchor, where it has one.
 * @throws {NodeError} As `launchNode`; what `answer` rejects with passes through.
 */
export async function openNode(
  loaded: LoadedManifest,
  answer: Promise<SecretBuffer>,
  cleanup: AsyncDisposableStack,
  tell: (message: string) => void,
  keyManager: KeyManager,
): Promise<OpenedNode> {
  const { manifest } = loaded;
  const parts = loadParts(loaded);
  parts.catch(() => {});
  using dataKey = await answer;
  const { openKey, sealedFileKey, driver } = await parts;
  const keys: KeyToHandOver[] = [];
  for (const entry of manifest.sealedFiles) {
    const { plaintext } = openKey(entry, dataKey);
    cleanup.use(plaintext);
    // Each is opened and compared, also one that the program does not take: a changed file stops the start.
    if (!isTaken(manifest, entry)) {
      plaintext[Symbol.dispose]();
      continue;
    }
    const handedOver = await whatIsHandedOver(loaded, entry, plaintext);
    cleanup.use(handedOver);
    const key = { name: entry.name, key: sealedFileKey(entry, handedOver), reads: entry.reads };
    if (entry.handover === "keystore") keys.push({ ...key, keystoreName: basename(entry.path) });
    else if (entry.link && entry.handover !== "fd") keys.push({ ...key, linkPath: loaded.at(entry.path) });
    else keys.push(key);
  }
  if (manifest.volume === undefined || driver === undefined) return { keys };
  const onDamage = (what: string) => tell(`warning: the volume of ${manifest.node.name} is damaged: ${what}`);
  const place = { folder: loaded.at(manifest.volume.folder) };
  const anchor = counterAnchor(async () => keyManager);
  const volume = await driver.open(place, dataKey, { onDamage, anchor });
  const release = () => releaseDataKey(loaded, keyManager);
  const kept = new KeptAnchor({ driver, place, volume, anchor, releaseDataKey: release, tell });
  cleanup.defer(() => kept.closed());
  cleanup.defer(() => volume.close({ whenBusy: "cutOff" }));
  for (const key of volume.programKeys) keys.push({ name: "volume", key, reads: 1 });
  return { volume, keys };
}

/** A sealed file's plaintext itself, but for a PIN that the program takes from its config.ini only. */
async function whatIsHandedOver(
  loaded: LoadedManifest,
  { format }: SealedFileEntry,
  plaintext: SecretBuffer,
): Promise<SecretBuffer> {
  if (!isFisco(loaded.manifest.node.kind)) return plaintext;
  const { fiscoConfigWithPin, fiscoHsmPinFormat } = await import("./fisco-hsm-config.ts");
  return format === fiscoHsmPinFormat ? fiscoConfigWithPin(loaded.at("config.ini"), plaintext) : plaintext;
}

interface Parts {
  readonly openKey: (entry: SealedFileEntry, dataKey: SecretBuffer) => OpenedKey;
  readonly sealedFileKey: typeof sealedFileKey;
  readonly driver?: VolumeDriver;
}

/**
 * What a start needs once it has its key, loaded while the key manager's answer is on its way: a fifth of a launch's time.
 * Loading holds up the event loop, so the loop gets a turn before each part: the TLS handshake goes on meanwhile.
 */
async function loadParts(loaded: LoadedManifest): Promise<Parts> {
  const { volume } = loaded.manifest;
  await oneTurn();
  const openKey = await keyOpener(loaded);
  await oneTurn();
  const { sealedFileKey } = await import("./handover.ts");
  await oneTurn();
  if (volume === undefined) return { openKey, sealedFileKey };
  const { volumeDriver } = await import("../volume/drivers.ts");
  return { openKey, sealedFileKey, driver: await volumeDriver(volume.kind) };
}

/** Opens this node's own kinds of key files; the program's own encryption takes more code than sealed files do. */
async function keyOpener(loaded: LoadedManifest): Promise<Parts["openKey"]> {
  const { sealedFiles } = loaded.manifest;
  if (sealedFiles.some(({ handover }) => handover === "native")) {
    const { openKeyFile } = await import("./sealed-key.ts");
    return (entry, dataKey) => openKeyFile(loaded, entry, dataKey);
  }
  const { openSealedKey } = await import("./sealed-key-opening.ts");
  const { loadKeyFormat } = await import("./key-formats/load.ts");
  const formats = new Map<string, KeyFormat>();
  for (const { format } of sealedFiles) formats.set(format, await loadKeyFormat(format));
  return (entry, dataKey) => {
    const format = formats.get(entry.format);
    if (format === undefined) throw new NodeError("KEY_FILE_INVALID", `the format ${entry.format} was not loaded`);
    return openSealedKey(loaded, entry, format, dataKey);
  };
}

function oneTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
