import type { CryptoDevice, DeviceHealth } from "../device.ts";
import { DeviceError } from "../errors.ts";

/** How long a device that could not be opened is left alone before the next request tries again. */
const reopenAfterMs = 5000;
/** How often an open device is asked how it is, and how long it may be down before it is opened anew. */
const [askEveryMs, downForMs] = [5000, 60_000];

/**
 * A device that is opened at its first use. One that cannot be opened is tried again, but not more than every few seconds, and
 * never when its PIN was refused: a card locks itself after a few wrong ones. One that was open and has been down for a minute, as
 * after its process crashed too often, is opened anew.
 */
export class DeviceHolder {
  readonly name: string;
  readonly #make: () => Promise<CryptoDevice>;
  readonly #nowMs: () => number;
  #opening: Promise<CryptoDevice> | undefined;
  /** What {@link #opening} came to, once it has. */
  #device: CryptoDevice | undefined;
  #failed: { readonly error: unknown; readonly atMs: number } | undefined;
  #closed = false;
  #askedAtMs = 0;
  #downSinceMs: number | undefined;

  /** @param nowMs - A clock that does not go back, in milliseconds. */
  constructor(name: string, make: () => Promise<CryptoDevice>, nowMs: () => number = () => performance.now()) {
    this.name = name;
    this.#make = make;
    this.#nowMs = nowMs;
  }

  /** The open device, lent. @throws What kept it from being opened; `DEVICE_LOCKED` once this is closed. */
  async open(): Promise<CryptoDevice> {
    if (this.#closed) throw new DeviceError("DEVICE_LOCKED", `device ${this.name} is closed`);
    if (this.#opening !== undefined) {
      const device = await this.#opening;
      if (!(await this.#isLost(device))) return device;
      await this.#giveUp(device);
      return await this.open();
    }
    const failed = this.#failed;
    if (failed !== undefined && (isFinal(failed.error) || this.#nowMs() - failed.atMs < reopenAfterMs))
      throw failed.error;
    this.#opening = this.#make();
    try {
      const device = await this.#opening;
      this.#device = device;
      this.#failed = undefined;
      return device;
    } catch (error) {
      this.#failed = { error, atMs: this.#nowMs() };
      this.#opening = undefined;
      throw error;
    }
  }

  /** Without opening anything, and without waiting for a device that is just being opened. */
  async health(): Promise<DeviceHealth> {
    if (this.#failed !== undefined) {
      const { error } = this.#failed;
      const detail = error instanceof Error ? error.message : String(error);
      return isFinal(error)
        ? { state: "locked", detail: notSentAgain, ...lastErrorOf(error) }
        : { state: "down", detail, ...lastErrorOf(error) };
    }
    if (this.#opening === undefined) return { state: "ready", detail: "not opened yet" };
    return this.#device === undefined ? { state: "down", detail: "is being opened" } : await this.#device.health();
  }

  /** {@link health} once a device that is just being opened is open, or is not. */
  async settledHealth(): Promise<DeviceHealth> {
    await this.#opening?.catch(() => undefined);
    return await this.health();
  }

  async #isLost(device: CryptoDevice): Promise<boolean> {
    const nowMs = this.#nowMs();
    if (nowMs - this.#askedAtMs < askEveryMs) return false;
    this.#askedAtMs = nowMs;
    const { state } = await device.health();
    if (state !== "down") this.#downSinceMs = undefined;
    else this.#downSinceMs ??= nowMs;
    return this.#downSinceMs !== undefined && nowMs - this.#downSinceMs >= downForMs;
  }

  /** Once, whoever finds it lost. */
  async #giveUp(device: CryptoDevice): Promise<void> {
    if (this.#downSinceMs === undefined) return;
    this.#downSinceMs = undefined;
    this.#opening = undefined;
    this.#device = undefined;
    try {
      await device[Symbol.asyncDispose]();
    } catch {
      // It is lost already; what is opened next has a process of its own.
    }
  }

  /** Closes the device, also one that is just being opened. */
  async close(): Promise<void> {
    this.#closed = true;
    const device = await this.#opening?.catch(() => undefined);
    await device?.[Symbol.asyncDispose]();
  }
}

/** What an administrator has to know of a PIN that was refused. */
const notSentAgain =
  "the PIN was refused and is not sent again: put it right, then strongroom device trust, or start the key manager anew";

const pinCodes: ReadonlySet<string> = new Set(["DEVICE_PIN_REFUSED", "DEVICE_PIN_LOCKED"]);

function lastErrorOf(error: unknown): Pick<DeviceHealth, "lastError"> {
  if (!(error instanceof Error)) return {};
  const failure = error instanceof DeviceError ? error.failure : undefined;
  const code = failure?.code ?? ("code" in error ? String(error.code) : error.name);
  return { lastError: { kind: failure?.kind ?? "opening", code, message: error.message } };
}

/** Whether another try with the same PIN could do harm. */
function isFinal(error: unknown): boolean {
  return error instanceof DeviceError && pinCodes.has(error.code);
}
