import assert from "node:assert/strict";
import { createHash, type KeyObject } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { answerStateQuery, hashesTransaction } from "../../../../src/enclave/ecc/state-queries.ts";
import { Registry } from "../../../../src/enclave/ercc/registry.ts";
import { type Creator, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { toEvidence } from "../../../../src/enclave/evidence/attestation-json.ts";
import { AttestationJudge } from "../../../../src/enclave/evidence/judge.ts";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { decodeArgument, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  CCParametersSchema,
  CredentialsSchema,
  HostParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { GenerationRecordSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  type Policy,
  PolicySchema,
  PolicySignatureSchema,
  SignedPolicySchema,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { policyHash, signPolicy } from "../../../../src/enclave/protocol/policy.ts";
import type { EnclaveCreation } from "../../../../src/enclave/stub/stub.ts";
import { type AttestationRoot, createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import { type EnclaveCode, measureCode } from "../../../../src/enclave/tee/measure-code.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import type { LedgerExchange, LedgerQuestion } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { endorsement } from "../ercc/endorsement.ts";
import { MemoryLedger } from "../ercc/memory-ledger.ts";
import { rsaPair, signingPair } from "../ercc/test-keys.ts";

export const chaincodeId = "auction";
export const channelId = "ch1";
export const organisations = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;

type PolicyChange = Exclude<MessageInitShape<typeof PolicySchema>, Policy>;

/**
 * A channel of three organisations: a registry over one peer's state in memory, a policy that really allows simulated
 * platforms by their root, and a platform for each organisation. Only the way to the ledger is simpler than in the product: see
 * BelievingLedger.
 */
export class World implements Disposable {
  readonly folder: string;
  ledger = new MemoryLedger(channelId, createHash("sha256").update("genesis").digest());
  readonly judge: AttestationJudge;
  readonly policyKeys: ReadonlyMap<string, ReturnType<typeof signingPair>> = new Map(
    organisations.map((name) => [name, signingPair()]),
  );
  /** A copy of the state that the exchange answers from in the place of the newest. */
  stale: MemoryLedger | undefined;
  /** What a lying ledger answers, where it answers something of its own. */
  lie: ((question: LedgerQuestion) => readonly Uint8Array[] | undefined) | undefined;
  /** The private chaincode's own, as the ledger has it. */
  readonly chaincodeState = new Map<string, Uint8Array>();
  /** Of who may call it. */
  membership = new Membership([]);
  /** Of the enclaves' code. */
  readonly measurement: string;
  #policy: Policy | undefined;
  #firstPolicyHash: Buffer | undefined;
  #root: AttestationRoot | undefined;

  private constructor(measurement: string, folder: string, judge: AttestationJudge) {
    this.judge = judge;
    this.measurement = measurement;
    this.folder = folder;
  }

  static async start(policy: PolicyChange = {}, judge: AttestationJudge = new AttestationJudge()): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-enclave-"));
    const world = new World(await measureCode(makeCode(folder, "chaincode")), folder, judge);
    const rootFolder = join(folder, "root");
    mkdirSync(rootFolder);
    world.#root = await createAttestationRoot(rootFolder, "test root");
    for (const mspId of organisations) await world.addPlatform(mspId);
    world.define();
    await world.setPolicy(policy);
    return world;
  }

  /** The code that enclaves are measured by: a file in the place of the sources, which change while tests are written. */
  code(): EnclaveCode {
    return codeIn(this.folder, "chaincode");
  }

  platform(name: string): string {
    return join(this.folder, `platform-${name}`);
  }

  async addPlatform(name: string): Promise<void> {
    assert(this.#root);
    mkdirSync(this.platform(name));
    await createProcessPlatform(this.platform(name), this.#root, name);
  }

  define(change: { version?: string; sequence?: bigint } = {}): void {
    const { version = this.measurement, sequence = 1n } = change;
    this.ledger.definitions.set(chaincodeId, { version, sequence, validationParameter: endorsement(organisations) });
  }

  /** Which certifies the organisations' platforms. */
  get root(): AttestationRoot {
    assert(this.#root);
    return this.#root;
  }

  get policy(): Policy {
    assert(this.#policy);
    return this.#policy;
  }

  async setPolicy(change: PolicyChange): Promise<void> {
    const former = this.#policy;
    assert(this.#root);
    const policy = create(PolicySchema, {
      channelId,
      chaincodeId,
      number: (former?.number ?? 0n) + 1n,
      previousPolicyHash: former === undefined ? new Uint8Array() : policyHash(former),
      organisations: organisations.map((mspId, index) => ({
        mspId,
        policyKey: this.policyKey(mspId).publicPem,
        recoveryKey: rsaPair(index).publicPem,
      })),
      threshold: 2,
      allowedVersions: [this.measurement],
      allowedAttestationTypes: ["simulated"],
      attestationRoots: [{ attestationType: "simulated", root: Buffer.from(this.#root.pem) }],
      evidenceAgeSeconds: 86_400n,
      recoveryThreshold: 2,
      exportLifetimeSeconds: 3600n,
      trustedLedger: { erccName: "ercc", quorum: 2, organisations: organisations.map((mspId) => ({ mspId })) },
      ...change,
    });
    this.#policy = policy;
    this.#firstPolicyHash ??= policyHash(policy);
    const bytes = encode(PolicySchema, policy);
    const signatures = organisations.map((mspId) =>
      create(PolicySignatureSchema, { mspId, signature: signPolicy(bytes, this.policyKey(mspId).key) }),
    );
    const signed = create(SignedPolicySchema, { policy: bytes, signatures });
    await this.call("Org1MSP", "setPolicy", chaincodeId, encodeArgument(SignedPolicySchema, signed));
  }

  policyKey(mspId: string): { readonly key: KeyObject; readonly publicPem: Buffer } {
    const pair = this.policyKeys.get(mspId);
    assert(pair);
    return pair;
  }

  /** What an enclave of this organisation is to be. */
  creation(
    mspId: string,
    change: { version?: string; sequence?: bigint; channelId?: string; chaincodeId?: string } = {},
  ): EnclaveCreation {
    const ccParams = { chaincodeId, version: this.measurement, sequence: 1n, channelId, ...change };
    assert(this.policy.trustedLedger && this.#firstPolicyHash);
    const { erccName, quorum, organisations: quorumOrganisations } = this.policy.trustedLedger;
    const trustedLedger = create(TrustedLedgerParametersSchema, {
      erccName,
      quorum,
      organisations: quorumOrganisations,
      firstPolicyHash: this.#firstPolicyHash,
    });
    return {
      ccParams: encode(CCParametersSchema, create(CCParametersSchema, ccParams)),
      hostParams: encode(
        HostParametersSchema,
        create(HostParametersSchema, { peerMspId: mspId, peerEndpoint: `${mspId.toLowerCase()}.example:7051` }),
      ),
      channelHash: this.ledger.channelHash,
      trustedLedger: encode(TrustedLedgerParametersSchema, trustedLedger),
    };
  }

  /** A transaction of an organisation's admin, committed. @returns Its result */
  async call(who: string | Creator, transaction: string, ...args: string[]): Promise<string> {
    const creator = typeof who === "string" ? { mspId: who, isAdmin: true } : who;
    const state = this.ledger.begin(creator, Date.now());
    const result = await new Registry(state, this.judge).call(transaction, args);
    assert(this.ledger.commit(state), "the transaction is in conflict");
    return result;
  }

  /** The ledger answers from here on that another SEK goes with this generation; undo it by setting {@link lie}. */
  async lieAboutStateKey(number: bigint): Promise<void> {
    const record = decodeArgument(
      GenerationRecordSchema,
      await this.call("Org1MSP", "queryGeneration", chaincodeId, `${number}`),
    );
    const text = encodeArgument(GenerationRecordSchema, { ...record, stateKeyCommitment: Buffer.alloc(32, 1) });
    this.lie = (question) => {
      if (question.kind !== "record" || question.name.type !== recordTypes.generation) return undefined;
      return question.name.attributes[1] === `${number}` ? [Buffer.from(text)] : undefined;
    };
  }

  /** Registers what an enclave's creation gave. @param collateral - Of a quote of Intel's @returns Its credentials, with evidence */
  async register(credentials: Uint8Array, collateral: Readonly<Record<string, string>> = {}): Promise<Buffer> {
    const message = decodeStrict(CredentialsSchema, credentials);
    const complete = create(CredentialsSchema, { ...message, evidence: toEvidence(message.attestation, collateral) });
    const { mspId } = readCredentials(complete);
    await this.call(mspId, "registerEnclave", encodeArgument(CredentialsSchema, complete));
    return encode(CredentialsSchema, complete);
  }

  /** The host's answers to what its enclave asks of the ledger: true, unless a lie or a stale state is set. */
  readonly exchange: LedgerExchange = async (question) => {
    const lie = this.lie?.(question);
    if (lie !== undefined) return lie;
    const ask = (transaction: string, ...args: string[]) => {
      const ledger = this.stale ?? this.ledger;
      const state = ledger.begin({ mspId: "Org1MSP", isAdmin: false }, Date.now());
      return new Registry(state, this.judge).call(transaction, args);
    };
    if (question.kind === "record") {
      const text = await ask("queryState", question.name.type, ...question.name.attributes);
      return text === "" ? [] : [Buffer.from(text, "base64")];
    }
    assert(question.kind === "endorse");
    const asked = JSON.parse(Buffer.from(question.proposal).toString()) as Record<string, string[]>;
    const [[what, args] = ["", []]] = Object.entries(asked);
    return [Buffer.from(await this.#answer(what, args, ask))];
  };

  async #answer(
    what: string,
    args: string[],
    ask: (name: string, ...args: string[]) => Promise<string>,
  ): Promise<string> {
    if (what === "isMember") return `${this.membership.identify(Buffer.from(args[0] ?? "", "base64")) !== undefined}`;
    if (what !== "stateHashes") return await ask(what, ...args);
    const get = async (key: string) => this.chaincodeState.get(key);
    return (await answerStateQuery(get, hashesTransaction, args)) ?? "";
  }

  /** What the state is now, to answer from later. */
  copyOfLedger(): MemoryLedger {
    const copy = new MemoryLedger(channelId, this.ledger.channelHash);
    for (const [name, definition] of this.ledger.definitions) copy.definitions.set(name, definition);
    const transaction = copy.begin({ mspId: "Org1MSP", isAdmin: false }, Date.now());
    for (const { name, value } of this.ledger.range("")) void transaction.put(name, value);
    assert(copy.commit(transaction));
    return copy;
  }

  /** @returns What brings ledger and policy back to what they are now */
  mark(): () => void {
    const [ledger, policy] = [this.copyOfLedger(), this.#policy];
    return () => {
      this.ledger = ledger;
      this.ledger = this.copyOfLedger();
      this.#policy = policy;
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The same code as far as the name of its role, which other versions differ in. */
export function codeIn(folder: string, role: string): EnclaveCode {
  return { base: join(folder, "code"), parts: ["enclave.ts"], program: join(folder, "code", "program"), role };
}

function makeCode(folder: string, role: string): EnclaveCode {
  const code = codeIn(folder, role);
  mkdirSync(code.base);
  writeFileSync(join(code.base, "enclave.ts"), "// what is measured\n");
  writeFileSync(code.program, "a program\n");
  return code;
}
