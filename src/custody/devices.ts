import { CryptoError } from "../crypto/errors.ts";
import { AwsKmsError } from "../devices/aws-kms/errors.ts";
import { CatalogueError } from "../devices/catalogue/errors.ts";
import type { DeviceShelf } from "../devices/catalogue/shelf.ts";
import type { CryptoDevice } from "../devices/device.ts";
import { DeviceError, type DeviceErrorCode } from "../devices/errors.ts";
import { CustodyError, type CustodyErrorCode } from "./errors.ts";
import type { KeyOrigin } from "./service.ts";

/** Where a key lives: its origin, and for keys in a card or token the device's name. */
export interface KeyHome {
  readonly origin: KeyOrigin;
  readonly device?: string;
}

/** The devices of this key manager: by the origin of the keys that live in each, and the named ones of `devices.toml`. */
export class Devices {
  readonly #byOrigin: ReadonlyMap<KeyOrigin, CryptoDevice>;
  readonly #shelf: DeviceShelf | undefined;

  constructor(byOrigin: Partial<Readonly<Record<KeyOrigin, CryptoDevice>>>, shelf?: DeviceShelf) {
    this.#byOrigin = new Map(Object.entries(byOrigin) as [KeyOrigin, CryptoDevice][]);
    this.#shelf = shelf;
  }

  /** The kind of the keys of a named device. @throws {CustodyError} `KEY_UNSUPPORTED`, `DEVICE_REFUSED`. */
  kindOf(name: string): "sdf" | "pkcs11" {
    try {
      const kind = this.#need(name).kindOf(name);
      if (kind !== "aws-kms") return kind;
    } catch (error) {
      throw error instanceof CatalogueError ? catalogueFailure(error, "reason") : error;
    }
    throw new CustodyError("KEY_UNSUPPORTED", "keys in a KMS are made over an integration: --origin aws-kms");
  }

  /** The names of the cards or tokens behind a named device: a failover set has several. */
  membersOf(name: string): readonly string[] {
    return this.#need(name).membersOf(name);
  }

  /**
   * Lets a key's device do something. What an upstream KMS, a card or a token fails with is told as custody's own failure:
   * callers learn that the device refused or is out of reach, and the audit record says why.
   *
   * @param told - Whether the caller is an administrator who is to learn the reason too.
   * @throws {CustodyError} `DEVICE_REFUSED`, `DEVICE_UNREACHABLE`, `DEVICE_FAILED`, `KEY_UNSUPPORTED`, `INPUT_INVALID`.
   */
  async use<T>(
    home: KeyHome,
    work: (device: CryptoDevice) => Promise<T>,
    told: "outcome" | "reason" = "outcome",
  ): Promise<T> {
    const figures = home.device === undefined ? undefined : this.#shelf?.figures;
    try {
      const device = await this.#of(home);
      figures?.used(home.device ?? "");
      return await work(device);
    } catch (error) {
      if (error instanceof DeviceError) figures?.failed(home.device ?? "", error);
      if (error instanceof AwsKmsError) throw upstreamFailure(error, told);
      if (error instanceof CatalogueError) throw catalogueFailure(error, told);
      if (error instanceof DeviceError && home.device !== undefined) throw deviceFailure(error, home.device, told);
      if (error instanceof CryptoError && error.code === "CONTEXT_INVALID")
        throw new CustodyError("INPUT_INVALID", error.message, error);
      throw error;
    }
  }

  /** Whether this key's device takes material from outside. */
  takesImports({ origin }: KeyHome): boolean {
    return this.#byOrigin.get(origin)?.importKey !== undefined;
  }

  /** Whether each call to this key's device leaves the process: it is asked once for a request. */
  isRemote({ origin, device }: KeyHome): boolean {
    return device !== undefined || this.#byOrigin.get(origin)?.capabilities().remote === true;
  }

  /** Locks every device, once each. */
  async lock(): Promise<void> {
    await this.#shelf?.close();
    await Promise.all([...new Set(this.#byOrigin.values())].map((device) => device.lock()));
  }

  async #of({ origin, device: name }: KeyHome): Promise<CryptoDevice> {
    if (name !== undefined) {
      const shelf = this.#need(name);
      if (shelf.kindOf(name) !== origin)
        throw new CustodyError("KEY_UNSUPPORTED", `device ${name} is not of kind ${origin}`, undefined, { origin });
      return await shelf.device(name);
    }
    const device = this.#byOrigin.get(origin);
    if (device !== undefined) return device;
    throw new CustodyError("KEY_UNSUPPORTED", `this key manager has no device of kind ${origin}`, undefined, {
      origin,
    });
  }

  #need(name: string): DeviceShelf {
    if (this.#shelf !== undefined) return this.#shelf;
    throw new CustodyError("KEY_UNSUPPORTED", `this key manager has no device ${JSON.stringify(name.slice(0, 80))}`);
  }
}

const codesByExit = { 3: "DEVICE_REFUSED", 4: "DEVICE_UNREACHABLE" } as const;

function upstreamFailure(error: AwsKmsError, told: "outcome" | "reason"): CustodyError {
  const code = codesByExit[error.exitCode as keyof typeof codesByExit] ?? "DEVICE_FAILED";
  return new CustodyError(code, told === "reason" ? error.message : undefined, error, { upstream: error.code });
}

function catalogueFailure(error: CatalogueError, told: "outcome" | "reason"): CustodyError {
  const code = error.code === "DEVICE_UNKNOWN" ? "KEY_UNSUPPORTED" : "DEVICE_REFUSED";
  return new CustodyError(code, told === "reason" ? error.message : undefined, error, { upstream: error.code });
}

/** What a card's or token's failure means to whoever asked for the key. All others: `DEVICE_FAILED`. */
const codesOfFailures: Partial<Readonly<Record<DeviceErrorCode, CustodyErrorCode>>> = {
  DEVICE_BUSY: "DEVICE_UNREACHABLE",
  DEVICE_INPUT_REFUSED: "DEVICE_REFUSED",
  DEVICE_KEY_NOT_FOUND: "DEVICE_REFUSED",
  DEVICE_LOCKED: "DEVICE_UNREACHABLE",
  DEVICE_PIN_LOCKED: "DEVICE_REFUSED",
  DEVICE_PIN_REFUSED: "DEVICE_REFUSED",
  DEVICE_PIN_UNSAFE: "DEVICE_REFUSED",
  DEVICE_SESSION_LOST: "DEVICE_UNREACHABLE",
  DEVICE_TIMEOUT: "DEVICE_UNREACHABLE",
  DEVICE_UNREACHABLE: "DEVICE_UNREACHABLE",
  DEVICE_UNSUPPORTED: "KEY_UNSUPPORTED",
};

function deviceFailure(error: DeviceError, device: string, told: "outcome" | "reason"): CustodyError {
  const code = codesOfFailures[error.code] ?? "DEVICE_FAILED";
  const upstream = [device, error.code, error.failure?.code].filter((each) => each !== undefined).join(" ");
  return new CustodyError(code, told === "reason" ? error.message : undefined, error, { upstream });
}
