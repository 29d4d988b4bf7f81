import assert from "node:assert/strict";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { decodeArgument, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { confidentialInvocation } from "../../../../src/enclave/process/confidential-invocation.ts";
import { EnclaveServer } from "../../../../src/enclave/process/enclave-server.ts";
import { decodeQuestion } from "../../../../src/enclave/process/ledger-questions.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { type OpenedStatus, readStatus } from "../../../../src/enclave/stub/enclave-status.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import type { SeenLedger } from "../../../../src/enclave/trusted-ledger/trusted-ledger.ts";
import { BelievingLedger } from "./believing-ledger.ts";
import { chaincodeId, codeIn, type World } from "./world.ts";

/** An enclave without a process of its own, and the host around it with its files in memory. */
export class TestHost {
  readonly world: World;
  readonly mspId: string;
  readonly files = new Map<string, Buffer>();
  /** Each sealed blob that was ever stored. */
  readonly blobs: Buffer[] = [];
  /** Platform that the enclave runs on. */
  platform: string;
  /** Role of the code: another one is another version. */
  role = "chaincode";
  storeFails = false;
  /** The chaincode's state as this host shows it to its enclave. */
  shown: ReadonlyMap<string, Uint8Array>;
  /** What the ledger that the enclave believes says that it has seen; and what the enclave had sealed of it, when it was opened. */
  seen: SeenLedger = { block: 0n, records: [] };
  sealedSeen: SeenLedger | undefined;
  /** With evidence. */
  credentials: Buffer = Buffer.alloc(0);
  #server: EnclaveServer | undefined;

  constructor(world: World, mspId: string) {
    this.world = world;
    this.mspId = mspId;
    this.platform = mspId;
    this.shown = world.chaincodeState;
  }

  /** Created and registered. */
  static async registered(world: World, mspId: string): Promise<TestHost> {
    const host = new TestHost(world, mspId);
    await host.create();
    host.credentials = await world.register(host.file("credentials"));
    return host;
  }

  /** With the keys that `from` exported, registered. */
  static async provisioned(world: World, mspId: string, from: TestHost): Promise<TestHost> {
    const host = await TestHost.registered(world, mspId);
    const message = await from.export(host);
    await host.registerKeys(await host.call("importCCKeys", message));
    return host;
  }

  get id(): string {
    return readCredentials(decodeStrict(CredentialsSchema, this.file("credentials")), "not yet").enclaveId.text;
  }

  file(name: string): Buffer {
    const file = this.files.get(name);
    assert(file, `there is no ${name}`);
    return file;
  }

  async create(): Promise<Buffer> {
    const { ccParams, hostParams, channelHash, trustedLedger } = this.world.creation(this.mspId);
    return this.call("create", ...[ccParams, hostParams, channelHash, trustedLedger].map((part) => Buffer.from(part)));
  }

  /** Ends the enclave; a next call of {@link open} starts it from what is stored. */
  async end(): Promise<void> {
    await this.#server?.end();
    this.#server = undefined;
  }

  async open(blob = this.file("blob"), id = this.id): Promise<void> {
    await this.end();
    const { trustedLedger } = this.world.creation(this.mspId);
    await this.all("open", blob, Buffer.from(id), Buffer.from(trustedLedger));
  }

  async call(name: string, ...parts: Buffer[]): Promise<Buffer> {
    const [answer] = await this.all(name, ...parts);
    assert(answer, `${name} has no answer`);
    return answer;
  }

  async all(name: string, ...parts: Buffer[]): Promise<Buffer[]> {
    this.#server ??= await this.#start();
    return (await this.#server.answer(name, parts)).map((part) => Buffer.from(part));
  }

  async opened(): Promise<OpenedStatus> {
    const { enclave } = readStatus(await this.call("status"));
    assert(enclave);
    return enclave;
  }

  /** Numbers of the generations that it holds. */
  async held(): Promise<number[]> {
    return (await this.opened()).generations.map(({ number }) => number);
  }

  /** Without which the enclave exports nothing. */
  async announce(receiver: TestHost, number = "1"): Promise<void> {
    await this.world.call(this.mspId, "announceExport", chaincodeId, this.id, receiver.id, number);
  }

  /** Puts the export to `receiver` on the ledger, announced before. */
  async export(receiver: TestHost, ...number: Buffer[]): Promise<Buffer> {
    const { active } = decodeArgument(
      ChaincodeKeyStateSchema,
      await this.world.call(this.mspId, "queryKeyState", chaincodeId),
    );
    await this.announce(receiver, `${number[0] ?? active}`);
    const message = await this.call("exportCCKeys", receiver.credentials, ...number);
    const text = encodeArgument(SignedExportMessageSchema, decodeStrict(SignedExportMessageSchema, message));
    await this.world.call(this.mspId, "putKeyExport", chaincodeId, text);
    return message;
  }

  async registerKeys(message: Buffer): Promise<void> {
    const schema = SignedCCKeyRegistrationMessageSchema;
    await this.world.call(
      this.mspId,
      "registerCCKeys",
      chaincodeId,
      encodeArgument(schema, decodeStrict(schema, message)),
    );
  }

  async propose(message: Buffer): Promise<void> {
    const schema = SignedGenerationProposalMessageSchema;
    const text = encodeArgument(schema, decodeStrict(schema, message));
    await this.world.call(this.mspId, "proposeGeneration", chaincodeId, text);
  }

  async #start(): Promise<EnclaveServer> {
    const platform = this.world.platform(this.platform);
    const server = new EnclaveServer(
      {
        openBackend: () => openProcessBackend({ platform, code: codeIn(this.world.folder, this.role) }),
        judge: this.world.judge,
        invoke: confidentialInvocation(auction),
        openLedger: async ({ seen }, exchange) => {
          this.sealedSeen = seen;
          const ledger = new BelievingLedger(exchange);
          Object.defineProperty(ledger, "seen", { get: () => this.seen });
          return ledger;
        },
      },
      (name, ...parts) =>
        this.#answer(
          name,
          parts.map((part) => Buffer.from(part)),
        ),
    );
    await server.answer("start", [Buffer.from("{}")]);
    return server;
  }

  async #answer(name: string, parts: readonly Buffer[]): Promise<readonly Buffer[]> {
    if (name === "ledger") {
      const answer = await this.world.exchange(decodeQuestion(parts));
      return answer.map((part) => Buffer.from(part));
    }
    if (name === "invocation") {
      const value = this.shown.get(parts[2]?.toString() ?? "");
      return value === undefined ? [] : [Buffer.from(value)];
    }
    assert.equal(name, "store");
    if (this.storeFails) throw new EnclaveError("STORE_FAILED", "the disk is full");
    const [file, bytes] = parts;
    assert(file && bytes);
    this.files.set(file.toString(), bytes);
    if (file.toString() === "blob") this.blobs.push(bytes);
    return [];
  }
}
