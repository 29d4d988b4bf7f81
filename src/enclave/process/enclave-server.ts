import { create } from "@bufbuild/protobuf";
import { InTurn } from "../../crypto/turns.ts";
import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { LedgerSeenSchema } from "../messages/generated/fpc/sealed_pb.ts";
import { encode } from "../messages/strict.ts";
import type { TeeBackend } from "../tee/backend.ts";
import type { LedgerExchange } from "../trusted-ledger/exchange.ts";
import type { TrustedLedger } from "../trusted-ledger/trusted-ledger.ts";
import { forClient, isClientCall } from "./client-calls.ts";
import { enclaveCalls } from "./enclave-calls.ts";
import { EnclaveIdentity, sha256 } from "./identity.ts";
import { type InvocationHandler, InvocationKeys } from "./invocation.ts";
import { seenOf } from "./ledger-marks.ts";
import { encodeQuestion } from "./ledger-questions.ts";
import { LedgerView } from "./ledger-view.ts";
import { OpenEnclave } from "./open-enclave.ts";
import type { EnclaveParts, LedgerContext } from "./parts.ts";
import { PolicyInForce } from "./policy-in-force.ts";
import { readRelease, releaseAnswer } from "./release.ts";
import { compareWithLedger } from "./rollback.ts";
import { disposeState, type EnclaveState, unsealState } from "./sealed-state.ts";

/** What differs between the enclave of the product and those of tests. */
export interface EnclaveProgram {
  /** @param settings - What the host said at the start: JSON, of the backend's own form. */
  readonly openBackend: (settings: Buffer) => Promise<TeeBackend>;
  readonly judge: EvidenceJudge;
  readonly openLedger: (
    context: LedgerContext,
    exchange: LedgerExchange,
    program: OpenedProgram,
  ) => Promise<TrustedLedger>;
  /** Undefined: this enclave runs no chaincode. */
  readonly invoke?: InvocationHandler;
  readonly nowMs?: () => number;
  readonly reached?: (step: string) => void;
}

/** For a trusted ledger that has to attest, and to judge. */
export interface OpenedProgram {
  readonly backend: TeeBackend;
  readonly judge: EvidenceJudge;
}

/** Calls the host (ocalls of the document). */
export type CallHost = (name: string, ...parts: readonly Uint8Array[]) => Promise<readonly Buffer[]>;

/** What an open enclave is asked through; before `create` or `open` there is none. */
interface Opened {
  readonly enclave: OpenEnclave;
  readonly policy: PolicyInForce;
}

/** Answers the calls of the host's agent. Steps that change what the enclave holds wait for one another; invocations and releases don't. */
export class EnclaveServer {
  readonly #program: EnclaveProgram;
  readonly #callHost: CallHost;
  readonly #oneAtATime = new InTurn(1);
  #backend: TeeBackend | undefined;
  #opened: Opened | undefined;

  constructor(program: EnclaveProgram, callHost: CallHost) {
    this.#program = program;
    this.#callHost = callHost;
  }

  /** @throws EnclaveError what the call is refused with; MALFORMED: no such call */
  answer(name: string, parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    if (isClientCall(name)) return forClient(() => (name === "invoke" ? this.#invoke(parts) : this.#release(parts)));
    return this.#oneAtATime.run(() => this.#answerAlone(name, parts));
  }

  /** Wipes what is held. */
  async end(): Promise<void> {
    this.#opened?.enclave[Symbol.dispose]();
    this.#opened = undefined;
    await this.#backend?.[Symbol.asyncDispose]();
    this.#backend = undefined;
  }

  async #answerAlone(name: string, parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    switch (name) {
      case "start":
        if (this.#backend !== undefined) throw new EnclaveError("MALFORMED", "the enclave is started already");
        this.#backend = await this.#program.openBackend(part(parts, 0));
        return [];
      case "create":
        return this.#create(parts);
      case "open":
        return this.#open(parts);
      case "status":
        return [await this.#status()];
      default: {
        const call = Object.hasOwn(enclaveCalls, name) ? enclaveCalls[name] : undefined;
        if (call === undefined) throw new EnclaveError("MALFORMED", "the enclave has no such call");
        const opened = this.#need();
        // Sealed before anybody hears: an enclave that forgot what made it answer so, or refuse, could be made to answer otherwise.
        const answer = await call(opened, parts).catch(async (refusal: unknown) => {
          await opened.enclave.keepSeen().catch(() => undefined);
          throw refusal;
        });
        await opened.enclave.keepSeen();
        return answer;
      }
    }
  }

  /** Parts: CCParameters, HostParameters, the channel's hash, TrustedLedgerParameters. Answers with the credentials. */
  async #create(parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    const backend = this.#needBackend();
    if (this.#opened !== undefined) throw new EnclaveError("KEYS_EXIST", "this process holds an enclave already");
    const trustedLedger = part(parts, 3);
    const settings = {
      ccParams: part(parts, 0),
      hostParams: part(parts, 1),
      channelHash: part(parts, 2),
      trustedLedger,
    };
    const identity = await EnclaveIdentity.create(settings, await backend.measure());
    this.#reached("generated");
    const opened = await this.#openState(
      { identity, generations: [], blobNumber: 0n, seen: create(LedgerSeenSchema) },
      trustedLedger,
    );
    try {
      const credentials = encode(CredentialsSchema, await identity.attest(backend, true));
      // Before the blob: an enclave that is stored has the credentials of its creation, which cannot be made again.
      await opened.enclave.parts.host.storeCredentials(credentials);
      this.#reached("credentials stored");
      await opened.enclave.keep([]);
      this.#opened = opened;
      return [credentials];
    } catch (error) {
      opened.enclave[Symbol.dispose]();
      throw error;
    }
  }

  /** Parts: the sealed blob, the enclave's id (upper-case hexadecimal), TrustedLedgerParameters. */
  async #open(parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    const backend = this.#needBackend();
    if (this.#opened !== undefined) throw new EnclaveError("KEYS_EXIST", "this process holds an enclave already");
    const trustedLedger = part(parts, 2);
    const state = await unsealState(backend, part(parts, 0), part(parts, 1).toString("latin1"));
    if (!sha256(trustedLedger).equals(state.identity.read.attested.trustedLedgerHash)) {
      disposeState(state);
      throw new EnclaveError("WRONG_CONTEXT", "these are not the parameters of the ledger that the enclave trusts");
    }
    const opened = await this.#openState(state, trustedLedger);
    try {
      await compareWithLedger(opened.enclave);
      await opened.enclave.keepSeen();
    } catch (error) {
      opened.enclave[Symbol.dispose]();
      throw error;
    }
    this.#opened = opened;
    return [];
  }

  /** Takes the state over, and wipes it where this throws. */
  async #openState(state: EnclaveState, trustedLedger: Buffer): Promise<Opened> {
    const { ccParams, attested, enclaveId } = state.identity.read;
    const backend = this.#needBackend();
    const { judge, openLedger, nowMs = Date.now } = this.#program;
    const context = {
      parameters: trustedLedger,
      channelId: ccParams.channelId,
      channelHash: attested.channelHash,
      chaincodeId: ccParams.chaincodeId,
      enclaveId: enclaveId.text,
      seen: seenOf(state.seen),
    };
    try {
      const ledger = await openLedger(context, (question) => this.#callHost("ledger", ...encodeQuestion(question)), {
        backend,
        judge,
      });
      const parts: EnclaveParts = { backend, judge, nowMs, host: this.#host(), reached: (step) => this.#reached(step) };
      const view = new LedgerView(ledger, ccParams.chaincodeId, state.seen);
      return { enclave: new OpenEnclave(parts, view, state), policy: new PolicyInForce(view, trustedLedger) };
    } catch (error) {
      disposeState(state);
      throw error;
    }
  }

  #host(): EnclaveParts["host"] {
    const store = (file: string) => async (bytes: Uint8Array) => {
      await this.#callHost("store", Buffer.from(file), bytes);
    };
    return { storeBlob: store("blob"), storeCredentials: store("credentials") };
  }

  async #invoke(parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    const { enclave } = this.#need();
    const { invoke } = this.#program;
    if (invoke === undefined) throw new EnclaveError("NOT_FOUND", "this enclave runs no chaincode");
    // The host may run several, and is told by its own ticket which one asks.
    const [ticket, ...rest] = parts;
    if (ticket === undefined) throw missing();
    return invoke(rest, new InvocationKeys(enclave), (name, ...asked) =>
      this.#callHost("invocation", ticket, Buffer.from(name), ...asked),
    );
  }

  /** Parts: as `writeRelease` makes them. Answers with the key. */
  async #release(parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    return [await releaseAnswer(this.#need().enclave, readRelease(parts))];
  }

  /** JSON; nothing in it is secret. */
  async #status(): Promise<Buffer> {
    const backend = this.#needBackend();
    const enclave = this.#opened?.enclave;
    const generations = enclave?.generations.map(({ keys, registered }) => ({
      number: Number(keys.number),
      ekHash: keys.ekHash.toString("hex").toUpperCase(),
      registered,
    }));
    return Buffer.from(
      JSON.stringify({
        tee: backend.kind,
        protectsFromRoot: backend.protectsFromRoot,
        measurement: await backend.measure(),
        enclave: enclave && {
          id: enclave.identity.read.enclaveId.text,
          blobNumber: Number(enclave.blobNumber),
          generations,
        },
      }),
    );
  }

  #reached(step: string): void {
    this.#program.reached?.(step);
  }

  #need(): Opened {
    if (this.#opened === undefined)
      throw new EnclaveError("NOT_FOUND", "this process holds no enclave: create one, or open a sealed blob");
    return this.#opened;
  }

  #needBackend(): TeeBackend {
    if (this.#backend === undefined) throw new EnclaveError("NOT_FOUND", "the enclave is not started");
    return this.#backend;
  }
}

function part(parts: readonly Buffer[], index: number): Buffer {
  const found = parts[index];
  if (found === undefined) throw missing();
  return found;
}

function missing(): EnclaveError {
  return new EnclaveError("MALFORMED", "an argument of the call is missing");
}
