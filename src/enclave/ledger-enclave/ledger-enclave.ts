import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import type { TeeBackend } from "../tee/backend.ts";
import { answerRequest } from "./answers.ts";
import { ChannelFollower } from "./follower.ts";
import { requesterCheck } from "./requester-check.ts";
import { SessionResponder } from "./session-responder.ts";
import { type LedgerEnclaveStart, readStart } from "./settings.ts";

/** What a ledger enclave is made of. */
export interface LedgerEnclaveParts {
  readonly openBackend: (settings: LedgerEnclaveStart["tee"]) => Promise<TeeBackend>;
  readonly judge: EvidenceJudge;
  /** Has the host put collateral beside an attestation. */
  readonly toEvidence: (attestation: Uint8Array) => Promise<Uint8Array>;
}

interface Started {
  readonly backend: TeeBackend;
  readonly follower: ChannelFollower;
  readonly responder: SessionResponder;
}

/** Above what an orderer cuts, with room: Fabric's own bound on a block. */
const maxBlockBytes = 100 << 20;

/**
 * The ledger enclave behind its calls: `start` with settings and the first block, `block` with the pieces of each following one,
 * `session` with messages of chaincode enclaves. It holds no secret that outlives its sessions; started again it follows the
 * channel from the first block.
 */
export class LedgerEnclave {
  readonly #parts: LedgerEnclaveParts;
  #started: Started | undefined;
  #pieces: Buffer[] = [];

  constructor(parts: LedgerEnclaveParts) {
    this.#parts = parts;
  }

  /** @throws EnclaveError SETTINGS_INVALID, MALFORMED, and what the parts of the call throw */
  async call(name: string, parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    const [first, second, ...others] = parts;
    if (name === "start" && first !== undefined && second !== undefined && others.length === 0)
      return await this.#start(first, second);
    const started = this.#started;
    if (started === undefined) throw new EnclaveError("LEDGER_UNAVAILABLE", "the ledger enclave is not started");
    if (name === "block" && first?.length === 1 && second !== undefined && others.length === 0)
      return [this.#block(started, first.readUInt8() === 1, second)];
    if (name === "session" && first !== undefined && parts.length === 1) return [await started.responder.handle(first)];
    throw new EnclaveError("MALFORMED", `there is no such call of the ledger enclave: ${name}`);
  }

  async end(): Promise<void> {
    await this.#started?.backend[Symbol.asyncDispose]();
  }

  async #start(settings: Buffer, genesisBlock: Buffer): Promise<readonly Uint8Array[]> {
    if (this.#started !== undefined)
      throw new EnclaveError("SETTINGS_INVALID", "the ledger enclave is started already");
    const { tee, erccName } = readStart(settings);
    const { judge, openBackend, toEvidence } = this.#parts;
    const follower = new ChannelFollower(genesisBlock, { erccName, judge });
    const { channelId, channelHash } = follower.channel;
    const backend = await openBackend(tee);
    const responder = new SessionResponder({
      channelId,
      channelHash,
      erccName,
      attest: async (statement) => {
        const attestation = await backend.quote(statement);
        return { attestation, evidence: await toEvidence(attestation) };
      },
      check: requesterCheck(() => follower.registry(), judge),
      answer: (request) => answerRequest(follower, request),
    });
    this.#started = { backend, follower, responder };
    return [channelHash, Buffer.from(await backend.measure())];
  }

  /** Blocks may be longer than a frame: they come in pieces. */
  #block({ follower }: Started, isLast: boolean, piece: Buffer): Buffer {
    this.#pieces.push(piece);
    const bytes = this.#pieces.reduce((sum, { length }) => sum + length, 0);
    if (bytes > maxBlockBytes) {
      this.#pieces = [];
      throw new EnclaveError("MALFORMED", "a block is too long");
    }
    if (isLast) {
      const block = Buffer.concat(this.#pieces);
      this.#pieces = [];
      follower.append(block);
    }
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(follower.blockNumber);
    return number;
  }
}
