/**
 * The reference chain under a steady load: four nodes' processes on this machine, SM2 keys in the test cipher card, blocks of
 * one second, and a client in a process of its own that sends signed transactions to all four whatever the answers do.
 *
 *   node bench/chain.ts [--seconds N] [--rate N] [--standard] [--profile FOLDER]
 *
 * `--standard`: secp256k1 and soft keys, for information. `--profile`: a CPU profile of each node. Ends with 1 when a target is
 * missed.
 *
 * The rate asked for is a little above the target, so that reaching the target is not a matter of rounding. Nodes and client share
 * the machine's cores.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeTestCard } from "../test/sdf-card/build.ts";
import { blockFigures } from "./chain/blocks.ts";
import type { LoadOrder, LoadReport } from "./chain/client.ts";
import { readLog } from "./chain/node-log.ts";
import { buildChain, cardPin, heartbeatSeconds, type NodeUsage, RunningNode } from "./chain/nodes.ts";
import { verificationCpuMs } from "./chain/verifications.ts";
import { answerOf } from "./child-processes.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "210" },
    standard: { type: "boolean", default: false },
    profile: { type: "string" },
  },
});
const seconds = Number(values.seconds);
const perSecond = Number(values.rate);
const targetPerSecond = 200;
/** A heartbeat line may come this much later than its time. */
const lateMs = 1000;
/** After the nodes' start, until compiled code and caches are there. */
const warmUpSeconds = Math.min(5, seconds);

let missed = 0;
await using parts = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-chain-"));
parts.defer(() => rmSync(folder, { recursive: true, force: true }));
const card = values.standard ? undefined : parts.use(makeTestCard(cardPin));
const local = parts.use(await buildChain(card, folder));
const nodes = local.nodes.map((node, index) => parts.use(new RunningNode(`node${index}`, node, values.profile)));
for (const node of nodes) await node.connected(nodes.length - 1);
const { suite } = local.chain;
console.log(
  `${nodes.length} nodes, ${suite.name} chain, ${card === undefined ? "soft keys" : "keys in the test card"}, ${perSecond} transactions/s offered for ${seconds} s, ${cpus().length} cores\n`,
);
await load(perSecond, warmUpSeconds);
report(await load(perSecond, seconds), await verificationCpuMs(suite, 2));
process.exitCode = missed === 0 ? 0 : 1;

interface Load extends LoadReport {
  /** Of each node, at the beginning and after the last receipt. */
  readonly before: readonly NodeUsage[];
  readonly after: readonly NodeUsage[];
}

async function load(perSecond: number, seconds: number): Promise<Load> {
  const client = fork(join(import.meta.dirname, "chain/client.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  try {
    const genesisPath = join(local.node(0).folder, "config.genesis");
    const rpcPorts = local.nodes.map(({ rpcPort }) => rpcPort);
    client.send({ genesisPath, rpcPorts, perSecond, seconds } satisfies LoadOrder);
    await answerOf<string>(client);
    const before = nodes.map((node) => node.usage());
    client.send("begin");
    const answer = await answerOf<LoadReport>(client);
    return { ...answer, before, after: nodes.map((node) => node.usage()) };
  } finally {
    client.kill();
  }
}

function report(run: Load, verificationMs: number): void {
  const { sent, beganMs, endedMs, latenciesMs, failures, blocks } = run;
  const figures = blockFigures(blocks, beganMs, endedMs);
  const inBlocks = blocks.reduce((sum, { transactions }) => sum + transactions, 0);
  row("sent", `${sent}, ${(sent / seconds).toFixed(1)}/s`);
  row("receipts", `${latenciesMs.length}; ${run.proofsChecked} checked with their proofs`);
  row("in blocks", `${inBlocks}, read from the chain`, inBlocks === sent && latenciesMs.length === sent);
  for (const [reason, count] of Object.entries(failures)) row("without a receipt", `${count}: ${reason}`, false);
  row("rate in blocks", `${figures.perSecond.toFixed(1)}/s`, figures.perSecond >= targetPerSecond);
  const least = figures.leastPerSecond;
  if (least !== undefined) row("least over 10 s of blocks", `${least.toFixed(1)}/s`, least >= targetPerSecond);
  row(
    "blocks",
    `${figures.blocks}, one in ${figures.meanBlockMs.toFixed(0)} ms (longest ${figures.longestBlockMs.toFixed(0)} ms)`,
  );
  row(
    "turn to receipt",
    `p50 ${quantile(latenciesMs, 0.5)} ms, p99 ${quantile(latenciesMs, 0.99)} ms, most ${quantile(latenciesMs, 1)} ms`,
  );
  for (const [index, node] of nodes.entries()) reportNode(index, node, run);
  const used = nodes.map((_, index) => difference(run, index));
  const cpuMs = used.reduce((sum, each) => sum + each.cpuMs, 0);
  const own = nodes.length * sent * verificationMs;
  row("client", `${(run.cpuMs / 1000).toFixed(1)} s of CPU time`);
  const most = (cpus().length * 1000) / (nodes.length * verificationMs);
  row(
    "one check of a signature",
    `${(verificationMs * 1000).toFixed(0)} µs of CPU time; ${most.toFixed(0)} transactions/s if nodes did nothing else`,
  );
  row(
    "such checks / the nodes' CPU time",
    `${((100 * own) / cpuMs).toFixed(0)} %; ${((cpuMs * 1000) / sent).toFixed(0)} µs of all nodes for one transaction`,
  );
  console.log(missed === 0 ? "\nall targets met" : `\n${missed} targets MISSED`);
}

function reportNode(index: number, node: RunningNode, run: Load): void {
  const log = readLog(node.log, run.beganMs, run.endedMs, { everyMs: heartbeatSeconds * 1000, lateMs });
  const { cpuMs, waitedMs } = difference(run, index);
  const cpu = `${(cpuMs / 1000).toFixed(1)} s of CPU time, ${(waitedMs / 1000).toFixed(1)} s waiting for a core`;
  const memory = `${run.before[index]?.rssMiB.toFixed(0)} to ${run.after[index]?.rssMiB.toFixed(0)} MiB`;
  row(node.name, `${cpu}, ${memory}, ${log.viewChanges} view changes, ${log.warnings.length} warnings`);
  const isOnTime = log.longestGapMs <= heartbeatSeconds * 1000 + lateMs && log.heartbeats >= log.expected;
  const { leastConnected = nodes.length - 1 } = log;
  row(
    "",
    `${log.heartbeats} heartbeats of ${log.expected}, longest time without ${(log.longestGapMs / 1000).toFixed(2)} s, least count ${leastConnected}`,
    isOnTime && leastConnected === nodes.length - 1,
  );
  for (const warning of log.warnings.slice(0, 5)) row("", warning);
}

function difference({ before, after }: Load, index: number): Pick<NodeUsage, "cpuMs" | "waitedMs"> {
  const of = (figure: "cpuMs" | "waitedMs") => (after[index]?.[figure] ?? 0) - (before[index]?.[figure] ?? 0);
  return { cpuMs: of("cpuMs"), waitedMs: of("waitedMs") };
}

function row(name: string, text: string, met?: boolean): void {
  if (met === false) missed += 1;
  const verdict = met === undefined ? "" : met ? "  ok" : "  MISSED";
  console.log(`${name.padEnd(36)}${text}${verdict}`);
}

/** Of values that ascend. */
function quantile(values: readonly number[], share: number): string {
  return (values[Math.floor((values.length - 1) * share)] ?? Number.NaN).toFixed(0);
}
