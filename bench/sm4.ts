/**
 * SM4 by every kernel of the addon that this processor runs, by WebAssembly and by node:crypto, interleaved in one run.
 *
 *   node bench/sm4.ts [--kib N] [--rounds N] [--milliseconds N]
 *
 * Seals, opens and counts over messages of N KiB (64), in place, and prints the median MB per second of CPU time and the ratio
 * to node:crypto. Exit code 1 when the best kernel misses the target for what this processor has.
 */
import { parseArgs } from "node:util";
import { SecretBuffer } from "../src/crypto/secret-buffer.ts";
import { addonSm4, loadSm4Addon } from "../src/crypto/sm4/addon.ts";
import { opensslSm4 } from "../src/crypto/sm4/openssl.ts";
import type { Sm4Key, Sm4Provider } from "../src/crypto/sm4/provider.ts";
import { wasmSm4 } from "../src/crypto/sm4/wasm.ts";

const { values: flags } = parseArgs({
  options: {
    kib: { type: "string", default: "64" },
    rounds: { type: "string", default: "5" },
    milliseconds: { type: "string", default: "150" },
  },
});
const messageBytes = Number(flags.kib) * 1024;
const rounds = Number(flags.rounds);
const leastCpuMs = Number(flags.milliseconds);

/** What the product must reach with the best kernel, in MB per CPU second of GCM and as a multiple of node:crypto. */
const targets: Readonly<Record<string, { readonly megabytes: number; readonly ratio?: number }>> = {
  "avx512-gfni": { megabytes: 2000, ratio: 15 },
  "avx2-gfni": { megabytes: 1000 },
};

type Operation = "GCM seal" | "GCM open" | "CTR";
const operations: readonly Operation[] = ["GCM seal", "GCM open", "CTR"];

const counter = Buffer.alloc(16, 1);
const nonce = Buffer.alloc(12, 2);
const associatedData = Buffer.alloc(48, 3);
const text = Buffer.alloc(messageBytes, 4);
const opened = Buffer.alloc(messageBytes);
const tag = Buffer.alloc(16);

const run: Readonly<Record<Operation, (key: Sm4Key) => void>> = {
  "GCM seal": (key) => key.gcmSeal(nonce, associatedData, text, text, tag),
  "GCM open": (key) => {
    if (!key.gcmOpen(nonce, associatedData, text, tag, opened)) throw new Error("a sealed message did not open");
  },
  CTR: (key) => key.ctr(counter, text, text),
};

/** MB per second of this process's CPU time. */
function measure(key: Sm4Key, operation: Operation): number {
  // What is opened must have been sealed by this key; sealing is not counted.
  if (operation === "GCM open") run["GCM seal"](key);
  const before = process.cpuUsage();
  for (let count = 1; ; count++) {
    run[operation](key);
    const { user, system } = process.cpuUsage(before);
    if (user + system >= leastCpuMs * 1000) return (count * messageBytes) / (user + system);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const addon = loadSm4Addon();
const providers: readonly Sm4Provider[] = [
  ...addon.kernels().map((kernel) => addonSm4(addon, kernel)),
  wasmSm4(),
  opensslSm4(),
];
using secret = SecretBuffer.random(16);
const keys = providers.map((provider) => provider.expand(secret));
const results = providers.map(() => ({ "GCM seal": [], "GCM open": [], CTR: [] }) as Record<Operation, number[]>);
for (let round = 0; round <= rounds; round++)
  for (let turn = 0; turn < providers.length; turn++) {
    // Each takes every place in turn; round 0 warms up and is not counted.
    const at = (turn + round) % providers.length;
    for (const operation of operations) {
      const key = keys[at];
      if (key === undefined) continue;
      const megabytes = measure(key, operation);
      if (round > 0) results[at]?.[operation].push(megabytes);
    }
  }
for (const key of keys) key[Symbol.dispose]();

const medians = results.map((result) => operations.map((operation) => median(result[operation])));
const reference = medians.at(-1) ?? [];
console.log(`messages of ${flags.kib} KiB, medians of ${rounds}, MB per CPU second (times node:crypto)\n`);
console.log(`${" ".repeat(26)}${operations.map((operation) => operation.padStart(18)).join("")}`);
for (const [at, provider] of providers.entries()) {
  const cells = (medians[at] ?? []).map(
    (value, i) => `${value.toFixed(0)} (${(value / (reference[i] ?? 1)).toFixed(1)})`,
  );
  console.log(`${`${provider.name} ${provider.detail}`.padEnd(26)}${cells.map((cell) => cell.padStart(18)).join("")}`);
}

const best = providers[0]?.detail ?? "";
const target = targets[best];
const [seal = 0] = medians[0] ?? [];
const ratio = seal / (reference[0] ?? 1);
if (target === undefined) console.log(`\nthis processor has no GFNI: no target for ${best}`);
else {
  const met = seal >= target.megabytes && ratio >= (target.ratio ?? 0);
  const wanted = `${target.megabytes} MB/s${target.ratio === undefined ? "" : ` and ${target.ratio} times node:crypto`}`;
  console.log(
    `\n${best}, GCM: ${seal.toFixed(0)} MB/s, ${ratio.toFixed(1)} times node:crypto (target: ${wanted}): ${met ? "met" : "missed"}`,
  );
  if (!met) process.exitCode = 1;
}
