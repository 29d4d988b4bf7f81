import { decodeMessage, encodeMessage } from "../../src/chain/consensus/message-encoding.ts";
import type { Message } from "../../src/chain/consensus/messages.ts";
import { type Phase, voteHash } from "../../src/chain/consensus/vote.ts";
import { headerHash } from "../../src/chain/ledger/header.ts";
import type { SeededRandom } from "./random.ts";
import type { TestChain } from "./sealers.ts";

/**
 * What a cheating sealer sends instead of an honest message, for each receiver by itself: of its proposals it makes two, and
 * votes for both; now and then it sends noise, or a frame with a bit turned.
 */
export function cheat(
  test: TestChain,
  random: SeededRandom,
  self: number,
  honest: Buffer,
  receivers: readonly number[],
): { readonly to: number; readonly bytes: Buffer }[] {
  const message = decodeMessage(test.chain, honest);
  const frames = receivers.map((to) => ({ to, bytes: honest }));
  if (random.chance(0.05)) return frames.map(({ to }) => ({ to, bytes: random.bytes(random.between(0, 300)) }));
  if (random.chance(0.05)) return frames.map(({ to }) => ({ to, bytes: turned(random, honest) }));
  if (message.kind !== "proposal") return frames;
  const other = otherProposal(test, self, message);
  return receivers.flatMap((to) => {
    const chosen = random.chance(0.5) ? message : other;
    const both = random.chance(0.2) ? [message, other] : [chosen];
    return both.flatMap((proposal) => [
      { to, bytes: encodeMessage(proposal) },
      ...(["prepare", "commit"] as const).map((phase) => ({ to, bytes: vote(test, self, proposal, phase) })),
    ]);
  });
}

type ProposalMessage = Extract<Message, { kind: "proposal" }>;

function otherProposal(test: TestChain, self: number, { proposal }: ProposalMessage): ProposalMessage {
  const header = { ...proposal.block.header, timestampMs: proposal.block.header.timestampMs + 1 };
  const block = { ...proposal.block, header, hash: headerHash(test.chain.suite, header) };
  const { height, view } = proposal;
  const signature = signed(test, self, { height, view, phase: "pre-prepare", digest: block.hash });
  return { kind: "proposal", proposal: { ...proposal, block, signature } };
}

function vote(test: TestChain, self: number, { proposal }: ProposalMessage, phase: "prepare" | "commit"): Buffer {
  const unsigned = { height: proposal.height, view: proposal.view, phase, digest: proposal.block.hash };
  return encodeMessage({ kind: "vote", vote: { ...unsigned, sealer: self, signature: signed(test, self, unsigned) } });
}

/** A vote's signature by a sealer of the test. */
export function signed(
  { chain, keys }: TestChain,
  sealer: number,
  vote: { readonly height: number; readonly view: number; readonly phase: Phase; readonly digest: Buffer },
): Buffer {
  const key = keys[sealer];
  if (key === undefined) throw new RangeError(`there is no sealer ${sealer}`);
  const hash = voteHash(chain, vote);
  const rs = key.sign(chain.suite.signingDigest(key.publicKey, hash));
  return chain.suite.sealerSignature(key.publicKey, hash, rs);
}

function turned(random: SeededRandom, frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  const at = random.between(0, Math.max(0, copy.length - 1));
  copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 7));
  return copy;
}
