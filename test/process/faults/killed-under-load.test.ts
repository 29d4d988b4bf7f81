import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openCustody } from "../../../src/custody/open.ts";
import type { AuditRecord, Caller, Checkpoint } from "../../../src/custody/service.ts";
import { scaled, seed } from "../../run-settings.ts";
import { KeyManagerFolder, type RunningServer, startServer } from "../running-server.ts";
import type { Answered } from "./answered-calls.ts";
import { ExpectedState } from "./expected-state.ts";
import {
  callerOf,
  changeGrants,
  changeKeys,
  type Load,
  type LoadedNode,
  loadNode,
  refused,
  revokeWhileUnwrapping,
  useKeys,
} from "./load.ts";
import { assertNoStack } from "./one-clear-line.ts";
import { seededRandom } from "./seeded-random.ts";

/** Rounds on one folder: its chain is verified whole after each, so it must not grow without end. */
const roundsPerFolder = 20;
const longestMs = 250;

/** One folder that is used, killed and opened again and again. */
class KilledManager implements Disposable {
  readonly #folder: KeyManagerFolder;
  readonly #expected = new ExpectedState();
  readonly #random: () => number;
  readonly #nodes: LoadedNode[] = [];
  readonly #revoked: LoadedNode[] = [];
  #key = "";
  #read = 0;
  #checkpoint: Checkpoint | undefined;
  /** How many answers all rounds have held the audit chain to. */
  answers = 0;

  constructor(folder: KeyManagerFolder, random: () => number) {
    this.#folder = folder;
    this.#random = random;
  }

  async round(number: number): Promise<void> {
    const answered: Answered[] = [];
    const server = await startServer(this.#folder);
    try {
      await this.#loadAndKill(server, answered, number);
    } finally {
      await server.kill();
    }
    assert.equal(server.output.stderr.includes("failed"), false, server.output.stderr);
    assertNoStack(server.output.stderr);
    await this.#checkFolder(answered);
  }

  async #loadAndKill(server: RunningServer, answered: Answered[], number: number): Promise<void> {
    let over = false;
    if (this.#key === "") this.#key = (await server.admin.keys.create({ alias: "alias/nodes" })).keyId;
    const load: Load = { server, answered, expected: this.#expected, key: this.#key, over: () => over };
    await this.#refuseRevoked(load);
    while (this.#nodes.length < 2) this.#nodes.push(await loadNode(load, `node-${this.#nodes.length}`));
    const victim = await loadNode(load, `victim-${number}`);
    this.#revoked.push(victim);
    const killAfterMs = 10 + this.#random() * longestMs;
    const work = [
      ...this.#nodes.map((node) => useKeys(load, node)),
      changeKeys(load),
      changeGrants(load, this.#nodes[0]?.enrolment.principal ?? ""),
      revokeWhileUnwrapping(load, victim, this.#random() * killAfterMs),
    ];
    const kill = new Promise<void>((resolve) => setTimeout(resolve, killAfterMs)).then(async () => {
      over = true;
      await server.kill();
    });
    await Promise.all([kill, ...work]);
  }

  /** Nodes whose revocation was found in the folder stay refused by the server that now runs. */
  async #refuseRevoked(load: Load): Promise<void> {
    const revoked = new Set(this.#expected.things("node", "revoked"));
    for (const node of this.#revoked.splice(0).filter(({ name }) => revoked.has(name))) {
      using caller = callerOf({ ...load, answered: [] }, node.enrolment);
      const wrapped = node.wrapped.toString("base64");
      await refused(["UNAUTHENTICATED"], () => caller.ask("unwrap", { wrapped, context: { node: node.name } }));
    }
  }

  /** Opens what the kill left, in this process: chain, records and state must be whole. */
  async #checkFolder(answered: readonly Answered[]): Promise<void> {
    using unlock = this.#folder.unlock();
    const kept = this.#checkpoint === undefined ? {} : { checkpoint: this.#checkpoint };
    const custody = await openCustody({ dataDir: this.#folder.dataDir, unlock, ...kept });
    try {
      const caller: Caller = {
        principal: custody.identity.localAdministrator,
        door: "local",
        peer: "test",
        requestId: "check",
      };
      const verdict = await custody.audit.verify(caller, this.#checkpoint);
      assert.deepEqual(verdict.firstBad, undefined);
      assert.equal(verdict.ok, true);
      const records = new Map<string, AuditRecord>();
      for (let page: readonly AuditRecord[] = [{} as AuditRecord]; page.length > 0; ) {
        page = await custody.audit.read(caller, { after: this.#read, limit: 5000 });
        if (page.every(({ requestId }) => requestId === "check")) break;
        for (const record of page) records.set(record.requestId, record);
        this.#read = page.at(-1)?.sequence ?? this.#read;
      }
      for (const each of answered) assertRecorded(each, records.get(each.requestId));
      this.answers += answered.length;
      await this.#expected.check(custody, caller);
      this.#checkpoint = await custody.audit.checkpoint(caller);
    } finally {
      await custody.close();
    }
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Callers that nobody knows are counted, not recorded one by one. */
function assertRecorded({ requestId, operation, refusal }: Answered, record: AuditRecord | undefined): void {
  if (refusal === "UNAUTHENTICATED") return;
  assert.ok(record, `${operation} ${requestId} was answered (${refusal ?? "done"}) and has no record`);
  const recorded = { result: record.result, error: record.error };
  assert.deepEqual(
    recorded,
    refusal === undefined ? { result: "done", error: null } : { result: "refused", error: refusal },
  );
}

describe("a key manager killed under load", () => {
  const rounds = scaled(200);
  const random = seededRandom(seed);

  for (let first = 0; first < rounds; first += roundsPerFolder) {
    const last = Math.min(first + roundsPerFolder, rounds);
    it(`opens with every answered request on record and no change lost, rounds ${first + 1} to ${last}`, async () => {
      using manager = new KilledManager(await KeyManagerFolder.make(), random);
      for (let number = first; number < last; number++) await manager.round(number);
      assert.ok(manager.answers >= last - first, `${manager.answers} answers are too few to show anything`);
    });
  }
});
