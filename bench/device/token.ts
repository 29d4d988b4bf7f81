import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { NativeDevice } from "../../src/devices/native/native-device.ts";
import { Pkcs11Token, type TokenSigningKey } from "../../src/devices/pkcs11/token.ts";
import { type SoftToken, softHsmLibrary } from "../../test/process/devices/pkcs11/soft-token.ts";
import type { LoopFigures } from "./load.ts";

export interface OpenedToken extends AsyncDisposable {
  readonly sign: (digest: Buffer) => Promise<unknown>;
  readonly keyId: Buffer;
  readonly pid: number;
}

/** A P-256 key of the token through the whole adapter, one session. */
export async function openToken(soft: SoftToken): Promise<OpenedToken> {
  let pid = 0;
  const native = await NativeDevice.open(
    soft.options({
      tell: (event) => {
        if (event.event === "process-started") pid = event.pid;
      },
    }),
  );
  const token = new Pkcs11Token(native);
  const made = await token.generateKeyPair("bench", "ECC_NIST_P256");
  const key: TokenSigningKey = made;
  return {
    sign: (digest) => token.sign(key, digest),
    keyId: made.id,
    pid,
    [Symbol.asyncDispose]: () => native[Symbol.asyncDispose](),
  };
}

/** The same key from a plain loop in a process of its own. */
export class PlainLoop implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async start(soft: SoftToken, keyId: Buffer): Promise<PlainLoop> {
    const args = [softHsmLibrary, soft.label, keyId.toString("hex")];
    const child = fork(join(import.meta.dirname, "plain-token.ts"), args, {
      env: { ...process.env, ...soft.environment },
    });
    const loop = new PlainLoop(child);
    await loop.#ask({ pin: soft.pin });
    return loop;
  }

  async run(seconds: number): Promise<LoopFigures> {
    return (await this.#ask({ seconds })) as LoopFigures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.disconnect();
    await gone;
  }

  async #ask(order: object): Promise<unknown> {
    const ended = new AbortController();
    const exit = once(this.#process, "exit", { signal: ended.signal }).then(
      () => Promise.reject(new Error("the plain loop's process ended early")),
      () => undefined,
    );
    this.#process.send(order);
    const [answer] = (await Promise.race([once(this.#process, "message"), exit])) as [unknown];
    ended.abort();
    return answer;
  }
}
