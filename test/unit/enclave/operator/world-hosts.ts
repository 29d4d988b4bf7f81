import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { Registry } from "../../../../src/enclave/ercc/registry.ts";
import { lifecycleName } from "../../../../src/enclave/ledger/definitions.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { QueryChaincodeDefinitionResultSchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import type { Answerer } from "../../../../src/enclave/process/call-channel.ts";
import { EnclaveServer } from "../../../../src/enclave/process/enclave-server.ts";
import type { RunningEnclave } from "../../../../src/enclave/stub/enclave-process.ts";
import { journalFile, Stub } from "../../../../src/enclave/stub/stub.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { BelievingLedger } from "../process/believing-ledger.ts";
import { decryptIn, encryptIn, probe } from "../process/probe.ts";
import { chaincodeId, channelId, type World } from "../process/world.ts";

/** Told of each point at which an end of the operator's, the stub's or the enclave's process leaves something else behind. */
export type Reached = (step: string) => void;

/**
 * Hosts of a {@link World}'s organisations, with one enclave each: stubs over real folders, and the operator's functions over the
 * registry. The enclaves run in this process, so that many can be started.
 */
export class WorldHosts implements AsyncDisposable {
  readonly world: World;
  readonly folder: string;
  readonly #reached: Reached;
  readonly #stubs = new Map<string, Stub>();

  constructor(world: World, reached: Reached = () => undefined, folder = join(world.folder, `hosts-${randomUUID()}`)) {
    this.world = world;
    this.#reached = reached;
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** As these are now, at hosts of their own. */
  copy(reached?: Reached): WorldHosts {
    const hosts = new WorldHosts(this.world, reached);
    cpSync(this.folder, hosts.folder, { recursive: true });
    return hosts;
  }

  /** @param name - Of the host, where an organisation has several: begins with its MSP id */
  async stub(name: string): Promise<Stub> {
    const known = this.#stubs.get(name);
    if (known !== undefined) return known;
    const stub = await Stub.open({
      folder: join(this.folder, name),
      tee: { kind: "process", platform: this.world.platform(mspOf(name)) },
      exchange: this.world.exchange,
      start: (answer) => this.#start(mspOf(name), answer),
      reached: this.#reached,
    });
    this.#stubs.set(name, stub);
    return stub;
  }

  client(name: string): RegistryClient {
    return clientOf(this.world, mspOf(name), this.#reached);
  }

  /** A value of private state under the active generation, by this host's enclave. */
  async encrypt(name: string, text: string): Promise<Buffer> {
    return encryptIn(await this.stub(name), text);
  }

  async decrypt(name: string, value: Uint8Array): Promise<string> {
    return decryptIn(await this.stub(name), value);
  }

  /** What the hosts' disks hold, to compare; journals are left out: they say only when something was. */
  contents(): string {
    const files = readdirSync(this.folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== journalFile)
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    return JSON.stringify(files.map((file) => [file.slice(this.folder.length), readFileSync(file, "base64")]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stub of this.#stubs.values()) await stub[Symbol.asyncDispose]();
    this.#stubs.clear();
  }

  #start(mspId: string, answer: Answerer): RunningEnclave {
    const { world } = this;
    const server = new EnclaveServer(
      {
        openBackend: () => openProcessBackend({ platform: world.platform(mspId), code: world.code() }),
        judge: world.judge,
        openLedger: async (_, exchange) => new BelievingLedger(exchange),
        invoke: probe,
        reached: (step) => this.#reached(`enclave ${step}`),
      },
      (name, ...parts) =>
        answer(
          name,
          parts.map((part) => Buffer.from(part)),
        ).then(toBuffers),
    );
    const enclave = {
      alive: true,
      pid: process.pid,
      call: (name: string, ...parts: readonly Uint8Array[]) => server.answer(name, toBuffers(parts)).then(toBuffers),
      end: async () => {
        enclave.alive = false;
        await server.end();
      },
      kill: () => void enclave.end(),
    };
    return enclave;
  }
}

/** ERCC as an organisation's admin sees it. */
export function clientOf(world: World, mspId: string, reached: Reached = () => undefined): RegistryClient {
  return new RegistryClient(connectionOf(world, mspId, reached), "ercc", chaincodeId);
}

/** A channel as an organisation's admin reaches it: the registry of a {@link World}, and the definition of its chaincode. */
function connectionOf(world: World, mspId: string, reached: Reached): LedgerConnection {
  const refused = () => {
    throw new Error("the world has no peers to ask");
  };
  return {
    channelId,
    mspId,
    evaluate: async (name, transaction, args) => {
      if (name === lifecycleName) {
        const definition = world.ledger.definitions.get(chaincodeId);
        assert(definition);
        const result = create(QueryChaincodeDefinitionResultSchema, definition);
        return Buffer.from(toBinary(QueryChaincodeDefinitionResultSchema, result));
      }
      const state = world.ledger.begin({ mspId, isAdmin: true }, Date.now());
      return Buffer.from(await new Registry(state, world.judge).call(transaction, args.map(String)));
    },
    submit: async (_, transaction, args) => {
      reached(`${transaction} sent`);
      const result = await world.call(mspId, transaction, ...args);
      reached(`${transaction} committed`);
      return { txId: transaction, blockNumber: 0n, result: Buffer.from(result) };
    },
    endorse: refused,
    blocks: refused,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function mspOf(name: string): string {
  return name.split(" ")[0] ?? name;
}

function toBuffers(parts: readonly Uint8Array[]): Buffer[] {
  return parts.map((part) => Buffer.from(part));
}
