import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { toEvidence } from "../../../../src/enclave/evidence/attestation-json.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { decodeArgument, encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  ChaincodeKeyStateSchema,
  ExportAnnouncementSchema,
} from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import {
  type AttestedData,
  AttestedDataSchema,
  type Credentials,
  CredentialsSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { SignedExportMessageSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { verifyExport } from "../../../../src/enclave/protocol/export.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { flipBit, numbers } from "./noise.ts";
import { TestHost } from "./test-host.ts";
import { chaincodeId, World } from "./world.ts";

describe("the export of chaincode keys", () => {
  let world: World;
  let sender: TestHost;
  let receiver: TestHost;

  before(async () => {
    world = await World.start();
    sender = await TestHost.registered(world, "Org1MSP");
    receiver = await TestHost.registered(world, "Org2MSP");
  });
  after(() => world[Symbol.dispose]());

  /** The receiver's credentials with something of what they attest changed, and the ledger saying the same. */
  const changed = (change: (attested: AttestedData) => void, more: Partial<Credentials> = {}): Buffer => {
    const credentials = decodeStrict(CredentialsSchema, receiver.credentials);
    const { attested } = readCredentials(credentials);
    change(attested);
    const serializedAttestedData = packAny(AttestedDataSchema, attested);
    return encode(CredentialsSchema, create(CredentialsSchema, { ...credentials, serializedAttestedData, ...more }));
  };
  const ledgerSays = (credentials: Buffer) => {
    const text = Buffer.from(encodeArgument(CredentialsSchema, decodeStrict(CredentialsSchema, credentials)));
    world.lie = (question) => {
      if (question.kind === "endorse") return [Buffer.from("true")];
      return question.kind === "record" && question.name.type === recordTypes.credentials ? [text] : undefined;
    };
  };
  const refused = async (credentials: Buffer, code: string, message?: RegExp) => {
    await assert.rejects(sender.call("exportCCKeys", credentials), { code, ...(message && { message }) });
  };

  test("is refused by an enclave without keys", async () => {
    await refused(receiver.credentials, "NOT_PROVISIONED");
  });

  test("is refused before the keys are registered", async () => {
    const message = await sender.call("generateCCKeys");
    await refused(receiver.credentials, "NOT_PROVISIONED");
    await assert.rejects(sender.call("exportCCKeys", receiver.credentials, Buffer.from("1")), {
      code: "WRONG_CONTEXT",
    });
    await sender.registerKeys(message);
  });

  test("is refused before it is announced on the ledger, which then demands a rotation of who revokes the receiver", async () => {
    await refused(receiver.credentials, "NOT_FOUND", /is announced/);
    const third = await TestHost.registered(world, "Org3MSP");
    await sender.announce(third);
    await refused(receiver.credentials, "NOT_FOUND", /is announced/);
    // What leaves the enclave now is never put on the ledger.
    assert.ok((await sender.call("exportCCKeys", third.credentials)).length > 0);
    const before = world.ledger;
    world.ledger = world.copyOfLedger();
    await world.call("Org3MSP", "revokeEnclave", chaincodeId, third.id, "lost");
    const keyState = await world.call("Org1MSP", "queryKeyState", chaincodeId);
    assert.equal(decodeArgument(ChaincodeKeyStateSchema, keyState).rotateAbove, 1n);
    world.ledger = before;
  });

  test("is refused where another enclave, another generation or another key was announced", async () => {
    const announced = recordTypes.announced;
    const chaincodeEk = async () =>
      Buffer.from(await world.call("Org1MSP", "queryChaincodeEncryptionKey", chaincodeId), "base64");
    for (const change of [{ generation: 2n }, { chaincodeEkHash: Buffer.alloc(32, 1) }]) {
      const hash = createHash("sha256")
        .update(await chaincodeEk())
        .digest();
      const right = { generation: 1n, chaincodeEkHash: hash, announcedAtMs: 1n };
      const text = encodeArgument(ExportAnnouncementSchema, create(ExportAnnouncementSchema, { ...right, ...change }));
      world.lie = (question) =>
        question.kind === "record" && question.name.type === announced ? [Buffer.from(text)] : undefined;
      await refused(receiver.credentials, "NOT_FOUND", /is announced/);
    }
    world.lie = undefined;
    await sender.announce(receiver);
  });

  test("is for the receiver's attested key, signed, and another one each time", async () => {
    const messages = await Promise.all([1, 2].map(() => sender.call("exportCCKeys", receiver.credentials)));
    const [one, two] = messages.map((bytes) => verifyExport(decodeStrict(SignedExportMessageSchema, bytes)));
    assert(one && two);
    assert.deepEqual(
      Buffer.from(one.receiverEnclaveVk),
      readCredentials(decodeStrict(CredentialsSchema, receiver.credentials)).vkPem,
    );
    assert.notDeepEqual(one.exportNonce, two.exportNonce);
    assert.notDeepEqual(one.cckeysEnc, two.cckeysEnc);
  });

  test("does not go to the enclave itself", async () => {
    await refused(sender.credentials, "WRONG_CONTEXT", /that is this one/);
  });

  test("does not go to a generation that is not held, or to no number", async () => {
    for (const [number, code] of [
      ["2", "NOT_PROVISIONED"],
      ["0", "MALFORMED"],
    ] as const)
      await assert.rejects(sender.call("exportCCKeys", receiver.credentials, Buffer.from(number)), { code });
  });

  test("does not go to credentials without evidence", async () => {
    await refused(receiver.file("credentials"), "MALFORMED", /Credentials\.evidence/);
  });

  test("does not go to credentials that the ledger does not have", async () => {
    const again = decodeStrict(CredentialsSchema, await receiver.call("attest"));
    const complete = create(CredentialsSchema, { ...again, evidence: toEvidence(again.attestation) });
    await refused(encode(CredentialsSchema, complete), "NOT_REGISTERED");
    await refused(encode(CredentialsSchema, complete), "NOT_REGISTERED");
  });

  const parameters = (change: { channelId?: string; chaincodeId?: string }) => (attested: AttestedData) => {
    Object.assign(attested.ccParams ?? {}, change);
  };
  const otherHash = (field: "channelHash" | "trustedLedgerHash") => (attested: AttestedData) => {
    attested[field] = Buffer.alloc(32, 1);
  };
  for (const [what, change, message] of [
    ["another channel", parameters({ channelId: "ch2" }), /another channel$/],
    ["another chaincode", parameters({ chaincodeId: "other" }), /another chaincode/],
    ["another first block", otherHash("channelHash"), /first block/],
    ["another trusted ledger", otherHash("trustedLedgerHash"), /another ledger/],
  ] as const)
    test(`does not go to an enclave of ${what}`, async () => {
      const credentials = changed(change);
      ledgerSays(credentials);
      await refused(credentials, "WRONG_CONTEXT", message);
      world.lie = undefined;
    });

  test("does not go to a key that the evidence does not prove, even if ledger and host say so", async () => {
    const credentials = changed((attested) => {
      attested.enclaveEk = rsaPair(3).publicPem;
    });
    ledgerSays(credentials);
    await refused(credentials, "BAD_EVIDENCE", /another statement/);
    world.lie = undefined;
  });

  test("does not go to credentials with one bit changed, even if ledger and host say so", async () => {
    const bits = numbers(seed, scaled(400), receiver.credentials.length * 8);
    for (const bit of bits) {
      const credentials = flipBit(receiver.credentials, bit);
      world.lie = (question) => {
        if (question.kind === "endorse") return [Buffer.from("true")];
        const isCredentials = question.kind === "record" && question.name.type === recordTypes.credentials;
        return isCredentials ? [Buffer.from(credentials.toString("base64"))] : undefined;
      };
      await assert.rejects(
        sender.call("exportCCKeys", credentials),
        (error: { code?: string }) => /^(?:MALFORMED|WRONG_CONTEXT|POLICY_DENIED|BAD_EVIDENCE)$/.test(error.code ?? ""),
        `bit ${bit}`,
      );
    }
    world.lie = undefined;
  });

  test("does not go to an enclave that the ledger does not let endorse", async () => {
    world.define({ sequence: 2n });
    await refused(receiver.credentials, "POLICY_DENIED", /cannot endorse/);
    world.define();
  });

  test("does not go where the ledger has another key", async () => {
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.chaincodeEk ? [rsaPair(2).publicPem] : undefined;
    await refused(receiver.credentials, "EK_MISMATCH");
    world.lie = undefined;
  });

  test("does not go where the ledger has another state key", async () => {
    await world.lieAboutStateKey(1n);
    await refused(receiver.credentials, "EK_MISMATCH", /another state key/);
    world.lie = undefined;
  });

  test("needs a ledger that answers", async () => {
    world.lie = (question) => (question.kind === "record" ? [] : undefined);
    await assert.rejects(sender.call("exportCCKeys", receiver.credentials));
    world.lie = undefined;
  });

  test("obeys the policy that is in force, along the line from the one that is attested", async () => {
    const rules = [{ fromMsp: "Org1MSP", toMsp: "Org3MSP" }];
    await world.setPolicy({ exportRules: rules });
    await refused(receiver.credentials, "POLICY_DENIED", /no export from Org1MSP to Org2MSP/);
    const withRule = world.copyOfLedger();
    await world.setPolicy({});
    assert.ok((await sender.call("exportCCKeys", receiver.credentials)).length > 0);
    // A ledger that goes back to the policy before is found out.
    world.stale = withRule;
    await refused(receiver.credentials, "REPLAY");
    world.stale = undefined;
  });

  test("does not believe a policy that the one before has not signed, or another first one", async () => {
    // As of its keys' generation, when it had seen no policy.
    await sender.open(sender.blobs.at(1));
    const other = await World.start();
    const text = await other.call("Org1MSP", "queryPolicy", chaincodeId);
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.policy ? [Buffer.from(text)] : undefined;
    await refused(receiver.credentials, "WRONG_CONTEXT", /not the one that is attested/);
    world.lie = undefined;
    other[Symbol.dispose]();
  });
});
