import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { SealedHeaderSchema } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import { initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import type { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import { readSealedBlob } from "../../../../src/enclave/process/sealed-state.ts";
import { journalFile, type Stub } from "../../../../src/enclave/stub/stub.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { long, seed } from "../../../run-settings.ts";
import { repository } from "../../running-server.ts";
import { addNeedles, foundInMemory, type Needles } from "../stub/memory-search.ts";

const whatItPrinted = "what it printed";
const program = join(repository, "bin/strongroom");
const stopAtExit = new URL("./stop-at-exit.ts", import.meta.url).href;

class Command {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = "";

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(program, ["fpc", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (piece: Buffer) => {
        this.output += piece;
      });
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
  }

  get pid(): number {
    assert(this.child.pid);
    return this.child.pid;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }
}

/** Each blob of the network, unsealed by means of the platforms' secrets, which lie in its folder. */
async function keysOf(network: string): Promise<Needles> {
  const needles: Needles = new Map();
  const organisations = join(network, "organisations");
  for (const mspId of readdirSync(organisations)) {
    await using backend = await openProcessBackend({ platform: join(organisations, mspId, "platform") });
    for (const name of enclavesOf(network, mspId)) {
      const { header, ciphertext } = readSealedBlob(readFileSync(join(name, "blob")));
      using state = await backend.unseal(ciphertext, encode(SealedHeaderSchema, header));
      state.expose((bytes) => addNeedles(needles, bytes, `${mspId} ${name.split("/").at(-1)}: `));
    }
  }
  return needles;
}

function enclavesOf(network: string, mspId: string): string[] {
  const folder = join(network, "organisations", mspId, "enclaves", "auction");
  return readdirSync(folder).map((name) => join(folder, name));
}

function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** How many things have passed between the network's enclaves and their hosts. */
function journalLines(network: string): number {
  const journals = ["Org1MSP", "Org2MSP"].flatMap((mspId) =>
    enclavesOf(network, mspId).map((folder) => join(folder, journalFile)),
  );
  return journals.reduce((lines, file) => lines + readFileSync(file, "latin1").split("\n").length - 1, 0);
}

interface Session {
  readonly network: TrialNetwork;
  client(organisation: number): Promise<RegistryClient>;
  stub(organisation: number, name?: string): Promise<Stub>;
}

/** Opens the network in this process, between two commands. */
async function inSession(folder: string, run: (session: Session) => Promise<void>): Promise<void> {
  await using network = await TrialNetwork.open(folder);
  await using stack = new AsyncDisposableStack();
  const stubs = new Map<string, Stub>();
  const client = (number: number) => network.client(network.organisation(number));
  await run({
    network,
    client,
    stub: async (number, name = "main") => {
      const known = stubs.get(`${number} ${name}`);
      if (known !== undefined) return known;
      const opened = stack.use(await network.stub(await client(number), network.organisation(number), name));
      stubs.set(`${number} ${name}`, opened);
      return opened;
    },
  });
}

/** A call of the auction by organisation 1, in the enclaves of these two names. */
async function call(
  { network, client, stub }: Session,
  enclaves: readonly string[],
  ...words: string[]
): Promise<string> {
  const stubs = [await stub(1, enclaves[0]), await stub(2, enclaves[1])];
  const identity = network.ledger.identity("Org1MSP", "admin");
  const answer = await callConfidentially(await client(1), identity, stubs, words);
  return answer.status === 200 ? answer.payload.toString() : answer.message;
}

describe("commands of strongroom fpc, as processes", { timeout: 1_200_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-commands-"));
  const network = join(folder, "network");
  const beforeRotation = join(folder, "before-rotation");
  const beforeRecovery = join(folder, "before-recovery");

  before(async () => {
    await using made = await TrialNetwork.create({ folder: network, organisations: 2, chaincodeId: "auction" });
    for (const number of [1, 2]) {
      const organisation = made.organisation(number);
      const client = await made.client(organisation);
      await using stub = await made.stub(client, organisation, "main");
      await initialise(client, stub, await made.creation(client, organisation));
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs it, and searches its memory, stopped at its end, for every key that there is by then. */
  const searched = async (...args: string[]) => {
    const command = new Command([...args, "--folder", network], { NODE_OPTIONS: `--import=${stopAtExit}` });
    const isStopped = () => /^State:\s+T/m.test(readFileSync(`/proc/${command.pid}/status`, "utf8"));
    while (command.running && !isStopped()) await wait(10);
    assert.ok(command.running, command.output);
    const needles = await keysOf(network);
    // What it printed has to be found, or the search finds nothing that is there.
    const [printed = ""] = /[0-9A-F]{64}/.exec(command.output) ?? [];
    assert.notEqual(printed, "", command.output);
    const found = foundInMemory(command.pid, new Map([...needles, [whatItPrinted, Buffer.from(printed)]]));
    const said = ["cmdline", "environ"].map((name) => readFileSync(`/proc/${command.pid}/${name}`));
    process.kill(command.pid, "SIGCONT");
    assert.equal(await command.ended, 0, command.output);
    for (const text of [...said, Buffer.from(command.output)])
      for (const [name, bytes] of needles) assert.equal(text.includes(bytes), false, name);
    for (const file of filesOf(network)) {
      const content = readFileSync(file);
      for (const [name, bytes] of needles) assert.equal(content.includes(bytes), false, `${name} is in ${file}`);
    }
    return { found: [...found], needles };
  };

  it("hold no key in memory, arguments, environment, output or files when they export, nor when they import", async () => {
    assert.deepEqual((await searched("keys", "export")).found, [whatItPrinted]);
    const { found, needles } = await searched("keys", "import", "--org", "2");
    assert.deepEqual(found, [whatItPrinted]);
    for (const name of ["Org1MSP main: SEK", "Org2MSP main: SEK", "Org2MSP main: Chaincode_DK as PEM"])
      assert.ok(needles.has(name), name);
    assert.deepEqual(needles.get("Org1MSP main: SEK"), needles.get("Org2MSP main: SEK"));
    await inSession(network, async (session) => {
      assert.equal(await call(session, ["main", "main"], "create", "lot"), "OK");
      assert.equal(await call(session, ["main", "main"], "submit", "lot", "100"), "OK");
    });
    cpSync(network, beforeRotation, { recursive: true });
  });

  it("hold none when they rotate", async () => {
    const { found, needles } = await searched("keys", "rotate");
    assert.deepEqual(found, [whatItPrinted]);
    for (const mspId of ["Org1MSP", "Org2MSP"]) assert.ok(needles.has(`${mspId} main: SEK 2`));
  });

  it("hold none when they release a share, nor when they recover", async () => {
    let receiver = "";
    await inSession(network, async ({ network: opened, client, stub }) => {
      const fresh = await stub(1, "new");
      await initialise(await client(1), fresh, await opened.creation(await client(1), opened.organisation(1)));
      await issueShares(await client(2), await stub(2));
      receiver = ownId(fresh);
      const own = await client(1);
      await releaseOwnShares(own, own, opened.organisation(1).keys(), receiver);
    });
    assert.deepEqual((await searched("keys", "release", receiver, "--org", "2")).found, [whatItPrinted]);
    cpSync(network, beforeRecovery, { recursive: true });
    const { found, needles } = await searched("keys", "recover", "--enclave", "new");
    assert.deepEqual(found, [whatItPrinted]);
    assert.deepEqual(needles.get("Org1MSP new: SEK 2"), needles.get("Org1MSP main: SEK 2"));
  });

  /** Kills the command as soon as so many things have passed between enclaves and hosts. @returns Whether it was running then */
  const killedAfter = async (lines: number, ...args: readonly string[]): Promise<boolean> => {
    const at = args.at(-1) ?? "";
    const start = journalLines(at);
    const command = new Command(args);
    while (command.running && journalLines(at) < start + lines) await wait(1);
    const wasRunning = command.child.kill("SIGKILL");
    await command.ended;
    return wasRunning && command.child.signalCode === "SIGKILL";
  };

  const done = async (...args: readonly string[]) => {
    const command = new Command(args);
    assert.equal(await command.ended, 0, command.output);
  };

  const killRounds: readonly (readonly [string, number])[] = [
    ...Array.from({ length: 15 }, (_, index) => ["rotate", index + 1] as const),
    ...Array.from({ length: 3 }, (_, index) => ["recover", index + 1] as const),
  ];

  for (const [what, lines] of killRounds.filter((_, index) => long || index === seed % killRounds.length))
    it(`come to the same end of "keys ${what}" when killed after ${lines} words between enclaves and hosts`, async () => {
      const copy = join(folder, `${what}-${lines}`);
      cpSync(what === "rotate" ? beforeRotation : beforeRecovery, copy, { recursive: true });
      const names = what === "rotate" ? ["main", "main"] : ["new", "main"];
      const args = ["keys", what, "--enclave", names[0] ?? "", "--folder", copy];
      const wasKilled = await killedAfter(lines, ...args);
      let active = 0n;
      await inSession(copy, async ({ client }) => {
        active = (await (await client(1)).keyState())?.active ?? 0n;
      });
      if (wasKilled && (what === "recover" || active === 1n)) await done(...args);
      const needles = await keysOf(copy);
      assert.ok(needles.has(`Org1MSP ${names[0]}: SEK 2`));
      assert.deepEqual(needles.get(`Org1MSP ${names[0]}: SEK 2`), needles.get("Org2MSP main: SEK 2"));
      await inSession(copy, async (session) => {
        assert.equal((await (await session.client(1)).keyState())?.active, 2n);
        assert.equal(await call(session, names, "close", "lot"), "OK");
        assert.match(await call(session, names, "eval", "lot"), /"amount":"100"/);
      });
      rmSync(copy, { recursive: true });
    });
});
