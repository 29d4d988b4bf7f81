import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { openSdfSigner, type SdfSigner } from "../../src/devices/sdf/signer.ts";
import type { TestCard } from "../../test/sdf-card/build.ts";
import type { LoopFigures } from "./load.ts";

export const cardPin = "12345678";
export const keyIndex = 1;

export interface OpenedSigner extends AsyncDisposable {
  readonly signer: SdfSigner;
  /** Of the device's process. */
  readonly pid: number;
}

/** The card through the whole adapter: its own process, the session pool, the check of the key's identity. */
export async function openSigner(card: TestCard, sessions: number): Promise<OpenedSigner> {
  using secret = SecretBuffer.take(Buffer.from(cardPin));
  let pid = 0;
  const signer = await openSdfSigner({
    library: card.library,
    keyIndex,
    pin: { secret },
    pool: { minSessions: sessions, maxSessions: sessions },
    tell: (event) => {
      if (event.event === "process-started") pid = event.pid;
    },
  });
  return { signer, pid, [Symbol.asyncDispose]: () => signer.close() };
}

/** The C loop, each thread with a session of its own. CPU time includes the loading of the library. */
export async function cLoop(
  card: TestCard,
  threads: number,
  seconds: number,
  right: "kept" | "per signature",
): Promise<LoopFigures> {
  const args = [card.bench, card.library, String(keyIndex), cardPin, String(threads), String(seconds)];
  if (right === "per signature") args.push("--right-per-sign");
  const { stdout } = await promisify(execFile)("sh", ["-c", '"$@"; times', "sh", ...args]);
  const [rate = "", , ofChildren = ""] = stdout.split("\n");
  const perSecond = Number(rate);
  return { perSecond, cpuUs: (cpuSeconds(ofChildren) * 1e6) / (perSecond * seconds) };
}

/** Of a line of the shell's `times`: user and system time as `1m2.34s`. */
function cpuSeconds(line: string): number {
  const times = [...line.matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
