/**
 * `decDataKey` through the FISCO door against a bare node:http server that does one AES-256-GCM open per request.
 *
 *   node bench/fisco.ts [--rounds N] [--requests N] [--connections N]
 *
 * Rounds are interleaved; each figure is the median over the rounds. Ratios are of one run on one machine: the load
 * generator and the servers share its cores, so the CPU time a request is the steadier figure.
 */
import type { ChildProcess } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { answerOf, endChildren, start } from "./child-processes.ts";
import type { LoadOrder, LoadReport } from "./unwrap/load.ts";
import type { Stats } from "./unwrap/stats.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    requests: { type: "string", default: "20000" },
    connections: { type: "string", default: "32" },
  },
});
const rounds = Number(values.rounds);
const requests = Number(values.requests);
const connections = Number(values.connections);

/** What a FISCO BCOS node sends. */
const nodeBody = '{"id":83,"jsonrpc":"2.0","method":"decDataKey","params":["ed157f4588b86d61a2e1745efe71e6ea"]}\n';

interface Subject {
  readonly name: string;
  readonly process: ChildProcess;
  readonly order: Pick<LoadOrder, "port" | "requestBase64">;
  readonly results: (LoadReport & { readonly cpuUsPerRequest: number })[];
}

const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-"));

try {
  const load = start("unwrap/load.ts", []);
  const door = await doorSubject();
  const bare = await bareSubject();
  for (let round = 0; round < rounds; round++) for (const subject of [door, bare]) await measure(load, subject);
  await checkAnswer(door.order.port);
  print([door, bare]);
  const share = median(door, "perSecond") / median(bare, "perSecond");
  const cpuShare = median(bare, "cpuUsPerRequest") / median(door, "cpuUsPerRequest");
  console.log(`\nfisco door / bare: ${percent(share)} of the requests per second (target: at least 40 %)`);
  console.log(`bare / fisco door: ${percent(cpuShare)} by CPU time a request`);
} finally {
  await endChildren();
  rmSync(folder, { recursive: true, force: true });
}

async function doorSubject(): Promise<Subject> {
  const process = start("fisco/door-server.ts", ["--folder", folder]);
  const { port } = await answerOf<{ port: number }>(process);
  await checkAnswer(port);
  const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\nContent-Type: application/json\r\n`;
  const request = `${head}Accept-Charset: utf-8\r\nContent-Length: ${nodeBody.length}\r\n\r\n${nodeBody}`;
  return subject("fisco door", process, port, Buffer.from(request));
}

/** A refusal has HTTP status 200 too, so the load generator would not see it. */
async function checkAnswer(port: number): Promise<void> {
  const answer = await (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: nodeBody })).text();
  if (!answer.includes('"dataKey":"313233343536","error":0')) throw new Error(`the door answers ${answer}`);
}

async function bareSubject(): Promise<Subject> {
  const key = randomBytes(32);
  const process = start("fisco/bare-server.ts", ["--key", key.toString("hex")]);
  const { port } = await answerOf<{ port: number }>(process);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const box = Buffer.concat([nonce, cipher.update(randomBytes(32)), cipher.final(), cipher.getAuthTag()]);
  const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: ${box.length}\r\n\r\n`;
  return subject("bare node:http", process, port, Buffer.concat([Buffer.from(head), box]));
}

function subject(name: string, process: ChildProcess, port: number, request: Buffer): Subject {
  return { name, process, order: { port, requestBase64: request.toString("base64") }, results: [] };
}

async function measure(load: ChildProcess, measured: Subject): Promise<void> {
  const before = await statsOf(measured);
  load.send({ ...measured.order, connections, requests } satisfies LoadOrder);
  const report = await answerOf<LoadReport>(load);
  const after = await statsOf(measured);
  if (report.refused > 0) throw new Error(`${measured.name}: ${report.refused} requests were refused`);
  measured.results.push({ ...report, cpuUsPerRequest: ((after.cpuMs - before.cpuMs) * 1000) / (requests * 1.1) });
}

async function statsOf({ process }: Subject): Promise<Stats> {
  process.send("stats");
  return answerOf<Stats>(process);
}

type Figure = "perSecond" | "p50Ms" | "p99Ms" | "cpuUsPerRequest";

function median(measured: Subject, figure: Figure): number {
  const sorted = measured.results.map((each) => each[figure]).sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function print(subjects: readonly Subject[]): void {
  const columns: readonly (readonly [string, Figure, number, number])[] = [
    ["req/s", "perSecond", 0, 9],
    ["p50 ms", "p50Ms", 2, 9],
    ["p99 ms", "p99Ms", 2, 9],
    ["CPU µs/req", "cpuUsPerRequest", 0, 12],
  ];
  console.log(`${connections} connections, ${rounds} rounds of ${requests} requests, medians\n`);
  console.log("".padEnd(16) + columns.map(([heading, , , width]) => heading.padStart(width)).join(""));
  for (const each of subjects) {
    const cells = columns.map(([, figure, digits, width]) => median(each, figure).toFixed(digits).padStart(width));
    console.log(each.name.padEnd(16) + cells.join(""));
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
