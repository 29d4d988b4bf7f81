import { chmodSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import { CatalogueError } from "../devices/catalogue/errors.ts";
import { catalogueFileName } from "../devices/catalogue/read.ts";
import type { OpenDevice } from "../devices/catalogue/shelf.ts";
import type { DeviceUsed, NamedDevice } from "../devices/device-secret.ts";
import { KeySlots, type SlotKind } from "../devices/key-slots.ts";
import type { RootKey } from "../devices/root-key.ts";
import { SoftDevice } from "../devices/soft.ts";
import type { NoticeKind } from "./audit/notice-rules.ts";
import { checkAgainstCheckpoint, checkLastRecord } from "./audit/store-checks.ts";
import { Custody, type CustodyParts, initialise } from "./custody.ts";
import { dataFiles } from "./data-files.ts";
import { mustBeDataFolder, NewDataFolder } from "./data-folder.ts";
import { CustodyError } from "./errors.ts";
import { FolderLock } from "./folder-lock.ts";
import { Journal } from "./journal.ts";
import { DirectOpener, type Opener, ThreadedOpener } from "./opening/opener.ts";
import { trustedDevicesName } from "./operations/devices.ts";
import type { Checkpoint, CustodyIdentity, CustodyService } from "./service.ts";
import { Authenticator } from "./state/authenticator.ts";
import type { State } from "./state/state.ts";
import { SqliteStore } from "./store/sqlite.ts";
import type { Store } from "./store/store.ts";
import { ThreadedStore } from "./store/threaded-store.ts";

export interface InitOptions {
  readonly dataDir: string;
  /** Stays the caller's to dispose of. */
  readonly unlock: SecretBuffer;
  /** @defaultValue `"passphrase"` */
  readonly slotKind?: SlotKind;
  /** Suite of the root key: what seals and authenticates the key manager's own state. @defaultValue `"intl"` */
  readonly suite?: SuiteName;
  /** Region in ARNs. @defaultValue `"local"` */
  readonly region?: string;
  /** Unix milliseconds. @defaultValue `Date.now` */
  readonly clock?: () => number;
}

/**
 * Makes a key manager in a folder that is new or empty; the folder becomes 0700. When it fails, nothing is left behind.
 *
 * @throws {CustodyError} `STORE_UNUSABLE` when the folder holds anything, or cannot be written.
 * @throws {DeviceError} `UNLOCK_SECRET_UNSAFE`.
 */
export async function initCustody(options: InitOptions): Promise<CustodyIdentity> {
  const { dataDir } = options;
  using folder = new NewDataFolder(dataDir);
  try {
    using root = await new KeySlots(join(dataDir, dataFiles.slots)).create(
      options.suite ?? "intl",
      options.slotKind ?? "passphrase",
      options.unlock,
      "first",
    );
    const identity = await fillStore(join(dataDir, dataFiles.store), root, options);
    folder.keep();
    return identity;
  } catch (cause) {
    if (!(cause instanceof Error) || !("errno" in cause || "errcode" in cause)) throw cause;
    throw new CustodyError("STORE_UNUSABLE", `the folder ${dataDir} cannot be written: ${cause.message}`, cause);
  }
}

async function fillStore(
  path: string,
  root: RootKey,
  { region = "local", clock = Date.now }: InitOptions,
): Promise<CustodyIdentity> {
  const store = new SqliteStore(path);
  try {
    chmodSync(path, 0o600);
    const authenticator = new Authenticator(root);
    const journal = await Journal.load(store, authenticator, { clock, create: true });
    await journal.begin();
    await using device = new SoftDevice(root);
    return await initialise(
      { store, journal, authenticator, root, device, opener: new DirectOpener(), release: () => {} },
      region,
    );
  } finally {
    await store.close();
  }
}

export interface OpenOptions {
  readonly dataDir: string;
  /** The unlock secret, or a device that a key slot is for. Stays the caller's to dispose of. */
  readonly unlock: SecretBuffer | NamedDevice;
  /** Other devices that opened secrets for this folder before it could say whom it trusts: refused unless it does. */
  readonly devicesUsed?: readonly DeviceUsed[];
  /** A checkpoint kept elsewhere: a store that is older than it, or differs from it, is not opened. */
  readonly checkpoint?: Checkpoint;
  /** Unix milliseconds. @defaultValue `Date.now` */
  readonly clock?: () => number;
  /** Told of each commit: how many records shared it, and how long it took, in seconds. */
  readonly onCommit?: (records: number, seconds: number) => void;
  /** Told of each notice that was put on record (see audit/notice-rules.ts). */
  readonly onNotice?: (kind: NoticeKind) => void;
  /**
   * Keep the store in a thread of its own, and open wrapped keys in another when many come at once: for a server, so that
   * neither a commit nor a crowd holds up the next requests.
   */
  readonly threaded?: boolean;
  /** Opens the devices that the folder's `devices.toml` names. By default, by their libraries, each in a process of its own. */
  readonly openDevice?: OpenDevice;
  /** Told when one of those threads ends by itself: what it was doing is lost, and the folder must be opened anew. */
  readonly onThreadLost?: (error: Error) => void;
}

/**
 * Opens a data folder: takes its lock, opens the root key, loads and checks all state.
 *
 * @throws {CustodyError} `STORE_UNUSABLE`, `STORE_LOCKED`, `STATE_TAMPERED`, `STATE_ROLLED_BACK`.
 * @throws {DeviceError} `UNLOCK_REFUSED`, `SLOTS_DAMAGED`.
 */
export async function openCustody(options: OpenOptions): Promise<CustodyService> {
  const { dataDir } = options;
  mustBeDataFolder(dataDir);
  const lock = new FolderLock(dataDir);
  let root: RootKey | undefined;
  let store: Store | undefined;
  let opener: Opener | undefined;
  try {
    const slots = new KeySlots(join(dataDir, dataFiles.slots));
    root = await slots.open(options.unlock);
    const path = join(dataDir, dataFiles.store);
    store = options.threaded ? await ThreadedStore.open(path, options.onThreadLost) : new SqliteStore(path);
    const authenticator = new Authenticator(root);
    const journal = await Journal.load(store, authenticator, {
      clock: options.clock ?? Date.now,
      ...(options.onCommit === undefined ? {} : { onCommit: options.onCommit }),
    });
    await checkLastRecord(store, journal.head, journal.hashName);
    for (const used of [...("device" in options.unlock ? [options.unlock] : []), ...(options.devicesUsed ?? [])])
      mustBeTrusted(used, journal.state);
    const heldRoot = root;
    const release = () => {
      heldRoot[Symbol.dispose]();
      authenticator[Symbol.dispose]();
      lock[Symbol.dispose]();
    };
    opener = options.threaded ? new ThreadedOpener(options.onThreadLost) : new DirectOpener();
    const parts: CustodyParts = {
      store,
      journal,
      authenticator,
      root,
      device: new SoftDevice(root),
      slotNotes: () => slots.deviceKeys(),
      namedDevices: { file: join(dataDir, catalogueFileName), open: options.openDevice ?? openNamedDevice },
      opener,
      release,
    };
    const custody = await Custody.assemble(parts);
    if (options.checkpoint !== undefined) {
      const own = { account: custody.identity.account, publicKey: custody.checkpointPublicKey };
      await checkAgainstCheckpoint(options.checkpoint, store, journal.head, own);
    }
    await journal.begin();
    custody.watchChain(options.onNotice);
    return custody;
  } catch (error) {
    await opener?.close();
    await store?.close();
    root?.[Symbol.dispose]();
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Loads what drives cards and tokens when the first of them is used. */
const openNamedDevice: OpenDevice = async (catalogue, name, tell) =>
  (await import("../devices/catalogue/makers.ts")).openNamedDevice(catalogue, name, tell);

/**
 * A device that has opened the root key, or a superKey, was found by a `devices.toml` that nothing could authenticate yet. Now something can.
 *
 * @throws {CatalogueError} `CATALOGUE_UNTRUSTED`.
 */
export function mustBeTrusted({ name, catalogueSha256 }: DeviceUsed, state: Pick<State, "get">): void {
  if (catalogueSha256 !== undefined && state.get("public", trustedDevicesName)?.value === catalogueSha256) return;
  throw new CatalogueError(
    "CATALOGUE_UNTRUSTED",
    `device ${name} opens what this key manager starts with, but it was named by a devices.toml that no administrator trusted`,
    { hint: "look at the file; start with a secret in a file instead, and: strongroom device trust --data DIR" },
  );
}
