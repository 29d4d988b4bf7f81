import type { ChildProcess } from "node:child_process";
import { answerOf, start } from "../child-processes.ts";
import type { LoadOrder, LoadReport } from "../unwrap/load.ts";
import { cell, median, verdict } from "./figures.ts";
import type { AccessKey, KeyManager } from "./key-manager.ts";
import { usageOf } from "./process-usage.ts";
import { signedRequest } from "./signed-request.ts";

export interface Call {
  readonly operation: string;
  readonly input: unknown;
}

interface Measured extends LoadReport {
  /** Of the server's whole process, for one call. */
  readonly cpuMs: number;
}

const connections = 8;
const mostCpuMs = 0.5;
const mostGrowthMB = 20;
const longRun = { calls: 200_000, steps: 20, shownEvery: 4 } as const;

/** Sends calls that are signed once: a signature is good for 15 minutes. */
export class CallBench {
  readonly #keyManager: KeyManager;
  readonly #user: AccessKey;
  readonly #calls: readonly Call[];
  readonly #load: ChildProcess = start("unwrap/load.ts");

  constructor(keyManager: KeyManager, user: AccessKey, calls: readonly Call[]) {
    this.#keyManager = keyManager;
    this.#user = user;
    this.#calls = calls;
  }

  /** CPU time of the server for each call; the rounds of the calls are interleaved. */
  async cpu(scheme: "http" | "https", rounds: number, requests: number): Promise<void> {
    const results = new Map(this.#calls.map((call) => [call, [] as Measured[]]));
    for (let round = 0; round < rounds; round++)
      for (const [call, seen] of results) seen.push(await this.#send(call, requests, scheme));
    console.log(`\n${scheme}, ${connections} connections, ${rounds} rounds of ${requests} calls, medians\n`);
    console.log(`${"".padEnd(18)}${["calls/s", "p50 ms", "p99 ms", "CPU ms/call"].map(cell).join("")}`);
    for (const [{ operation }, seen] of results) {
      const of = (figure: "perSecond" | "p50Ms" | "p99Ms" | "cpuMs") => median(seen.map((each) => each[figure]));
      const cpuMs = of("cpuMs");
      const figures = [of("perSecond").toFixed(0), of("p50Ms").toFixed(2), of("p99Ms").toFixed(2), cpuMs.toFixed(3)];
      console.log(`${operation.padEnd(18)}${figures.map(cell).join("")}   ${verdict(cpuMs, mostCpuMs, " ms")}`);
    }
  }

  async memory(): Promise<void> {
    const { calls, steps, shownEvery } = longRun;
    const rssMiB = () => usageOf(this.#keyManager.pid).rssMiB;
    const show = (sent: number) => console.log(`${cell(String(sent))} calls${cell(rssMiB().toFixed(1))} MiB`);
    // What the first calls bring along (compiled code, caches) is no growth.
    for (const call of this.#calls) await this.#send(call, calls / steps, "http");
    const beganMiB = rssMiB();
    let mostMiB = beganMiB;
    console.log(`\nmemory of the server over ${calls} calls\n`);
    for (let step = 0; step < steps; step++) {
      if (step % shownEvery === 0) show((calls / steps) * step);
      const call = this.#calls[step % this.#calls.length];
      if (call !== undefined) await this.#send(call, calls / steps, "http");
      mostMiB = Math.max(mostMiB, rssMiB());
    }
    show(calls);
    // The most of all steps: a collection just before the end hides nothing.
    const grownMB = ((mostMiB - beganMiB) * 2 ** 20) / 1e6;
    console.log(`grown by at most ${grownMB.toFixed(1)} MB, ${verdict(grownMB, mostGrowthMB, " MB")}`);
  }

  async #send({ operation, input }: Call, requests: number, scheme: "http" | "https"): Promise<Measured> {
    const { port, pid, region, caPath } = this.#keyManager;
    const host = `127.0.0.1:${port}`;
    const request = signedRequest({ operation, input, host, region, ...this.#user });
    const before = usageOf(pid);
    this.#load.send({
      port,
      connections,
      requests,
      requestBase64: request.toString("base64"),
      ...(scheme === "https" ? { tls: { ca: caPath } } : {}),
    } satisfies LoadOrder);
    const report = await answerOf<LoadReport>(this.#load);
    const after = usageOf(pid);
    if (report.refused > 0) throw new Error(`${operation}: ${report.refused} calls were refused`);
    return { ...report, cpuMs: (after.cpuMs - before.cpuMs) / (requests + Math.ceil(requests / 10)) };
  }
}
