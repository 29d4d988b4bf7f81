import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, statSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { writeDurably } from "../files/durable-file.ts";
import { anchoredAtKeyManager, type VolumeAnchor, type VolumeHead } from "./anchor.ts";
import { abortCreation, beginCreation, endCreation, preparePlace, refuseUnlessClaimable } from "./creation.ts";
import { VolumeError } from "./errors.ts";
import { encodeVolumeHeader, readVolumeHeader, verifyVolumeHeader } from "./header.ts";
import { readHeaderFile } from "./header-file.ts";
import { OwnerLock, readNote } from "./owner-lock.ts";
import { settleParameters } from "./parameters.ts";
import { type PlacePaths, placePaths } from "./place.ts";
import type { OpenStore, StoreContext, VolumeStore } from "./store.ts";
import { deriveVolumeKey } from "./sub-key.ts";
import type {
  CloseOptions,
  CreateOptions,
  OpenOptions,
  OpenVolume,
  VolumeDescription,
  VolumeDriver,
  VolumePlace,
  VolumeReport,
  VolumeStatus,
} from "./volume.ts";

const defaultPatienceMs = 2000;
/** How long a server may take to end after its volume was unmounted. */
const serverEndMs = 5000;

/** A driver over one kind of store. It keeps the order that every kind promises: lock, header, key check, then the store. */
export function driverOver(store: VolumeStore): VolumeDriver {
  return {
    kind: store.kind,
    suites: store.suites,
    parameters: store.parameters,
    create: (at, dataKey, options = {}) => createVolume(store, at, dataKey, options),
    open: (at, dataKey, options = {}) => openVolume(store, at, dataKey, options),
    status: (at) => volumeStatus(store, at),
    close: (at, options = {}) => closeLeftOpen(store, at, options),
    anchor: (at, dataKey, anchor) => anchorVolume(store, at, dataKey, anchor),
    check: (at, dataKey) => checkVolume(store, at, dataKey),
  };
}

async function createVolume(
  store: VolumeStore,
  at: VolumePlace,
  dataKey: SecretBuffer,
  { suite = "intl", parameters = {}, zones, besides = [] }: CreateOptions,
): Promise<VolumeDescription> {
  if (zones !== undefined && store.hasZones !== true)
    throw new VolumeError("VOLUME_PARAMETER_INVALID", `a ${store.kind} volume has no zones; choose the kind sealfs`);
  const description: VolumeDescription = {
    kind: store.kind,
    volumeId: randomUUID(),
    suite,
    parameters: settleParameters(store, suite, parameters),
  };
  const header = encodeVolumeHeader(description, dataKey);
  const place = preparePlace(at, besides);
  const lock = await OwnerLock.acquire(place.lockFile, true);
  try {
    refuseUnlessClaimable(place, besides);
    beginCreation(place);
    await store.make(contextOf(place, description, dataKey), zones);
    writeDurably(place.headerFile, header);
    endCreation(place);
  } catch (error) {
    // A creation that was refused leaves nothing to clear up by hand; one that was killed is cleared by the next.
    if (existsSync(place.creationMarker) && !existsSync(place.headerFile)) abortCreation(place);
    throw error;
  } finally {
    lock.release();
  }
  return description;
}

async function openVolume(
  store: VolumeStore,
  at: VolumePlace,
  dataKey: SecretBuffer,
  options: OpenOptions,
): Promise<OpenVolume> {
  if (options.outliveOwner === true && !store.canOutliveOwner)
    throw new VolumeError(
      "VOLUME_PARAMETER_INVALID",
      `a ${store.kind} volume has nothing that stays open after its owner; open it from the process that uses it`,
    );
  if (options.keyHolder !== undefined && (store.hasZones !== true || options.outliveOwner === true))
    throw new VolumeError(
      "VOLUME_PARAMETER_INVALID",
      store.hasZones === true
        ? "a volume that outlives its owner has nobody who could open the keys of its sealed zones"
        : `a ${store.kind} volume has no sealed zones; open it without a key holder`,
    );
  const place = placePaths(at);
  const lock = await lockExisting(place);
  let noted = false;
  try {
    const context = verifiedContext(store, place, dataKey);
    await store.verifyPresence(place);
    const { anchored, advance } = await anchoring(store, context, options.anchor);
    const state = await store.state(place);
    if (state === "serving" && readNote(place.lockFile)?.leftOpen === true)
      throw new VolumeError("VOLUME_ALREADY_OPEN", `${place.folder} was left open on purpose; close it, then open it`);
    if (state !== "closed") await store.shutLeftover(place, closeOptions({}));
    lock.note({ pid: process.pid, leftOpen: false });
    noted = true;
    // A creation killed at its very end left its marker. Data must never lie beside one: with the header lost as well, a
    // new creation would take the store for its own leftovers.
    if (existsSync(place.creationMarker)) endCreation(place);
    const opened = await store.open({ ...context, ...(anchored === undefined ? {} : { anchored }) }, lock, options);
    try {
      await advance("risen");
      layFolders(store, place, options);
      if (options.outliveOwner === true) lock.note({ pid: process.pid, leftOpen: true });
    } catch (error) {
      await opened.close({ patienceMs: defaultPatienceMs, whenBusy: "cutOff" });
      throw error;
    }
    return openHandle(store, context, opened, lock);
  } catch (error) {
    // The note goes only if we wrote it: a refused open leaves the lock file as it was.
    if (noted) lock.release();
    else lock.abandon();
    throw error;
  }
}

function openHandle(store: VolumeStore, context: StoreContext, opened: OpenStore, lock: OwnerLock): OpenVolume {
  const { place, description } = context;
  let closed = false;
  return {
    description,
    dataPath: place.data,
    ...(store.encryptsAnyFile ? { temporaryPath: place.temporary, logPath: place.logs } : {}),
    programKeys: opened.programKeys,
    lost: opened.lost,
    async close(options = {}) {
      if (closed) return;
      await opened.close(closeOptions(options));
      closed = true;
      for (const key of opened.programKeys) key.value[Symbol.dispose]();
      lock.release();
    },
  };
}

async function volumeStatus(store: VolumeStore, at: VolumePlace): Promise<VolumeStatus> {
  const place = placePaths(at);
  if (!existsSync(place.headerFile))
    return existsSync(place.creationMarker)
      ? { state: "incomplete", detail: `the creation of ${place.folder} was interrupted; create it again` }
      : { state: "absent", detail: `there is no volume at ${place.folder}` };
  const description = readVolumeHeader(readHeaderFile(place));
  refuseOtherKind(store, description, place);
  const [storeState, held] = [await store.state(place), await OwnerLock.isHeld(place.lockFile)];
  const note = readNote(place.lockFile);
  const owner = note === undefined ? {} : { ownerPid: note.pid };
  if (storeState === "draining")
    return { state: "busy", description, detail: "its key is removed, but files opened before are still in use" };
  if (held) return { state: "open", description, ...owner, detail: `held by process ${note?.pid ?? "unknown"}` };
  if (storeState === "closed") return { state: "locked", description, detail: "only ciphertext is there" };
  if (storeState === "serving" && note?.leftOpen === true)
    return { state: "open", description, detail: "left open on purpose; close it with: strongroom volume close" };
  return { state: "stale", description, detail: "its owner died; the next open or close mends it" };
}

async function closeLeftOpen(store: VolumeStore, at: VolumePlace, options: CloseOptions): Promise<void> {
  const place = placePaths(at);
  refuseOtherKind(store, readVolumeHeader(readHeaderFile(place)), place);
  if ((await store.state(place)) === "closed" && !(await OwnerLock.isHeld(place.lockFile)))
    throw new VolumeError("VOLUME_NOT_OPEN", `the volume at ${place.folder} is locked already`);
  // A server that was left running holds the lock itself, and gives it up when it ends.
  const leftOpen = readNote(place.lockFile)?.leftOpen === true;
  if (leftOpen) await store.shutLeftover(place, closeOptions(options));
  const lock = await lockExisting(place, leftOpen ? serverEndMs : 0);
  try {
    if ((await store.state(place)) !== "closed") await store.shutLeftover(place, closeOptions(options));
  } catch (error) {
    lock.abandon();
    throw error;
  }
  const note = readNote(place.lockFile);
  lock.release();
  if (store.notesOrderlyEnd === true && note !== undefined && note.endedWell !== true)
    throw new VolumeError(
      "VOLUME_ENDED_BADLY",
      `${place.folder} is locked now, but its server ended without closing it in good order: what was written last may be lost; check it`,
    );
}

async function anchorVolume(
  store: VolumeStore,
  at: VolumePlace,
  dataKey: SecretBuffer,
  anchor: VolumeAnchor,
): Promise<void> {
  const place = placePaths(at);
  const lock = await lockExisting(place);
  try {
    const { advance } = await anchoring(store, verifiedContext(store, place, dataKey), anchor);
    await advance("any");
  } finally {
    lock.abandon();
  }
}

/** What has been compared with its anchor. */
interface Anchoring {
  /** Where the volume stood; undefined for one without an anchor. */
  readonly anchored?: VolumeHead;
  /** Keeps where it stands now. @param how - `risen`: something was written since, so that where it stood before is not believed. */
  advance(how: "risen" | "any"): Promise<void>;
}

/** Compares a volume with its anchor, before anything of it is opened. */
async function anchoring(
  store: VolumeStore,
  context: StoreContext,
  anchor: VolumeAnchor | undefined,
): Promise<Anchoring> {
  const { description, place } = context;
  if (description.parameters.anchor !== anchoredAtKeyManager) return { advance: async () => {} };
  const headOf = async (): Promise<VolumeHead> => {
    if (store.head === undefined)
      throw new VolumeError("VOLUME_UNSUPPORTED", `a ${store.kind} volume has nothing that an anchor could hold`);
    return store.head(context);
  };
  if (anchor === undefined)
    throw new VolumeError(
      "VOLUME_PARAMETER_INVALID",
      `the volume at ${place.folder} has its state kept at a key manager (anchor=${anchoredAtKeyManager}); open it with the node it belongs to`,
    );
  const anchored = await headOf();
  await anchor.check(description.volumeId, anchored);
  return {
    anchored,
    async advance(how) {
      const head = await headOf();
      if (how === "risen" && head.sequence <= anchored.sequence)
        throw new VolumeError(
          "VOLUME_ROLLED_BACK",
          `the key table of ${place.folder} was put back while it was opened`,
        );
      await anchor.advance(description.volumeId, head);
    },
  };
}

async function checkVolume(store: VolumeStore, at: VolumePlace, dataKey: SecretBuffer): Promise<VolumeReport> {
  const place = placePaths(at);
  const lock = await lockExisting(place);
  try {
    const context = verifiedContext(store, place, dataKey);
    await store.verifyPresence(place);
    if ((await store.state(place)) !== "closed")
      throw new VolumeError("VOLUME_ALREADY_OPEN", `the volume at ${place.folder} was left open; close it, then check`);
    const findings = [
      { check: "header", ok: true, detail: "authentic, and the data key is this volume's" },
      ...(await store.inspect(context)),
    ];
    return { description: context.description, findings, sound: findings.every((finding) => finding.ok) };
  } finally {
    lock.abandon();
  }
}

/** Takes the lock of a volume that is there. @throws {VolumeError} `VOLUME_ABSENT`, `VOLUME_INCOMPLETE`, `VOLUME_ALREADY_OPEN`. */
export async function lockExisting(place: PlacePaths, patienceMs = 0): Promise<OwnerLock> {
  if (!existsSync(place.headerFile))
    throw existsSync(place.creationMarker)
      ? new VolumeError("VOLUME_INCOMPLETE", `the creation of ${place.folder} was interrupted; create it again`)
      : new VolumeError("VOLUME_ABSENT", `there is no volume at ${place.folder}: volume.header is missing`);
  // A volume restored from a backup may come without its lock file.
  return OwnerLock.acquire(place.lockFile, true, patienceMs);
}

/** Reads the header, and proves it and the key, before anything else is looked at. */
export function verifiedContext(store: VolumeStore, place: PlacePaths, dataKey: SecretBuffer): StoreContext {
  const file = readHeaderFile(place);
  refuseOtherKind(store, readVolumeHeader(file), place);
  const description = verifyVolumeHeader(file, dataKey);
  settleParameters(store, description.suite, description.parameters);
  return contextOf(place, description, dataKey);
}

/** What a store is given, of a description that was verified. */
export function contextOf(place: PlacePaths, description: VolumeDescription, dataKey: SecretBuffer): StoreContext {
  return { place, description, deriveKey: (purpose, bytes) => deriveVolumeKey(description, dataKey, purpose, bytes) };
}

/** @throws {VolumeError} `VOLUME_KIND_MISMATCH`. */
export function refuseOtherKind(store: VolumeStore, description: VolumeDescription, place: PlacePaths): void {
  if (description.kind !== store.kind)
    throw new VolumeError(
      "VOLUME_KIND_MISMATCH",
      `${place.folder} is a ${description.kind} volume, not ${store.kind}; name the kind it has`,
    );
}

/** Makes the program's folders on the open volume, owned by whom it runs as, and lets that user reach them. */
function layFolders(store: VolumeStore, place: PlacePaths, { owner }: OpenOptions): void {
  for (const folder of store.encryptsAnyFile ? [place.data, place.temporary, place.logs] : [place.data]) {
    if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) mkdirSync(folder, { mode: 0o700 });
    const { uid, gid } = statSync(folder);
    if (owner !== undefined && (owner.uid !== uid || owner.gid !== gid)) chownSync(folder, owner.uid, owner.gid);
  }
  if (owner === undefined || owner.uid === process.getuid?.()) return;
  for (const folder of [place.folder, place.root]) chmodSync(folder, 0o711);
}

function closeOptions({ patienceMs = defaultPatienceMs, whenBusy = "refuse" }: CloseOptions): Required<CloseOptions> {
  return { patienceMs, whenBusy };
}
