import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { DeviceProgram, OpenedDevice } from "../native/program.ts";
import { faultOfCode, faultOfRight, ownFault } from "./errors.ts";
import { SdfLibrary } from "./library.ts";
import { isSdfProfileName, type SdfProfile, sdfProfileNames, sdfProfiles } from "./profiles.ts";
import { type SelfTestReport, selfTest } from "./self-test.ts";
import { SdfSession } from "./session.ts";
import { SessionSigning } from "./session-signing.ts";
import { type SdfDeviceInfo, structBytes, unpackDeviceInfo } from "./structs.ts";
import type { SdfConfig } from "./wire.ts";

/** A GM/T 0018 card, in the process of its own. */
export const program: DeviceProgram = {
  async open(given: unknown, pin: SecretBuffer | undefined): Promise<OpenedDevice> {
    const config = sdfConfigOf(given);
    const profile: SdfProfile = sdfProfiles[config.profile];
    const library = await SdfLibrary.load(config.library, config.librarySha256);
    const handle = Buffer.alloc(8);
    const code = await library.call("SDF_OpenDevice", handle);
    if (code !== 0) throw faultOfCode("SDF_OpenDevice", code);
    const card = new Card(library, profile, config, handle.readBigUInt64LE(), pin);
    try {
      await card.prove();
      return card;
    } catch (error) {
      await card.close().catch(() => undefined);
      throw error;
    }
  },
};

type CheckedConfig = SdfConfig & { readonly profile: keyof typeof sdfProfiles };

/** @throws {DeviceFault} `bad-input` naming the member. */
export function sdfConfigOf(given: unknown): CheckedConfig {
  const invalid = (what: string) =>
    ownFault("bad-input", "CONFIG_INVALID", `the configuration of an sdf device: ${what}`);
  if (typeof given !== "object" || given === null) throw invalid("is not an object");
  const { library, librarySha256, profile, keyIndices, kekIndices, ...others } = given as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalid(`has an unknown member ${JSON.stringify(unknown.slice(0, 80))}`);
  if (typeof library !== "string" || library === "" || library.includes("\0") || library.length > 4096)
    throw invalid("library is the path of a GM/T 0018 library");
  if (librarySha256 !== undefined && (typeof librarySha256 !== "string" || !/^[0-9a-f]{64}$/.test(librarySha256)))
    throw invalid("librarySha256 is 64 lower-case hex digits");
  if (!isSdfProfileName(profile)) throw invalid(`profile is one of ${sdfProfileNames.join(", ")}`);
  if (!isIndices(keyIndices)) throw invalid("keyIndices are up to 64 different whole numbers from 1 to 65,535");
  if (!isIndices(kekIndices)) throw invalid("kekIndices are up to 64 different whole numbers from 1 to 65,535");
  return { library, profile, keyIndices, kekIndices, ...(librarySha256 === undefined ? {} : { librarySha256 }) };
}

function isIndices(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.length <= 64 &&
    new Set(value).size === value.length &&
    value.every((index) => Number.isInteger(index) && index >= 1 && index <= 65_535)
  );
}

class Card implements OpenedDevice {
  readonly #library: SdfLibrary;
  readonly #profile: SdfProfile;
  readonly #config: SdfConfig;
  readonly #device: bigint;
  readonly #pin: SecretBuffer | undefined;
  #info: Readonly<Record<string, string | number | boolean>> = {};
  /** The session of the self-test, to be handed out as the first: rights are slow to take. */
  #first: SdfSession | undefined;

  constructor(
    library: SdfLibrary,
    profile: SdfProfile,
    config: SdfConfig,
    device: bigint,
    pin: SecretBuffer | undefined,
  ) {
    this.#library = library;
    this.#profile = profile;
    this.#config = config;
    this.#device = device;
    this.#pin = pin;
  }

  get info(): Readonly<Record<string, string | number | boolean>> {
    return this.#info;
  }

  async prove(): Promise<void> {
    const session = await this.#openSession();
    this.#first = session;
    const device = await this.#deviceInfo(session);
    const report = await selfTest(this.#library, this.#profile, session, this.#config.keyIndices);
    this.#info = infoOf(this.#config, this.#library, device, report);
  }

  openSession(): Promise<SdfSession> {
    const first = this.#first;
    this.#first = undefined;
    return first === undefined ? this.#openSession() : Promise.resolve(first);
  }

  async close(): Promise<void> {
    await this.#first?.close();
    this.#first = undefined;
    const code = await this.#library.call("SDF_CloseDevice", this.#device);
    if (code !== 0) throw faultOfCode("SDF_CloseDevice", code);
  }

  async #openSession(): Promise<SdfSession> {
    const handle = Buffer.alloc(8);
    const code = await this.#library.call("SDF_OpenSession", this.#device, handle);
    if (code !== 0) throw faultOfCode("SDF_OpenSession", code);
    const session = handle.readBigUInt64LE();
    const rights = { keys: new Set<number>(), keks: new Set<number>() };
    const release = async (): Promise<void> => {
      for (const index of rights.keys) await this.#library.call("SDF_ReleasePrivateKeyAccessRight", session, index);
      if (this.#library.has("SDF_ReleaseKEKAccessRight"))
        for (const index of rights.keks) await this.#library.call("SDF_ReleaseKEKAccessRight", session, index);
      const closed = await this.#library.call("SDF_CloseSession", session);
      if (closed !== 0) throw faultOfCode("SDF_CloseSession", closed);
    };
    try {
      await this.#takeRights(session, rights);
      const { keyIndices } = this.#config;
      const signing = new SessionSigning({
        addresses: this.#library.addresses,
        profileName: this.#profile.name,
        session,
        keyIndices,
        taken: [...rights.keys],
      });
      const mayUse = { keyIndices: new Set(keyIndices), taken: rights.keys };
      return new SdfSession(this.#library, this.#profile, session, mayUse, signing, release);
    } catch (error) {
      await release().catch(() => undefined);
      throw error;
    }
  }

  /** Once for the life of the session: a card may take a third of a second for each. */
  async #takeRights(session: bigint, rights: { keys: Set<number>; keks: Set<number> }): Promise<void> {
    const pin = this.#pin;
    if (pin === undefined) return;
    for (const index of this.#config.keyIndices) {
      const code = await pin.expose((bytes) =>
        this.#library.call("SDF_GetPrivateKeyAccessRight", session, index, bytes, bytes.length),
      );
      if (code !== 0) throw faultOfRight(code, index);
      rights.keys.add(index);
    }
    if (!this.#profile.kekAccessRight || !this.#library.has("SDF_GetKEKAccessRight")) return;
    for (const index of this.#config.kekIndices) {
      const code = await pin.expose((bytes) =>
        this.#library.call("SDF_GetKEKAccessRight", session, index, bytes, bytes.length),
      );
      if (code !== 0) throw faultOfRight(code, index);
      rights.keks.add(index);
    }
  }

  async #deviceInfo(session: SdfSession): Promise<SdfDeviceInfo | undefined> {
    if (!this.#library.has("SDF_GetDeviceInfo")) return undefined;
    const image = Buffer.alloc(512);
    const code = await this.#library.call("SDF_GetDeviceInfo", session.handle, image);
    if (code === 0) return unpackDeviceInfo(image.subarray(0, structBytes.deviceInfo));
    const fault = faultOfCode("SDF_GetDeviceInfo", code);
    if (fault.kind === "unsupported") return undefined;
    throw fault;
  }
}

function infoOf(
  config: SdfConfig,
  library: SdfLibrary,
  device: SdfDeviceInfo | undefined,
  report: SelfTestReport,
): Readonly<Record<string, string | number | boolean>> {
  const info: Record<string, string | number | boolean> = { library: config.library, profile: config.profile };
  if (device !== undefined) {
    info.maker = device.maker;
    info.model = device.name;
    info.serial = device.serial;
    info.deviceVersion = device.deviceVersion;
    info.standardVersion = device.standardVersion;
    info.bufferBytes = device.bufferBytes;
  }
  for (const [name, result] of Object.entries(report)) info[`self-test ${name}`] = result;
  if (library.missing.length > 0) info.missingCalls = library.missing.join(" ");
  return info;
}
