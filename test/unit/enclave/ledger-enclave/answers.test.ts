import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { answerRequest, type LedgerView } from "../../../../src/enclave/ledger-enclave/answers.ts";
import { RequestSchema, ResponseSchema } from "../../../../src/enclave/messages/generated/fpc/trusted_ledger_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";

const records = new Map([
  ["a1", Buffer.from("one")],
  ["a2", Buffer.from("two")],
  ["b", Buffer.from("three")],
]);

const states = new Map([["auction/a", Buffer.from("encrypted")]]);

/** A view of a ledger that is made up for these tests. */
const view: LedgerView = {
  blockNumber: 9n,
  erccName: "ercc",
  hash: (namespace, key) => hashOf(namespace === "ercc" ? records.get(key) : states.get(`${namespace}/${key}`)),
  *range(prefix) {
    for (const [key, value] of records) if (key.startsWith(prefix)) yield [key, value];
  },
  isMember: (identity) => Buffer.from(identity).toString() === "member",
  canEndorse: async (chaincodeId, enclaveId) => chaincodeId === "auction" && enclaveId === "AB",
};

function hashOf(value: Uint8Array | undefined): Buffer | undefined {
  return value && createHash("sha256").update(value).digest();
}

async function ask(request: MessageInitShape<typeof RequestSchema>) {
  const bytes = encode(RequestSchema, create(RequestSchema, request));
  return decodeStrict(ResponseSchema, await answerRequest(view, bytes));
}

const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const lengthed = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);

suite("the ledger enclave answers", () => {
  test("with the hash of a record, and with zeros where there is none", async () => {
    const metadata = (key: string) => ask({ request: { case: "metadata", value: { namespace: "ercc", key } } });
    assert.deepEqual(Buffer.from(hashIn(await metadata("b"))), sha256(Buffer.from("three")));
    assert.deepEqual(Buffer.from(hashIn(await metadata("c"))), Buffer.alloc(32));
  });

  test("with the hashes of a private chaincode's state, in the order of the keys", async () => {
    const { response } = await ask({
      request: { case: "stateHashes", value: { namespace: "auction", keys: ["b", "a", "\u0000responses\u0000"] } },
    });
    assert.ok(response.case === "stateHashes");
    const none = Buffer.alloc(32);
    assert.deepEqual(
      response.value.hashes.map((hash) => Buffer.from(hash)),
      [none, sha256(Buffer.from("encrypted")), none],
    );
    const one = await ask({ request: { case: "metadata", value: { namespace: "auction", key: "a" } } });
    assert.deepEqual(Buffer.from(hashIn(one)), sha256(Buffer.from("encrypted")));
  });

  test("with one hash over the records whose keys begin so", async () => {
    const many = (compoKey: string) =>
      ask({ request: { case: "multiMetadata", value: { namespace: "ercc", compoKey } } });
    const all = ["a1", "one", "a2", "two"].map(lengthed);
    assert.deepEqual(Buffer.from(hashIn(await many("a"))), sha256(...all));
    assert.deepEqual(Buffer.from(hashIn(await many("c"))), Buffer.alloc(32));
  });

  test("who is a member, and which enclave may endorse", async () => {
    const isMember = async (text: string) => {
      const value = { serializedIdentity: Buffer.from(text) };
      const { response } = await ask({ request: { case: "validateIdentity", value } });
      return response.case === "validateIdentity" && response.value.isValid;
    };
    assert.deepEqual([await isMember("member"), await isMember("stranger")], [true, false]);
    const mayEndorse = async (enclaveId: string) => {
      const value = { chaincodeId: "auction", enclaveId };
      const { response } = await ask({ request: { case: "canEndorse", value } });
      return response.case === "canEndorse" && response.value.isValid;
    };
    assert.deepEqual([await mayEndorse("AB"), await mayEndorse("CD")], [true, false]);
  });

  test("with the block that the answer rests on", async () => {
    const request = { case: "validateIdentity", value: {} } as const;
    assert.equal((await ask({ request })).blockNumber, 9n);
    assert.equal((await ask({ request, minimumBlock: 9n })).blockNumber, 9n);
  });
});

suite("the ledger enclave does not answer", () => {
  test("before the block that is demanded is there", async () => {
    const request = { case: "validateIdentity", value: {} } as const;
    await assert.rejects(ask({ request, minimumBlock: 10n }), { code: "LEDGER_UNAVAILABLE" });
  });

  test("about namespaces that it does not keep", async () => {
    const value = { namespace: "auction", compoKey: "a" };
    await assert.rejects(ask({ request: { case: "multiMetadata", value } }), { code: "WRONG_CONTEXT" });
  });

  test("about no keys, or more than a call may read", async () => {
    for (const keys of [[], Array<string>(1001).fill("a")])
      await assert.rejects(ask({ request: { case: "stateHashes", value: { namespace: "auction", keys } } }), {
        code: "MALFORMED",
      });
  });

  test("requests that ask nothing, and noise", async () => {
    await assert.rejects(ask({}), { code: "MALFORMED" });
    await assert.rejects(ask({ request: { case: "multiMetadata", value: { namespace: "ercc" } } }), {
      code: "MALFORMED",
    });
    for (const bytes of [Buffer.alloc(0), Buffer.from("noise"), Buffer.from([0x3a, 0x00])])
      await assert.rejects(answerRequest(view, bytes), { code: "MALFORMED" });
  });
});

function hashIn({ response }: Awaited<ReturnType<typeof ask>>): Uint8Array {
  assert.ok(response.case === "metadata" || response.case === "multiMetadata");
  return response.value.hash;
}
