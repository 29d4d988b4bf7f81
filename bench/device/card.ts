import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import type { NativeDeviceEvent } from "../../src/devices/native/device-events.ts";
import { openSdfDevice } from "../../src/devices/sdf/device.ts";
import { openSdfSigner } from "../../src/devices/sdf/signer.ts";
import type { TestCard } from "../../test/sdf-card/build.ts";
import type { LoopFigures } from "./load.ts";

export const cardPin = "12345678";
export const keyIndex = 1;

export interface OpenedSigner extends AsyncDisposable {
  readonly sign: (digest: Buffer) => Promise<Buffer>;
  /** Of the device's process. */
  readonly pid: number;
}

function settingsOf(card: TestCard, sessions: number) {
  const opened = { pid: 0 };
  const settings = {
    library: card.library,
    profile: "gmt0018",
    pool: { minSessions: sessions, maxSessions: sessions },
    tell: (event: NativeDeviceEvent) => {
      if (event.event === "process-started") opened.pid = event.pid;
    },
  };
  return { settings, opened };
}

/** A custody's signing key in the card, through the whole adapter: its process, the session pool, the checks of the key's identity. */
export async function openCustodyKey(card: TestCard, sessions: number): Promise<OpenedSigner> {
  using secret = SecretBuffer.take(Buffer.from(cardPin));
  const { settings, opened } = settingsOf(card, sessions);
  const device = await openSdfDevice({ ...settings, keyIndices: [keyIndex], pin: { secret } });
  const name = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
  const { material } = await device.createSpecifiedKey(name, { keyIndex });
  return {
    sign: (digest) => device.signDigest({ ...name, material }, "SM2DSA", digest),
    pid: opened.pid,
    [Symbol.asyncDispose]: () => device[Symbol.asyncDispose](),
  };
}

/** A chain node's key in the card: besides all that, each signature is verified by OpenSSL. */
export async function openNodeKey(card: TestCard, sessions: number): Promise<OpenedSigner> {
  using secret = SecretBuffer.take(Buffer.from(cardPin));
  const { settings, opened } = settingsOf(card, sessions);
  const signer = await openSdfSigner({ ...settings, keyIndex, pin: { secret } });
  return { sign: (digest) => signer.sign(digest), pid: opened.pid, [Symbol.asyncDispose]: () => signer.close() };
}

/** The C loop, each thread with a session of its own. CPU time includes the loading of the library. */
export async function cLoop(
  card: TestCard,
  threads: number,
  seconds: number,
  right: "kept" | "per signature",
): Promise<LoopFigures> {
  const args = [card.bench, card.library, String(keyIndex), String(threads), String(seconds)];
  if (right === "per signature") args.push("--right-per-sign");
  const running = promisify(execFile)("sh", ["-c", '"$@"; times', "sh", ...args]);
  running.child.stdin?.end(`${cardPin}\n`);
  const { stdout } = await running;
  const [rate = "", , ofChildren = ""] = stdout.split("\n");
  const perSecond = Number(rate);
  return { perSecond, cpuUs: (cpuSeconds(ofChildren) * 1e6) / (perSecond * seconds) };
}

/** Of a line of the shell's `times`: user and system time as `1m2.34s`. */
function cpuSeconds(line: string): number {
  const times = [...line.matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
