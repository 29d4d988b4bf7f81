import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { compositeKey, type RecordName, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { makeFailedResponse } from "../../../../src/enclave/ledger/endorsement.ts";
import { makeProposal, readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import {
  type ProposalResponse,
  ProposalResponseSchema,
  SerializedIdentitySchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { type QuorumSettings, SignedQuorumReads } from "../../../../src/enclave/trusted-ledger/signed-quorum-reads.ts";
import { type AnsweringPeer, channelId, erccName, hostOf, newOrganisation, newPeer } from "./answering-peers.ts";

const name: RecordName = { type: recordTypes.exported, attributes: ["auction", "AB".repeat(32)] };
const records = new Map([[compositeKey(name), { value: Buffer.from("an export"), block: 7n }]]);
const organisations = await Promise.all(["Org1MSP", "Org2MSP", "Org3MSP"].map(newOrganisation));
const peers = await Promise.all(organisations.map((organisation) => newPeer(organisation, records)));
const [org1, , org3] = organisations;
const [peer1, peer2, peer3] = peers;
assert.ok(org1 && org3 && peer1 && peer2 && peer3);
const creator = peer1.serialized;
/** Of an organisation by the same name that nobody has pinned. */
const impostor = await newPeer(await newOrganisation("Org3MSP"), records);
const stranger = await newPeer(await newOrganisation("Org9MSP"), records);
const dayMs = 86_400_000;

function reads(exchange: LedgerExchange, changed: Partial<QuorumSettings> = {}): SignedQuorumReads {
  return new SignedQuorumReads(exchange, {
    channelId,
    erccName,
    chaincodeId: "auction",
    organisations,
    quorum: 2,
    attempts: 1,
    waitMs: 1,
    ...changed,
  });
}

/** Peer 1 answers rightly; the answers of the others are what `others` makes. One good vote is not enough. */
function withOthers(others: (proposal: Uint8Array) => readonly Uint8Array[]): LedgerExchange {
  return hostOf(
    () => peers,
    creator,
    (proposal) => [peer1?.answer(proposal) ?? Buffer.alloc(0), ...others(proposal)],
  );
}

async function assertRefused(reading: Promise<unknown>, code: EnclaveErrorCode): Promise<void> {
  await assert.rejects(reading, (error: { code?: string; message: string }) => {
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** A peer's answer with a part of it changed after it was signed. */
function altered(response: Uint8Array, change: (response: ProposalResponse) => void): Uint8Array {
  const message = fromBinary(ProposalResponseSchema, response);
  change(message);
  return toBinary(ProposalResponseSchema, message);
}

suite("signed quorum reads", () => {
  test("a record that peers of enough organisations have signed is taken", async () => {
    const ledger = reads(hostOf(() => peers, creator));
    assert.deepEqual(Buffer.from((await ledger.record(name)) ?? []), Buffer.from("an export"));
  });

  test("a record that is not there is told apart from one that is not told", async () => {
    const ledger = reads(hostOf(() => peers, creator));
    assert.equal(await ledger.record({ ...name, attributes: ["auction", "CD".repeat(32)] }), undefined);
  });

  test("canEndorse is true or false, and nothing else", async () => {
    assert.equal(await reads(hostOf(() => peers, creator)).canEndorse("auction", "AB".repeat(32)), true);
    const say = (text: string) =>
      hostOf(
        () => peers,
        creator,
        (proposal) => peers.map((peer) => peer.answer(proposal, { payload: Buffer.from(text) })),
      );
    assert.equal(await reads(say("false")).canEndorse("auction", "AB".repeat(32)), false);
    await assertRefused(reads(say("yes")).canEndorse("auction", "AB".repeat(32)), "MALFORMED");
  });

  test("peers beyond the quorum may be missing", async () => {
    const ledger = reads(hostOf(() => [peer1, peer3], creator));
    assert.ok(await ledger.record(name));
  });

  test("every question has a nonce of its own, and says what is asked", async () => {
    const proposals: Uint8Array[] = [];
    const exchange: LedgerExchange = async (question) => {
      if (question.kind === "endorse") proposals.push(question.proposal);
      return await hostOf(() => peers, creator)(question);
    };
    const ledger = reads(exchange);
    await ledger.record(name);
    await ledger.record(name);
    const [one, two] = proposals.map((bytes) => readProposal(bytes));
    assert.ok(one && two);
    assert.equal(Buffer.from(one.nonce).equals(two.nonce), false);
    assert.equal(one.nonce.length, 24);
    assert.deepEqual(
      one.args.map((arg) => Buffer.from(arg).toString()),
      ["queryState", name.type, ...name.attributes],
    );
    assert.equal(one.channelId, channelId);
  });
});

suite("signed quorum reads refuse", () => {
  test("one signature less than the quorum", async () => {
    await assertRefused(reads(hostOf(() => [peer1], creator)).record(name), "BAD_SIGNATURE");
    await assertRefused(
      reads(
        hostOf(() => [peer1, peer2], creator),
        { quorum: 3 },
      ).record(name),
      "BAD_SIGNATURE",
    );
  });

  test("one organisation counted twice, by one peer or by two", async () => {
    const second = await newPeer(org1, records, { commonName: "peer1.Org1MSP" });
    await assertRefused(reads(hostOf(() => [peer1, peer1], creator)).record(name), "BAD_SIGNATURE");
    await assertRefused(reads(hostOf(() => [peer1, second], creator)).record(name), "BAD_SIGNATURE");
  });

  test("an organisation whose peers contradict each other has no vote", async () => {
    const second = await newPeer(org1, new Map());
    await assertRefused(reads(hostOf(() => [peer1, second, peer2], creator)).record(name), "BAD_SIGNATURE");
    assert.ok(await reads(hostOf(() => [peer1, second, peer2, peer3], creator)).record(name));
  });

  test("answers to an earlier question", async () => {
    let kept: readonly Uint8Array[] = [];
    const exchange = hostOf(
      () => peers,
      creator,
      (proposal) => {
        if (kept.length === 0) kept = peers.map((peer) => peer.answer(proposal));
        return kept;
      },
    );
    const ledger = reads(exchange);
    assert.ok(await ledger.record(name));
    await assertRefused(ledger.record(name), "REPLAY");
  });

  test("answers given on another channel", async () => {
    const { proposal } = makeProposal({
      channelId: "other-channel",
      chaincode: erccName,
      transaction: "queryState",
      args: [name.type, ...name.attributes],
      creator,
    });
    const elsewhere = peers.map((peer) => peer.answer(proposal));
    await assertRefused(
      reads(
        hostOf(
          () => peers,
          creator,
          () => elsewhere,
        ),
      ).record(name),
      "REPLAY",
    );
  });

  test("answers of another chaincode", async () => {
    const chaincode = { name: "not-ercc", version: "1" };
    await assertRefused(reads(withOthers((p) => [peer2.answer(p, { chaincode })])).record(name), "WRONG_CONTEXT");
  });

  test("a status that is not 200, though it is signed", async () => {
    const exchange = withOthers((proposal) => [peer2.answer(proposal, { status: 201 })]);
    await assertRefused(reads(exchange).record(name), "LEDGER_UNAVAILABLE");
  });

  test("an answer of a member who is no peer", async () => {
    for (const units of [["client"], ["admin"], ["orderer"], ["member"], ["peer", "admin"], []]) {
      const member = await newPeer(org3, records, { units });
      await assertRefused(reads(withOthers((p) => [member.answer(p)])).record(name), "BAD_SIGNATURE");
    }
  });

  test("a peer's certificate that is no more valid, or not yet", async () => {
    const nowMs = Date.now();
    const expired = await newPeer(org3, records, { notAfter: new Date(nowMs - 2 * dayMs), notBefore: new Date(0) });
    const early = await newPeer(org3, records, { notBefore: new Date(nowMs + 2 * dayMs) });
    for (const peer of [expired, early])
      await assertRefused(reads(withOthers((p) => [peer.answer(p)])).record(name), "BAD_SIGNATURE");
    const then = reads(
      hostOf(() => [peer1, peer2], creator),
      { nowMs: () => nowMs + 3700 * dayMs },
    );
    await assertRefused(then.record(name), "BAD_SIGNATURE");
  });

  test("a certificate by another authority under the same name, and an organisation that is not pinned", async () => {
    for (const peer of [impostor, stranger])
      await assertRefused(reads(withOthers((p) => [peer.answer(p)])).record(name), "BAD_SIGNATURE");
  });

  test("an endorser's certificate put under another organisation's name", async () => {
    const exchange = withOthers((proposal) => [
      altered(peer1.answer(proposal), ({ endorsement }) => {
        assert.ok(endorsement);
        const identity = fromBinary(SerializedIdentitySchema, endorsement.endorser);
        endorsement.endorser = toBinary(
          SerializedIdentitySchema,
          create(SerializedIdentitySchema, { mspid: "Org2MSP", idBytes: identity.idBytes }),
        );
      }),
    ]);
    await assertRefused(reads(exchange).record(name), "BAD_SIGNATURE");
  });

  test("a changed bit in any byte of what is signed, of the endorser or of the signature", async () => {
    const { proposal } = makeProposal({
      channelId,
      chaincode: erccName,
      transaction: "queryState",
      args: ["a"],
      creator,
    });
    const whole = fromBinary(ProposalResponseSchema, peer2.answer(proposal));
    const lengths = {
      payload: whole.payload.length,
      endorser: whole.endorsement?.endorser.length ?? 0,
      // Every signature in DER has that many bytes at least, but for 1 in 2^40.
      signature: 60,
    };
    for (const [part, length] of Object.entries(lengths))
      for (let at = 0; at < length; at += part === "endorser" ? 37 : 5) {
        const exchange = withOthers((asked) => [
          altered(peer2.answer(asked), (response) => {
            const { endorsement } = response;
            assert.ok(endorsement);
            const bytes = part === "payload" ? response.payload : endorsement[part as "endorser" | "signature"];
            bytes[at] = (bytes[at] ?? 0) ^ 1;
          }),
        ]);
        await assert.rejects(
          reads(exchange).record(name),
          (error: { code?: string }) => ["BAD_SIGNATURE", "MALFORMED"].includes(error.code ?? ""),
          `${part} at ${at}`,
        );
      }
  });

  test("a result that only stands outside the signature", async () => {
    const exchange = withOthers((proposal) => [
      altered(peer2.answer(proposal), (response) => {
        assert.ok(response.response);
        response.response.payload = Buffer.from("something else");
      }),
      altered(peer3.answer(proposal), (response) => {
        assert.ok(response.response);
        response.response.status = 500;
      }),
    ]);
    // Nothing of it counts: what was signed is right, and is taken.
    assert.deepEqual(Buffer.from((await reads(exchange).record(name)) ?? []), Buffer.from("an export"));
  });

  test("answers without an endorsement, cut ones and noise", async () => {
    const failed = makeFailedResponse(500, "NOT_FOUND: there is no such record");
    for (const bytes of [failed, Buffer.alloc(0), Buffer.from("no protobuf"), Buffer.alloc(2 << 20)])
      await assert.rejects(reads(withOthers(() => [bytes])).record(name));
    await assertRefused(reads(withOthers((p) => [peer2.answer(p).subarray(0, 90)])).record(name), "MALFORMED");
  });

  test("a result that is no base64", async () => {
    const exchange = hostOf(
      () => peers,
      creator,
      (proposal) => peers.map((peer) => peer.answer(proposal, { payload: Buffer.from("no base64!") })),
    );
    await assertRefused(reads(exchange).record(name), "MALFORMED");
  });

  test("peers at different blocks, until they are at the same one", async () => {
    const behind: AnsweringPeer = await newPeer(org3, new Map());
    await assertRefused(reads(hostOf(() => [peer1, behind], creator)).record(name), "LEDGER_UNAVAILABLE");
    let asked = 0;
    const exchange = hostOf(() => {
      asked += 1;
      if (asked === 3) behind.records = records;
      return [peer1, behind];
    }, creator);
    assert.ok(await reads(exchange, { attempts: 3 }).record(name));
    assert.equal(asked, 3);
  });

  test("what is older than what was handed on from an opening before", async () => {
    const revoked: RecordName = { type: recordTypes.revoked, attributes: ["auction", "AB".repeat(32)] };
    const held = new Map([
      [compositeKey(name), { value: Buffer.from("an export"), block: 7n }],
      [compositeKey(revoked), { value: Buffer.from("a revocation"), block: 8n }],
    ]);
    const own = await Promise.all(organisations.map((organisation) => newPeer(organisation, held)));
    const before = reads(hostOf(() => own, creator));
    assert.equal(before.seen.records.length, 0);
    await before.record(name);
    await before.record(revoked);
    const { records } = before.seen;
    assert.deepEqual(
      records.map(({ key, block }) => [key, block]),
      [
        [`${erccName}\u0000${compositeKey(revoked)}`, 8n],
        [`${erccName}\u0000${compositeKey(name)}`, 7n],
      ],
    );
    held.delete(compositeKey(revoked));
    const behind = await Promise.all(organisations.map((organisation) => newPeer(organisation, held)));
    const asked = (seen: typeof records) =>
      reads(
        hostOf(() => behind, creator),
        { seen },
      );
    assert.equal(await asked([]).record(revoked), undefined);
    await assertRefused(asked(records).record(revoked), "REPLAY");
    assert.ok(await asked(records).record(name));
    const later = records.map((read) => ({ ...read, transaction: read.transaction + 1n }));
    await assertRefused(asked(later).record(name), "REPLAY");
  });

  test("a record in an older version than one that was seen, though signed for this question", async () => {
    const held = new Map(records);
    const [one, two] = await Promise.all([newPeer(org1, held), newPeer(org3, held)]);
    const ledger = reads(hostOf(() => [one, two], creator));
    assert.ok(await ledger.record(name));
    held.set(compositeKey(name), { value: Buffer.from("an older export"), block: 6n });
    await assertRefused(ledger.record(name), "REPLAY");
    held.set(compositeKey(name), { value: Buffer.from("a newer export"), block: 8n });
    assert.deepEqual(Buffer.from((await ledger.record(name)) ?? []), Buffer.from("a newer export"));
  });

  test("that a record is gone which was seen, from peers that are behind; but for one that is deleted at times", async () => {
    const revoked: RecordName = { type: recordTypes.revoked, attributes: ["auction", "AB".repeat(32)] };
    const confirmed: RecordName = { type: recordTypes.confirmed, attributes: ["auction", "2", "AB".repeat(32)] };
    const held = new Map(
      [revoked, confirmed].map((one) => [compositeKey(one), { value: Buffer.from("it"), block: 7n }]),
    );
    const [one, two] = await Promise.all([newPeer(org1, held), newPeer(org3, held)]);
    const ledger = reads(hostOf(() => [one, two], creator));
    for (const record of [revoked, confirmed]) assert.ok(await ledger.record(record));
    held.clear();
    await assertRefused(ledger.record(revoked), "REPLAY");
    assert.equal(await ledger.record(confirmed), undefined);
  });

  test("a host that has no identity, and one that cannot reach the ledger", async () => {
    await assertRefused(reads(async () => []).record(name), "LEDGER_UNAVAILABLE");
    await assertRefused(
      reads(
        hostOf(
          () => peers,
          creator,
          () => [],
        ),
      ).record(name),
      "LEDGER_UNAVAILABLE",
    );
  });
});

suite("signed quorum reads of a private chaincode's state", () => {
  const stored = new Map([["auction/lot", { value: Buffer.from("encrypted"), block: 9n }]]);
  const sha256 = (text: string) => createHash("sha256").update(text).digest();

  async function threePeers(held = new Map(stored)) {
    const made = await Promise.all(organisations.map((organisation) => newPeer(organisation, held)));
    return { held, made };
  }

  test("give the hashes of many keys, asked in one question to this chaincode", async () => {
    const { made } = await threePeers();
    const asked: Uint8Array[] = [];
    const ledger = reads(
      hostOf(
        () => made,
        creator,
        (proposal) => {
          asked.push(proposal);
          return made.map((peer) => peer.answer(proposal));
        },
      ),
    );
    const [absent, lot] = await ledger.stateHashes(["nothing", "lot"]);
    assert.equal(absent, undefined);
    assert.deepEqual(Buffer.from(lot ?? []), sha256("encrypted"));
    assert.deepEqual(
      asked
        .map((proposal) => readProposal(proposal))
        .map(({ chaincode, args }) => [chaincode, ...args.map((arg) => Buffer.from(arg).toString())]),
      [["auction", "__hashes", "nothing", "lot"]],
    );
  });

  test("follow what is written and deleted, and refuse what is older", async () => {
    const { held, made } = await threePeers();
    const ledger = reads(hostOf(() => made, creator));
    await ledger.stateHashes(["lot"]);
    held.set("auction/lot", { value: Buffer.from("next"), block: 10n });
    assert.deepEqual(Buffer.from((await ledger.stateHashes(["lot"]))[0] ?? []), sha256("next"));
    held.set("auction/lot", { value: Buffer.from("encrypted"), block: 9n });
    await assertRefused(ledger.stateHashes(["lot"]), "REPLAY");
    held.clear();
    assert.deepEqual(await ledger.stateHashes(["lot"]), [undefined]);
  });

  test("ask again where an answer is older than another that came meanwhile", async () => {
    const { held, made } = await threePeers();
    const newer = new Map(held).set("auction/lot", { value: Buffer.from("next"), block: 10n });
    let asked = 0;
    const ledger = reads(
      hostOf(() => {
        asked += 1;
        for (const peer of made) peer.records = asked === 2 ? held : newer;
        return made;
      }, creator),
      { attempts: 2 },
    );
    await ledger.stateHashes(["lot"]);
    assert.deepEqual(Buffer.from((await ledger.stateHashes(["lot"]))[0] ?? []), sha256("next"));
    assert.equal(asked, 3);
  });

  test("refuse one signature too few, those of another chaincode, of other keys or of another question", async () => {
    const { made } = await threePeers();
    const [one, two] = made;
    assert.ok(one && two);
    await assertRefused(reads(hostOf(() => [one], creator)).stateHashes(["lot"]), "BAD_SIGNATURE");
    const chaincode = { name: "other", version: "1" };
    const elsewhere = hostOf(
      () => made,
      creator,
      (proposal) => made.map((peer) => peer.answer(proposal, { chaincode })),
    );
    await assertRefused(reads(elsewhere).stateHashes(["lot"]), "WRONG_CONTEXT");
    for (const text of ["", "0,0", "AB".repeat(32), `${"ab".repeat(32)},`, "ab".repeat(31)]) {
      const odd = hostOf(
        () => made,
        creator,
        (proposal) => made.map((peer) => peer.answer(proposal, { payload: Buffer.from(text) })),
      );
      if (text === "") assert.deepEqual(await reads(odd).stateHashes(["lot"]), [undefined]);
      else await assertRefused(reads(odd).stateHashes(["lot"]), "MALFORMED");
    }
    let kept: readonly Uint8Array[] | undefined;
    const replaying = hostOf(
      () => made,
      creator,
      (proposal) => {
        kept ??= made.map((peer) => peer.answer(proposal));
        return kept;
      },
    );
    const ledger = reads(replaying);
    await ledger.stateHashes(["other"]);
    await assertRefused(ledger.stateHashes(["lot"]), "REPLAY");
  });
});

suite("who is a member, by the pinned roots", () => {
  const ledger = (nowMs = Date.now()) => reads(async () => [], { nowMs: () => nowMs });

  test("is whoever has a certificate of a pinned organisation, in any of its roles", async () => {
    for (const units of [["client"], ["admin"], ["peer"]]) {
      const { serialized } = await newPeer(org3, records, { units });
      assert.equal(await ledger().isMember(serialized), true, `${units}`);
    }
  });

  test("is nobody else", async () => {
    const { serialized } = peer1;
    const renamed = toBinary(
      SerializedIdentitySchema,
      create(SerializedIdentitySchema, { ...fromBinary(SerializedIdentitySchema, serialized), mspid: "Org2MSP" }),
    );
    const roleless = await newPeer(org3, records, { units: [] });
    for (const [who, identity] of [
      ["of another authority by the same name", impostor.serialized],
      ["of an organisation that is not pinned", stranger.serialized],
      ["under another organisation's name", renamed],
      ["without a role", roleless.serialized],
      ["noise", Buffer.from("noise")],
      ["nothing", Buffer.alloc(0)],
    ] as const)
      assert.equal(await ledger().isMember(identity), false, who);
    assert.equal(await ledger().isMember(serialized), true);
    assert.equal(await ledger(Date.now() + 3700 * dayMs).isMember(serialized), false, "expired");
  });
});

suite("the parameters of signed quorum reads", () => {
  test("a quorum that the organisations cannot give is refused", () => {
    for (const quorum of [0, -1, 4, 1.5, Number.NaN])
      assert.throws(() => reads(async () => [], { quorum }), { code: "MALFORMED" });
  });

  test("organisations named twice, without a name, without roots or with roots that are none are refused", () => {
    const [first, second] = organisations;
    assert.ok(first && second);
    for (const wrong of [
      [first, first],
      [first, { mspId: "", roots: second.roots }],
      [first, { mspId: "Org2MSP", roots: [] }],
      [first, { mspId: "Org2MSP", roots: ["no certificate"] }],
    ])
      assert.throws(() => reads(async () => [], { organisations: wrong }), { code: "MALFORMED" });
  });
});
