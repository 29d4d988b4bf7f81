import type { BoxSecret } from "../devices/device.ts";

/**
 * What a remote device answered for one request. A decision is taken anew whenever the state moves under it: the device is
 * not asked anew for it, or a busy state would turn one request into a stream of calls. Policies and key states are checked
 * at each decision all the same. Ends, and wipes what it holds, with the request.
 */
export class DeviceAnswers implements Disposable {
  readonly #held = new Map<string, BoxSecret>();

  /** The answer under this name, asked for at most once. The caller disposes of its secret. */
  async once(name: string, ask: () => Promise<BoxSecret>): Promise<BoxSecret> {
    const held = this.#held.get(name) ?? (await ask());
    this.#held.set(name, held);
    return { ...held, secret: held.secret.clone() };
  }

  [Symbol.dispose](): void {
    for (const { secret } of this.#held.values()) secret[Symbol.dispose]();
    this.#held.clear();
  }
}
