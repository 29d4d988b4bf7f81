import { CryptoError } from "../crypto/errors.ts";
import { AwsKmsError } from "../devices/aws-kms/errors.ts";
import type { CryptoDevice } from "../devices/device.ts";
import { CustodyError } from "./errors.ts";
import type { KeyOrigin } from "./service.ts";

/** The devices of this key manager, by the origin of the keys that live in each. */
export class Devices {
  readonly #byOrigin: ReadonlyMap<KeyOrigin, CryptoDevice>;
  readonly #remote: ReadonlySet<KeyOrigin>;

  constructor(byOrigin: Partial<Readonly<Record<KeyOrigin, CryptoDevice>>>) {
    const entries = Object.entries(byOrigin) as [KeyOrigin, CryptoDevice][];
    this.#byOrigin = new Map(entries);
    this.#remote = new Set(entries.filter(([, device]) => device.capabilities().remote).map(([origin]) => origin));
  }

  /** @throws {CustodyError} `KEY_UNSUPPORTED` when this key manager has no device for keys of that origin. */
  of(origin: KeyOrigin): CryptoDevice {
    const device = this.#byOrigin.get(origin);
    if (device === undefined)
      throw new CustodyError("KEY_UNSUPPORTED", `this key manager has no device of kind ${origin}`, undefined, {
        origin,
      });
    return device;
  }

  /**
   * Lets the device of an origin do something. What an upstream KMS fails with is told as custody's own failure: callers
   * learn that the device refused or is out of reach, and the audit record says why.
   *
   * @param told - Whether the caller is an administrator who is to learn the reason too.
   * @throws {CustodyError} `DEVICE_REFUSED`, `DEVICE_UNREACHABLE`, `DEVICE_FAILED`, `KEY_UNSUPPORTED`, `INPUT_INVALID`.
   */
  async use<T>(
    origin: KeyOrigin,
    work: (device: CryptoDevice) => Promise<T>,
    told: "outcome" | "reason" = "outcome",
  ): Promise<T> {
    try {
      return await work(this.of(origin));
    } catch (error) {
      if (error instanceof AwsKmsError) throw deviceFailure(error, told);
      if (error instanceof CryptoError && error.code === "CONTEXT_INVALID")
        throw new CustodyError("INPUT_INVALID", error.message, error);
      throw error;
    }
  }

  /** Whether each call to the device of this origin goes over a network. */
  isRemote(origin: KeyOrigin): boolean {
    return this.#remote.has(origin);
  }

  /** Locks every device, once each. */
  async lock(): Promise<void> {
    await Promise.all([...new Set(this.#byOrigin.values())].map((device) => device.lock()));
  }
}

const codesByExit = { 3: "DEVICE_REFUSED", 4: "DEVICE_UNREACHABLE" } as const;

function deviceFailure(error: AwsKmsError, told: "outcome" | "reason"): CustodyError {
  const code = codesByExit[error.exitCode as keyof typeof codesByExit] ?? "DEVICE_FAILED";
  return new CustodyError(code, told === "reason" ? error.message : undefined, error, { upstream: error.code });
}
