import { createHash } from "node:crypto";
import type { CryptoDevice } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { isRefusal } from "../native/call-faults.ts";
import type { NativeDeviceEvent } from "../native/device-events.ts";
import { FailoverSet, type FingerprintOf } from "../native/failover.ts";
import { deviceErrorOf } from "../native/fault.ts";
import type { NativeCalls } from "../native/native-calls.ts";
import { NativeDevice } from "../native/native-device.ts";
import type { PoolSettings } from "../native/pool-settings.ts";
import type { SecretSource } from "../native/secret-source.ts";
import type { NativeEntry, Pkcs11Entry, SdfEntry } from "./entry.ts";
import type { Catalogue } from "./read.ts";

export type TellOfDevice = (device: string, event: NativeDeviceEvent) => void;

/** How the members of one kind are opened, told apart and used. */
interface Driver<E extends NativeEntry> {
  open(entry: E, native: NativeOptions): Promise<NativeCalls>;
  /** What members of one set that hold the same keys have in common. @param entry - The first member's. */
  fingerprint(entry: E): FingerprintOf;
  device(calls: NativeCalls): CryptoDevice;
}

interface NativeOptions {
  readonly name: string;
  readonly pin?: SecretSource;
  readonly pool: Partial<PoolSettings>;
  readonly environment: Readonly<Record<string, string>>;
  readonly tell?: (event: NativeDeviceEvent) => void;
}

async function sdfDriver(): Promise<Driver<SdfEntry>> {
  const [{ openSdfCalls, SdfDevice }, { cardFingerprint }] = await Promise.all([
    import("../sdf/device.ts"),
    import("./card-fingerprint.ts"),
  ]);
  return {
    open: (
      { library, library_sha256: librarySha256, profile, key_indices: keyIndices, kek_indices: kekIndices },
      native,
    ) =>
      openSdfCalls({
        ...native,
        library,
        ...(librarySha256 === undefined ? {} : { librarySha256 }),
        profile,
        keyIndices,
        kekIndices,
      }),
    fingerprint: cardFingerprint,
    device: (calls) => new SdfDevice(calls),
  };
}

async function pkcs11Driver(): Promise<Driver<Pkcs11Entry>> {
  const [{ Pkcs11Device }, { pkcs11NativeOptions }, { Pkcs11Token }] = await Promise.all([
    import("../pkcs11/device.ts"),
    import("../pkcs11/native-options.ts"),
    import("../pkcs11/token.ts"),
  ]);
  return {
    open: (entry, native) => NativeDevice.open(pkcs11NativeOptions({ settings: pkcs11SettingsOf(entry), ...native })),
    fingerprint: () => async (calls) => {
      const token = new Pkcs11Token(calls);
      const keys = (await token.list()).toSorted((one, other) => (one.id < other.id ? -1 : 1));
      const hash = createHash("sha256");
      for (const { id, kind } of keys) {
        hash.update(`${kind} ${id}\n`);
        if (kind === "key-pair") hash.update((await token.publicKey(Buffer.from(id, "hex"))).fingerprint);
      }
      return hash.digest();
    },
    device: (calls) => new Pkcs11Device(calls),
  };
}

/**
 * What refused a PIN since the list was read, by the names of its entries: such a PIN is not sent again, however often a set with
 * its device in it is opened anew.
 */
const refusals = new WeakMap<object, Map<string, DeviceError>>();

/**
 * Opens cards or tokens, of one kind; several as a failover set. Of a set, those that cannot be opened now are left out until it is
 * opened anew, as long as one can.
 *
 * @throws {DeviceError} What kept the device, or the first of the set, from being opened; `DEVICE_KEY_CHANGED` for members of
 *   a set that do not hold the same keys.
 */
export async function openNative(
  catalogue: Pick<Catalogue, "at">,
  members: readonly NativeEntry[],
  tell?: TellOfDevice,
): Promise<CryptoDevice> {
  const [sdf, pkcs11] = [
    members.filter((each) => each.kind === "sdf"),
    members.filter((each) => each.kind === "pkcs11"),
  ];
  return sdf.length > 0
    ? await openMembers(catalogue, sdf, await sdfDriver(), tell)
    : await openMembers(catalogue, pkcs11, await pkcs11Driver(), tell);
}

async function openMembers<E extends NativeEntry>(
  catalogue: Pick<Catalogue, "at">,
  entries: readonly E[],
  driver: Driver<E>,
  tell: TellOfDevice | undefined,
): Promise<CryptoDevice> {
  const refused = refusals.getOrInsertComputed(catalogue, () => new Map<string, DeviceError>());
  const settled = await Promise.allSettled(entries.map((entry) => openOnce(catalogue, entry, driver, refused, tell)));
  const open = settled.flatMap((each, index) => {
    const entry = entries[index];
    return each.status === "fulfilled" && entry !== undefined ? [{ name: entry.name, calls: each.value, entry }] : [];
  });
  const [first] = open;
  if (first === undefined) throw settled.find((each) => each.status === "rejected")?.reason;
  if (entries.length === 1) return driver.device(first.calls);
  try {
    const leftOut = entries.filter((entry) => open.every(({ name }) => name !== entry.name)).map(({ name }) => name);
    return driver.device(await FailoverSet.open(open, driver.fingerprint(first.entry), undefined, leftOut));
  } catch (error) {
    await Promise.allSettled(open.map(({ calls }) => calls[Symbol.asyncDispose]()));
    throw error;
  }
}

/** Opens a device unless its PIN was refused before, also while it was open. */
async function openOnce<E extends NativeEntry>(
  catalogue: Pick<Catalogue, "at">,
  entry: E,
  driver: Driver<E>,
  refused: Map<string, DeviceError>,
  tell: TellOfDevice | undefined,
): Promise<NativeCalls> {
  const before = refused.get(entry.name);
  if (before !== undefined) throw before;
  const tellToo: TellOfDevice = (device, event) => {
    if (event.event === "locked" && event.fault !== undefined) refused.set(entry.name, deviceErrorOf(event.fault));
    tell?.(device, event);
  };
  try {
    return await driver.open(entry, optionsOf(catalogue, entry, tellToo));
  } catch (error) {
    if (error instanceof DeviceError && error.failure !== undefined && isRefusal(error.failure))
      refused.set(entry.name, error);
    throw error;
  }
}

function optionsOf(catalogue: Pick<Catalogue, "at">, entry: NativeEntry, tell: TellOfDevice): NativeOptions {
  const pin = pinOf(catalogue, entry);
  return {
    name: `device ${entry.name}`,
    environment: entry.environment,
    pool: {
      minSessions: entry.sessions_min,
      maxSessions: entry.sessions_max,
      acquireTimeoutMs: entry.acquire_timeout_ms,
      callDeadlineMs: entry.call_timeout_ms,
      queueCalls: entry.queue,
    },
    ...(pin === undefined ? {} : { pin }),
    tell: (event: NativeDeviceEvent) => tell(entry.name, event),
  };
}

/** Where an entry's PIN comes from; undefined for a library that asks for none. */
function pinOf(catalogue: Pick<Catalogue, "at">, entry: NativeEntry): SecretSource | undefined {
  if (entry.pin_file !== undefined) return { file: catalogue.at(entry.pin_file) };
  return entry.pin_credential === undefined ? undefined : { credential: entry.pin_credential };
}

function pkcs11SettingsOf(entry: Pkcs11Entry) {
  const { library, library_sha256, token_label, token_serial, slot, wrap, threads, use_final_try } = entry;
  return {
    library,
    ...(library_sha256 === undefined ? {} : { librarySha256: library_sha256 }),
    ...(token_label === undefined ? {} : { tokenLabel: token_label }),
    ...(token_serial === undefined ? {} : { tokenSerial: token_serial }),
    ...(slot === undefined ? {} : { slot }),
    ...(wrap === undefined ? {} : { wrap }),
    ...(threads === undefined ? {} : { threads }),
    ...(use_final_try === undefined ? {} : { useFinalTry: use_final_try }),
  };
}
