/**
 * Unwrap through the native door against a bare node:https server that does one AES-256-GCM open per request.
 *
 *   node bench/unwrap.ts [--rounds N] [--requests N] [--connections N] [--long]
 *
 * Rounds are interleaved, after one that warms up; each figure is the median over the rounds, each ratio the median of the
 * rounds' own ratios with their middle half beside it: a shared machine is faster in one second than in the next. The load
 * generator and the servers share its cores. `--long` also sends 200,000 requests to one key manager and prints its memory
 * on the way.
 */
import type { ChildProcess } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerOf, endChildren, start } from "./child-processes.ts";
import { productFlags } from "./product-flags.ts";
import type { LoadOrder, LoadReport } from "./unwrap/load.ts";
import type { Stats } from "./unwrap/stats.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    requests: { type: "string", default: "8000" },
    connections: { type: "string", default: "32" },
    long: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
const connections = Number(values.connections);

interface Subject {
  readonly name: string;
  readonly process: ChildProcess;
  readonly order: Omit<LoadOrder, "requests" | "connections">;
  readonly results: (LoadReport & { readonly cpuUsPerRequest: number })[];
}

const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-"));
const tls = { ca: join(folder, "ca.pem"), cert: join(folder, "client.pem"), key: join(folder, "client-key.pem") };

try {
  const load = start("unwrap/load.ts");
  const native = await nativeSubject();
  const bareKey = randomBytes(32);
  const bare = await bareSubject("bare", bareKey, []);
  const bareSynced = await bareSubject("bare + group sync", bareKey, ["--log", join(folder, "bare.log")]);
  const subjects = [native, bare, bareSynced];
  for (const subject of subjects) await measure(load, subject, requests);
  for (const { results } of subjects) results.length = 0;
  for (let round = 0; round < rounds; round++) for (const subject of subjects) await measure(load, subject, requests);
  print(subjects);
  const share = ratios("perSecond", native, bare);
  const cpuShare = ratios("cpuUsPerRequest", bare, native);
  const tail = ratios("p99Ms", native, bareSynced);
  console.log(`\nnative / bare: ${spread(share, percent)} of the requests per second (target: at least 40 %)`);
  console.log(`bare / native: ${spread(cpuShare, percent)} by CPU time a request`);
  console.log(`native p99 / bare + group sync p99: ${spread(tail, (each) => each.toFixed(2))} (target: at most 3)`);
  if (values.long) await memoryOver(load, native, 200_000);
} finally {
  await endChildren();
  rmSync(folder, { recursive: true, force: true });
}

async function nativeSubject(): Promise<Subject> {
  const process = start("unwrap/native-server.ts", ["--folder", folder], productFlags());
  const { port, body } = await answerOf<{ port: number; body: string }>(process);
  const requestBase64 = requestBytes("/v1/unwrap", "application/json", Buffer.from(body)).toString("base64");
  return { name: "native", process, order: { port, tls, requestBase64 }, results: [] };
}

async function bareSubject(name: string, key: Buffer, args: readonly string[]): Promise<Subject> {
  const process = start("unwrap/bare-server.ts", ["--folder", folder, "--key", key.toString("hex"), ...args]);
  const { port } = await answerOf<{ port: number }>(process);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const box = Buffer.concat([nonce, cipher.update(randomBytes(32)), cipher.final(), cipher.getAuthTag()]);
  const requestBase64 = requestBytes("/", "application/octet-stream", box).toString("base64");
  return { name, process, order: { port, tls, requestBase64 }, results: [] };
}

function requestBytes(path: string, type: string, body: Buffer): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

async function measure(load: ChildProcess, subject: Subject, count: number): Promise<void> {
  const before = await statsOf(subject);
  load.send({ ...subject.order, connections, requests: count } satisfies LoadOrder);
  const report = await answerOf<LoadReport>(load);
  const after = await statsOf(subject);
  if (report.refused > 0) throw new Error(`${subject.name}: ${report.refused} requests were refused`);
  subject.results.push({ ...report, cpuUsPerRequest: ((after.cpuMs - before.cpuMs) * 1000) / (count * 1.1) });
}

async function memoryOver(load: ChildProcess, subject: Subject, total: number): Promise<void> {
  console.log(`\nmemory of the key manager over ${total} requests`);
  const step = total / 10;
  for (let done = 0; done <= total; done += step) {
    const { rssMiB } = await statsOf(subject);
    console.log(`${String(done).padStart(8)} requests  ${rssMiB.toFixed(1).padStart(7)} MiB`);
    if (done < total) await measure(load, subject, step);
  }
}

async function statsOf({ process }: Subject): Promise<Stats> {
  process.send("stats");
  return answerOf<Stats>(process);
}

type Figure = "perSecond" | "p50Ms" | "p99Ms" | "cpuUsPerRequest";

function median(subject: Subject, figure: Figure): number {
  return quantile(
    subject.results.map((each) => each[figure]),
    0.5,
  );
}

/** One ratio a round. */
function ratios(figure: Figure, above: Subject, below: Subject): number[] {
  return above.results.map((each, round) => each[figure] / (below.results[round]?.[figure] ?? Number.NaN));
}

/** The median, and between what the middle half lies. */
function spread(values: readonly number[], show: (value: number) => string): string {
  return `${show(quantile(values, 0.5))} (${show(quantile(values, 0.25))} to ${show(quantile(values, 0.75))})`;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

function print(subjects: readonly Subject[]): void {
  console.log(`${connections} connections, ${rounds} rounds of ${requests} requests, medians\n`);
  console.log(
    `${"".padEnd(20)}${"req/s".padStart(9)}${"p50 ms".padStart(9)}${"p99 ms".padStart(9)}${"CPU µs/req".padStart(12)}`,
  );
  for (const subject of subjects)
    console.log(
      subject.name.padEnd(20) +
        median(subject, "perSecond").toFixed(0).padStart(9) +
        median(subject, "p50Ms").toFixed(2).padStart(9) +
        median(subject, "p99Ms").toFixed(2).padStart(9) +
        median(subject, "cpuUsPerRequest").toFixed(0).padStart(12),
    );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
