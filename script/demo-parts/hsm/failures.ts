/** What is done to the cards, and what must be seen of the chain then. */
import { setTimeout as pause } from "node:timers/promises";
import type { DigestSigner } from "../../../src/chain/ledger/signer.ts";
import type { Transaction } from "../../../src/chain/ledger/types.ts";
import type { Stage } from "../stage.ts";
import type { CardChain } from "./card-chain.ts";
import type { LedgerBlock } from "./ledgers.ts";
import { until } from "./shell.ts";

const saysNotSigned = "[SIGN]";

/** Longer than two views last (4 s and 6 s): with a quorum there would be a block by then. */
const noQuorumMs = 12_000;

function hasPartIn(sealer: number, { proposer, signers }: LedgerBlock): boolean {
  return proposer === sealer || signers.includes(sealer);
}

/** Unplugs one card of four. It happens between blocks, so that no block is of before and after. */
export async function unplugOne(stage: Stage, chain: CardChain, account: DigestSigner, index: number): Promise<void> {
  const node = chain.node(index);
  const before = await chain.sameHeight();
  node.unplug();
  const others = chain.nodes.map((each) => each.index).filter((each) => each !== index);
  const mined = await chain.mineUntilProposedBy(account, others);
  stage.check(
    `${node.name} unplugged: the chain goes on`,
    true,
    `${mined.transactions} transactions in ${mined.blocks} blocks, proposed by nodes ${mined.proposers.join(", ")}`,
  );
  const said = await until(`${node.name} says that its card does not sign`, () => node.logLine(saysNotSigned));
  stage.check(`${node.name} says that its card does not sign`, true, said);
  const after = await chain.sameHeight();
  const blocks = await chain.blocksOf(node, before + 1);
  stage.check(
    `${node.name} signs nothing, and follows the chain`,
    blocks.length === after - before && !blocks.some((block) => hasPartIn(index, block)),
    `it has blocks ${before + 1} to ${after}, none with a signature or proposal of its own`,
  );
}

/** Unplugs a second card: two of four are no quorum. Answers with a transaction that waits for its block. */
export async function unplugTwo(
  stage: Stage,
  chain: CardChain,
  account: DigestSigner,
  index: number,
): Promise<Transaction> {
  const before = await chain.sameHeight();
  chain.node(index).unplug();
  const waiting = await chain.send(account);
  await pause(noQuorumMs);
  const heights = await Promise.all(chain.nodes.map((node) => node.height(chain.chain)));
  const connected = chain.nodes.map((node) => /count=(\d)/.exec(node.logLine("heartBeat,connected") ?? "")?.[1]);
  stage.check(
    "two cards of four unplugged: no block",
    heights.every((height) => height === before),
    `every node is at height ${before} still, ${noQuorumMs / 1000} s after a transaction came`,
  );
  stage.check(
    "nodes without a card stay connected",
    connected.every((count) => count === "3"),
    `connected count: ${connected.join(", ")}`,
  );
  return waiting;
}

/** Lets a card answer once with a wrong signature. The node is started anew afterwards, as its log says. */
export async function wrongSignature(
  stage: Stage,
  chain: CardChain,
  account: DigestSigner,
  index: number,
): Promise<void> {
  const node = chain.node(index);
  const before = await chain.sameHeight();
  node.card.setFaults("on=SDF_InternalSign_ECC", "corrupt-at=1");
  const others = chain.nodes.map((each) => each.index).filter((each) => each !== index);
  const mined = await chain.mineUntilProposedBy(account, others);
  const said = await until(`${node.name} says that it stops`, () => node.logLine("halted"));
  const after = await chain.sameHeight();
  const blocks = await chain.blocksOf(node, before + 1);
  stage.check(
    `a wrong signature of its card leaves ${node.name} silent`,
    blocks.length === after - before && !blocks.some((block) => hasPartIn(index, block)),
    `${mined.blocks} blocks without it; ${said.replace(/^.*\]halted,/, "")}`,
  );
}
