/**
 * Signatures a second of a cipher card and a token through the whole adapter (its process, session pool and checks), against the
 * same library called from a plain loop.
 *
 *   node bench/device.ts [--rounds N] [--seconds S] [--only sdf|pkcs11]
 *
 * The card is the test card, its key a custody's (a node's key, whose every signature is verified, has a row of its own), and its loop
 * is in C; the token is SoftHSM's and its loop is over pkcs11js. Rounds are interleaved,
 * after one that warms up; each ratio is the median of the rounds' own ratios, with their middle half beside it. Callers,
 * device and loops share the machine's cores.
 */
import { parseArgs } from "node:util";
import { noToken, SoftToken } from "../test/process/devices/pkcs11/soft-token.ts";
import { makeTestCard, type TestCard } from "../test/sdf-card/build.ts";
import { cardPin, cLoop, keyIndex, type OpenedSigner, openCustodyKey, openNodeKey } from "./device/card.ts";
import { delayResolutionMs, type LoadFigures, type LoopFigures, load } from "./device/load.ts";
import { median, percent, type Rounds, ratios, spread, verdict } from "./device/rounds.ts";
import { openToken, PlainLoop } from "./device/token.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    seconds: { type: "string", default: "2" },
    only: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
/** Asking at once: a session is kept busy while answers travel. */
const callersPerSession = 16;
const rightMs = 150;
/** A right of 150 ms leaves six signatures a second: a round takes longer than the others'. */
const rightSeconds = Math.max(seconds, 2);

console.log(`${rounds} rounds of ${seconds} s, ${callersPerSession} callers a session, medians\n`);
heading();
const lines: string[] = [];
if (values.only !== "pkcs11") await benchCard();
if (values.only !== "sdf") await benchToken();
console.log(`\n${lines.join("\n")}`);

async function benchCard(): Promise<void> {
  using card = makeTestCard(cardPin);
  card.admin("generate", String(keyIndex));
  await using one = await openCustodyKey(card, 1);
  await using four = await openCustodyKey(card, 4);
  await using node = await openNodeKey(card, 1);
  const inC1: LoopFigures[] = [];
  const inC4: LoopFigures[] = [];
  const alone: LoadFigures[] = [];
  const through1: LoadFigures[] = [];
  const through4: LoadFigures[] = [];
  const ofNode: LoadFigures[] = [];
  const perSign: LoopFigures[] = [];
  for (let round = -1; round < rounds; round++) {
    const now = [
      await cLoop(card, 1, seconds, "kept"),
      await signing(one, callersPerSession),
      await signing(one, 1),
      await cLoop(card, 4, seconds, "kept"),
      await signing(four, 4 * callersPerSession),
      await signing(node, callersPerSession),
      await withRight(card, () => cLoop(card, 1, rightSeconds, "per signature")),
    ] as const;
    if (round < 0) continue;
    inC1.push(now[0]);
    through1.push(now[1]);
    alone.push(now[2]);
    inC4.push(now[3]);
    through4.push(now[4]);
    ofNode.push(now[5]);
    perSign.push(now[6]);
  }
  plain("card: C, 1 thread", inC1);
  figures("card: 1 session", through1);
  figures("card: 1 session, 1 caller", alone);
  plain("card: C, 4 threads", inC4);
  figures("card: 4 sessions", through4);
  figures("card: 1 session, node's key", ofNode);
  plain(`card: C, right (${rightMs} ms) each`, perSign);
  lines.push(
    verdict("card, 1 session / C", ratios(perSecond(through1), perSecond(inC1)), percent, { atLeast: 0.8 }),
    verdict("card, 4 sessions / C, 4 threads", ratios(perSecond(through4), perSecond(inC4)), percent, { atLeast: 0.8 }),
    verdict(
      "card, 1 session / C with the right taken for each",
      ratios(perSecond(through1), perSecond(perSign)),
      times,
      {
        atLeast: 100,
      },
    ),
    delayOf("card, 4 sessions", through4),
    cpuShare("card, 1 session", inC1, through1),
  );
}

async function benchToken(): Promise<void> {
  if (noToken !== false) {
    console.log(`token: ${noToken}`);
    return;
  }
  using soft = new SoftToken();
  await using token = await openToken(soft);
  await using loop = await PlainLoop.start(soft, token.keyId);
  const inLoop: LoopFigures[] = [];
  const through: LoadFigures[] = [];
  for (let round = -1; round < rounds; round++) {
    const plainly = await loop.run(seconds);
    const adapter = await load(token.sign, callersPerSession, seconds, token.pid);
    if (round < 0) continue;
    inLoop.push(plainly);
    through.push(adapter);
  }
  plain("token: pkcs11js", inLoop);
  figures("token: 1 session", through);
  lines.push(
    verdict("token, 1 session / pkcs11js", ratios(perSecond(through), perSecond(inLoop)), percent, { atLeast: 0.8 }),
    delayOf("token, 1 session", through),
    cpuShare("token, 1 session", inLoop, through),
  );
}

function signing({ sign, pid }: OpenedSigner, callers: number): Promise<LoadFigures> {
  return load(sign, callers, seconds, pid);
}

async function withRight<T>(card: TestCard, run: () => Promise<T>): Promise<T> {
  card.setFaults(`right-ms=${rightMs}`);
  try {
    return await run();
  } finally {
    card.setFaults();
  }
}

function delayOf(name: string, loads: readonly LoadFigures[]): string {
  const p99 = loads.map((each) => each.delayP99Ms);
  const told = `${name}: event-loop delay, p99 at a resolution of ${delayResolutionMs} ms`;
  return verdict(told, p99, milliseconds, { below: 10 });
}

/** How much of the CPU time of the device's process the plain loop needs too. */
function cpuShare(name: string, loops: readonly LoopFigures[], loads: readonly LoadFigures[]): string {
  const shares = ratios(
    loops.map((each) => each.cpuUs),
    loads.map((each) => each.deviceCpuUs),
  );
  return `${name}: CPU time of the loop / of the device's process: ${spread(shares, percent)}`;
}

function perSecond(figures: readonly (LoadFigures | LoopFigures)[]): Rounds {
  return figures.map((each) => each.perSecond);
}

function heading(): void {
  const names = ["sign/s", "caller µs", "device µs", "delay p99", "most ms"];
  console.log("".padEnd(34) + names.map((name) => name.padStart(11)).join(""));
}

/** CPU time for each signature. */
function plain(name: string, loops: readonly LoopFigures[]): void {
  const cpuUs = median(loops.map((each) => each.cpuUs)).toFixed(0);
  console.log(name.padEnd(34) + median(perSecond(loops)).toFixed(0).padStart(11) + cpuUs.padStart(22));
}

/** CPU time for each signature, of this process and of the device's. */
function figures(name: string, loads: readonly LoadFigures[]): void {
  const of = (figure: keyof LoadFigures, digits: number) =>
    median(loads.map((each) => each[figure]))
      .toFixed(digits)
      .padStart(11);
  console.log(
    name.padEnd(34) +
      of("perSecond", 0) +
      of("callerCpuUs", 0) +
      of("deviceCpuUs", 0) +
      of("delayP99Ms", 2) +
      of("delayMostMs", 2),
  );
}

function times(ratio: number): string {
  return `${ratio.toFixed(0)} x`;
}

function milliseconds(value: number): string {
  return `${value.toFixed(2)} ms`;
}
