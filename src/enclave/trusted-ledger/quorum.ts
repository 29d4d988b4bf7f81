import { EnclaveError, type EnclaveErrorCode } from "../errors.ts";
import type { SignedAnswer } from "./signed-answer.ts";

/**
 * Counts answers: each organisation has one vote, and none if its own peers signed different answers. At least `quorum`
 * organisations have to have signed the very same one.
 *
 * @param refusals - Why other answers did not count.
 * @throws EnclaveError LEDGER_UNAVAILABLE: nobody answered, or peers are not at the same block; BAD_SIGNATURE, or what all
 *   `refusals` have in common: too few organisations gave a good answer
 */
export function countVotes(
  answers: readonly SignedAnswer[],
  refusals: readonly EnclaveError[],
  quorum: number,
): SignedAnswer {
  const votes = new Map<string, SignedAnswer | undefined>();
  for (const answer of answers) {
    const contradicted = votes.has(answer.mspId) && !isSame(votes.get(answer.mspId), answer);
    votes.set(answer.mspId, contradicted ? undefined : answer);
  }
  const counted = [...votes.values()].filter((vote) => vote !== undefined);
  const agreed = counted.filter((vote) => counted.filter((other) => isSame(vote, other)).length >= quorum);
  const [first] = agreed;
  if (first !== undefined && agreed.every((vote) => isSame(first, vote))) return first;
  const told = `${counted.length} of at least ${quorum} organisations gave an answer that counts`;
  if (counted.length >= quorum)
    throw new EnclaveError(
      "LEDGER_UNAVAILABLE",
      `organisations answer differently: their peers are not at the same block`,
    );
  if (answers.length + refusals.length === 0)
    throw new EnclaveError("LEDGER_UNAVAILABLE", "no peer of any organisation answered");
  const why = refusals.map((refusal) => `: ${refusal.message}`).join("");
  throw new EnclaveError(commonCode(refusals), `${told}${why}`);
}

function isSame(one: SignedAnswer | undefined, other: SignedAnswer): boolean {
  return one !== undefined && Buffer.compare(one.signed, other.signed) === 0;
}

function commonCode(refusals: readonly EnclaveError[]): EnclaveErrorCode {
  const codes = new Set(refusals.map((refusal) => refusal.code));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : "BAD_SIGNATURE";
}
