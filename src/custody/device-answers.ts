import type { BoxSecret } from "../devices/device.ts";

/**
 * What a remote device answered for one request. A decision is taken anew whenever the state moves under it: the device is
 * not asked anew for it, also when it refused, or a busy state would turn one request into a stream of calls. Policies and
 * key states are checked at each decision all the same. Ends, and wipes what it holds, with the request.
 */
export class DeviceAnswers implements Disposable {
  readonly #held = new Map<string, BoxSecret>();
  readonly #failed = new Map<string, unknown>();

  /** The answer under this name, or its failure, asked for at most once. The caller disposes of its secret. */
  async once(name: string, ask: () => Promise<BoxSecret>): Promise<BoxSecret> {
    if (this.#failed.has(name)) throw this.#failed.get(name);
    const held = this.#held.get(name) ?? (await this.#first(name, ask));
    return { ...held, secret: held.secret.clone() };
  }

  async #first(name: string, ask: () => Promise<BoxSecret>): Promise<BoxSecret> {
    try {
      const answer = await ask();
      this.#held.set(name, answer);
      return answer;
    } catch (error) {
      this.#failed.set(name, error);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { secret } of this.#held.values()) secret[Symbol.dispose]();
    this.#held.clear();
    this.#failed.clear();
  }
}
