import { join } from "node:path";
import { answerOf, start } from "../child-processes.ts";
import { cell, median, type Tail, tailOf, verdict } from "./figures.ts";
import type { SdkAccess } from "./key-manager.ts";
import type { SdkOrder, SdkReport } from "./sdk-client.ts";

const sdkClients = 8;
const mostRatio = 3;

/** Latencies as SDK clients see them, door and bare server in turn. */
export async function measureTail(
  access: SdkAccess,
  folder: string,
  options: { readonly rounds: number } & Pick<SdkOrder, "ciphertextBase64" | "context" | "requests">,
): Promise<void> {
  const { rounds, ...rest } = options;
  const bare = start("aws-door/bare-server.ts", [join(folder, "bare.log")]);
  const { port } = await answerOf<{ port: number }>(bare);
  const clients = Array.from({ length: sdkClients }, () => start("aws-door/sdk-client.ts"));
  const door = { name: "door", endpoint: access.endpoint, tails: [] as Tail[] };
  const peer = { name: "bare + group sync", endpoint: `http://127.0.0.1:${port}`, tails: [] as Tail[] };
  for (let round = 0; round < rounds; round++)
    for (const { endpoint, tails } of [door, peer]) {
      for (const client of clients) client.send({ ...access, ...rest, endpoint } satisfies SdkOrder);
      const reports = await Promise.all(clients.map((client) => answerOf<SdkReport>(client)));
      tails.push(tailOf(reports.flatMap(({ latenciesMs }) => latenciesMs)));
    }
  console.log(`\n${sdkClients} SDK clients, http, ${rounds} rounds of ${rest.requests} Decrypt calls each, medians\n`);
  console.log(`${"".padEnd(18)}${["p50 ms", "p99 ms"].map(cell).join("")}`);
  const p99MsOf = ({ tails }: typeof door) => median(tails.map(({ p99Ms }) => p99Ms));
  for (const subject of [door, peer]) {
    const p50Ms = median(subject.tails.map((tail) => tail.p50Ms));
    console.log(`${subject.name.padEnd(18)}${cell(p50Ms.toFixed(2))}${cell(p99MsOf(subject).toFixed(2))}`);
  }
  const ratio = p99MsOf(door) / p99MsOf(peer);
  console.log(`p99 of the door / bare + group sync: ${ratio.toFixed(2)}, ${verdict(ratio, mostRatio, "")}`);
  for (const child of [bare, ...clients]) child.disconnect();
}
