import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { compositeKey, type RecordName, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { answerRequest, type LedgerView } from "../../../../src/enclave/ledger-enclave/answers.ts";
import { SessionResponder } from "../../../../src/enclave/ledger-enclave/session-responder.ts";
import { ResponseSchema } from "../../../../src/enclave/messages/generated/fpc/trusted_ledger_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import {
  LedgerEnclaveReads,
  type LedgerEnclaveSettings,
} from "../../../../src/enclave/trusted-ledger/ledger-enclave-reads.ts";
import { fakeCheck, fakeEvidence } from "./fake-evidence.ts";

const name: RecordName = { type: recordTypes.exported, attributes: ["auction", "AB".repeat(32)] };
const value = Buffer.from("an export");
const common = { channelId: "private-channel", channelHash: Buffer.alloc(32, 7), erccName: "ercc" };

const states = new Map([
  ["auction/lot", Buffer.from("a stored value")],
  ["other/lot", Buffer.from("another chaincode's")],
]);

function hashOf(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && createHash("sha256").update(bytes).digest();
}

/** A made-up ledger and a ledger enclave over it that can be started again, as its host sees them. */
class Host {
  readonly records = new Map([[compositeKey(name), value]]);
  blockNumber = 5n;
  /** What this host says the record is. */
  shown: Uint8Array | undefined = value;
  responder = this.newResponder();
  sessions = 0;

  newResponder(answer?: (request: Uint8Array) => Promise<Uint8Array>): SessionResponder {
    const check = fakeCheck("requester");
    const { records } = this;
    const blockNumber = () => this.blockNumber;
    const view: LedgerView = {
      erccName: "ercc",
      get blockNumber() {
        return blockNumber();
      },
      hash: (namespace, key) => hashOf(namespace === "ercc" ? records.get(key) : states.get(`${namespace}/${key}`)),
      *range(prefix) {
        for (const [key, one] of records) if (key.startsWith(prefix)) yield [key, one];
      },
      isMember: (identity) => Buffer.from(identity).toString() === "member",
      canEndorse: async (_, enclaveId) => enclaveId === "may",
    };
    return new SessionResponder({
      ...common,
      attest: fakeEvidence("ledger enclave"),
      check: (_, statement, evidence) => {
        this.sessions += 1;
        return check(statement, evidence);
      },
      answer: answer ?? ((request) => answerRequest(view, request)),
    });
  }

  readonly exchange: LedgerExchange = async (question) => {
    if (question.kind === "session") return [await this.responder.handle(question.message)];
    if (question.kind === "record") return this.shown === undefined ? [] : [this.shown];
    throw new TypeError(`nobody asks a ledger enclave for ${question.kind}`);
  };

  reads(changed: Partial<LedgerEnclaveSettings> = {}): LedgerEnclaveReads {
    return new LedgerEnclaveReads(this.exchange, {
      ...common,
      chaincodeId: "auction",
      enclaveId: "AB".repeat(32),
      attest: fakeEvidence("requester"),
      check: fakeCheck("ledger enclave"),
      attempts: 2,
      waitMs: 1,
      ...changed,
    });
  }
}

suite("reads from a ledger enclave", () => {
  test("give what it says", async () => {
    const reads = new Host().reads();
    assert.deepEqual(await reads.record(name), value);
    assert.equal(await reads.record({ ...name, attributes: ["other"] }), undefined);
    assert.deepEqual(
      [await reads.canEndorse("auction", "may"), await reads.canEndorse("auction", "not")],
      [true, false],
    );
    assert.equal((await reads.recordsHash({ ...name, attributes: ["auction"] }))?.length, 32);
    assert.equal(await reads.recordsHash({ ...name, attributes: ["other"] }), undefined);
    assert.deepEqual(
      [await reads.isMember(Buffer.from("member")), await reads.isMember(Buffer.from("stranger"))],
      [true, false],
    );
    assert.equal(reads.seen.block, 5n);
  });

  test("give the hashes of the own chaincode's state, and of no other's", async () => {
    const reads = new Host().reads();
    const [absent, lot] = await reads.stateHashes(["nothing", "lot"]);
    assert.equal(absent, undefined);
    assert.deepEqual(Buffer.from(lot ?? []), hashOf(states.get("auction/lot")));
  });

  test("wait for the block that is demanded, and let others be answered meanwhile", async () => {
    const host = new Host();
    const reads = host.reads({ attempts: 1000 });
    const order: string[] = [];
    const demanding = reads.stateHashes(["lot"], 7n).then(() => order.push("demanding"));
    assert.ok(await reads.canEndorse("auction", "may"));
    order.push("other");
    host.blockNumber = 7n;
    await demanding;
    assert.deepEqual(order, ["other", "demanding"]);
  });

  test("share one session, and keep their order when they are asked at once", async () => {
    const host = new Host();
    const reads = host.reads();
    const answers = await Promise.all(["may", "not", "may"].map((id) => reads.canEndorse("auction", id)));
    assert.deepEqual(answers, [true, false, true]);
    assert.equal(host.sessions, 1);
  });

  test("go on over a new session when the ledger enclave was started again", async () => {
    const host = new Host();
    const reads = host.reads();
    assert.ok(await reads.record(name));
    host.responder = host.newResponder();
    assert.ok(await reads.record(name));
    assert.equal(host.sessions, 2);
  });

  test("wait until the ledger enclave has caught up", async () => {
    const host = new Host();
    const reads = host.reads({ attempts: 5 });
    assert.ok(await reads.record(name));
    host.blockNumber = 3n;
    setTimeout(() => {
      host.blockNumber = 6n;
    }, 2);
    assert.ok(await reads.canEndorse("auction", "may"));
    assert.equal(reads.seen.block, 6n);
  });

  test("take a record that the host has a moment later", async () => {
    const host = new Host();
    host.shown = Buffer.from("the one before");
    setTimeout(() => {
      host.shown = value;
    }, 2);
    assert.deepEqual(await host.reads({ attempts: 6 }).record(name), value);
  });
});

suite("reads from a ledger enclave refuse", () => {
  test("an older block than one that was seen, or than the one that was sealed", async () => {
    const host = new Host();
    const reads = host.reads();
    assert.ok(await reads.record(name));
    host.blockNumber = 4n;
    await assert.rejects(reads.record(name), { code: "REPLAY" });
    await assert.rejects(reads.canEndorse("auction", "may"), { code: "REPLAY" });
    await assert.rejects(host.reads({ minimumBlock: 5n }).record(name), { code: "LEDGER_UNAVAILABLE" });
    assert.ok(await host.reads({ minimumBlock: 4n }).record(name));
  });

  test("hashes that rest on fewer blocks than were demanded", async () => {
    const host = new Host();
    await assert.rejects(host.reads().stateHashes(["lot"], 6n), { code: "LEDGER_UNAVAILABLE" });
    assert.ok(await host.reads().stateHashes(["lot"], 5n));
    assert.ok(await host.reads({ minimumBlock: 3n }).stateHashes(["lot"], 1n));
    await assert.rejects(host.reads({ minimumBlock: 6n }).stateHashes(["lot"], 1n), { code: "LEDGER_UNAVAILABLE" });
  });

  test("hashes of more or fewer keys than were asked for", async () => {
    for (const hashes of [[], [Buffer.alloc(32), Buffer.alloc(32)]]) {
      const host = new Host();
      const response = { case: "stateHashes", value: { hashes } } as const;
      host.responder = host.newResponder(async () =>
        encode(ResponseSchema, create(ResponseSchema, { response, blockNumber: 9n })),
      );
      await assert.rejects(host.reads().stateHashes(["lot"]), { code: "MALFORMED" });
    }
  });

  test("another record than the ledger has, and none where the ledger has one", async () => {
    const host = new Host();
    for (const shown of [Buffer.from("a forged export"), Buffer.alloc(0), undefined]) {
      host.shown = shown;
      await assert.rejects(host.reads().record(name), { code: "REPLAY" });
    }
  });

  test("a record that the ledger does not have, whatever the host shows", async () => {
    const host = new Host();
    host.records.clear();
    assert.equal(await host.reads().record(name), undefined);
  });

  test("answers of another kind, without one, and noise from the ledger enclave itself", async () => {
    const answers: MessageInitShape<typeof ResponseSchema>[] = [
      {},
      { response: { case: "validateIdentity", value: { isValid: true } } },
      { response: { case: "multiMetadata", value: { hash: Buffer.alloc(32) } } },
    ];
    for (const answer of answers) {
      const host = new Host();
      host.responder = host.newResponder(async () =>
        encode(ResponseSchema, create(ResponseSchema, { ...answer, blockNumber: 9n })),
      );
      await assert.rejects(host.reads().record(name), { code: "MALFORMED" });
      await assert.rejects(host.reads().canEndorse("auction", "may"), { code: "MALFORMED" });
    }
    const host = new Host();
    host.responder = host.newResponder(async () => Buffer.from("noise"));
    await assert.rejects(host.reads().record(name), { code: "MALFORMED" });
  });

  test("a host that says that every session is lost", async () => {
    const host = new Host();
    const exchange: LedgerExchange = async (question) => {
      if (question.kind === "session") host.responder = host.newResponder();
      return await host.exchange(question);
    };
    const reads = new LedgerEnclaveReads(exchange, {
      ...common,
      chaincodeId: "auction",
      enclaveId: "AB".repeat(32),
      attest: fakeEvidence("requester"),
      check: fakeCheck("ledger enclave"),
      attempts: 1,
    });
    await assert.rejects(reads.canEndorse("auction", "may"), { code: "LEDGER_UNAVAILABLE" });
  });

  test("to be silent about what the ledger enclave refuses with", async () => {
    const host = new Host();
    host.responder = host.newResponder(async () => {
      throw new EnclaveError("WRONG_CONTEXT", "the ledger enclave keeps the records of ercc alone");
    });
    await assert.rejects(host.reads().record(name), { code: "WRONG_CONTEXT" });
  });
});
