import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { create, type DescMessage } from "@bufbuild/protobuf";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  RevocationStatementSchema,
  SignedPolicySchema,
  SignedRevocationStatementSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode, maxMessageBytes } from "../../../../src/enclave/messages/strict.ts";
import { issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import { signRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import {
  everyField,
  one,
  parse,
  serialize,
  varintOf,
  type WireField,
} from "../../../property/enclave/messages/wire-tree.ts";
import { argumentOf, Consortium, chaincodeId, generations, type TestEnclave } from "./consortium.ts";
import { rsaPair } from "./test-keys.ts";

const { first, second } = generations;

/** A call that is taken as it is. */
interface GoodCall {
  readonly mspId: string;
  readonly transaction: string;
  readonly schema: DescMessage;
  readonly text: string;
  /** Fields that a message is read without. */
  readonly optional?: readonly string[];
}

describe("Every transaction that takes a message", () => {
  let consortium: Consortium;
  let calls: readonly GoodCall[];

  before(async () => {
    consortium = await Consortium.start();
    const a = await consortium.newEnclave("Org1MSP");
    const b = await consortium.newEnclave("Org2MSP", { rsa: 1 });
    const c = await consortium.newEnclave("Org3MSP");
    const d = await consortium.newEnclave("Org3MSP", { rsa: 1 });
    await consortium.registerKeys(a, first);
    await consortium.putExport(a, b, first);
    await consortium.share(a, d, first);
    const issueBy = ({ read: { ccParamsHash, enclaveId }, sk }: TestEnclave) => {
      const issuer = { enclaveId: enclaveId.bytes, sk };
      return issueRecovery({ ccParamsHash, generation: first, policy: consortium.policy, issuer });
    };
    const recovery = await issueBy(a);
    await consortium.call("Org1MSP", "putRecovery", chaincodeId, encodeArgument(SignedRecoveryMessageSchema, recovery));
    using share = openShare(readRecovery(recovery), "Org1MSP", rsaPair(4).privateKey);
    const mspId = "Org1MSP";
    const released = releaseShare({ recovery, mspId, share, receiver: c.read }, consortium.policyKey(mspId).key);
    const statement = encode(
      RevocationStatementSchema,
      create(RevocationStatementSchema, {
        channelId: "ch1",
        chaincodeId,
        enclaveId: b.read.enclaveId.bytes,
        reason: "lost",
        policyNumber: 1n,
      }),
    );
    const signatures = ["Org1MSP", "Org3MSP"].map((signer) =>
      signRevocation(statement, signer, consortium.policyKey(signer).key),
    );
    const revocation = create(SignedRevocationStatementSchema, { statement, signatures });
    calls = [
      {
        mspId: "Org2MSP",
        transaction: "registerEnclave",
        schema: CredentialsSchema,
        text: argumentOf(consortium.enclave("Org2MSP", { rsa: 1 })),
        optional: ["attestation"],
      },
      {
        mspId: "Org2MSP",
        transaction: "registerCCKeys",
        schema: SignedCCKeyRegistrationMessageSchema,
        text: consortium.registration(b, first),
      },
      {
        mspId,
        transaction: "putKeyExport",
        schema: SignedExportMessageSchema,
        text: encodeArgument(SignedExportMessageSchema, consortium.export(a, c, first)),
      },
      {
        mspId,
        transaction: "proposeGeneration",
        schema: SignedGenerationProposalMessageSchema,
        text: consortium.proposal(a, second, first),
      },
      {
        mspId,
        transaction: "setPolicy",
        schema: SignedPolicySchema,
        text: consortium.signed(consortium.nextPolicy({})),
      },
      {
        mspId,
        transaction: "revokeByStatement",
        schema: SignedRevocationStatementSchema,
        text: encodeArgument(SignedRevocationStatementSchema, revocation),
      },
      {
        // Org1MSP has issued its own.
        mspId: "Org3MSP",
        transaction: "putRecovery",
        schema: SignedRecoveryMessageSchema,
        text: encodeArgument(SignedRecoveryMessageSchema, await issueBy(d)),
      },
      {
        mspId,
        transaction: "releaseShare",
        schema: SignedReleasedShareMessageSchema,
        text: encodeArgument(SignedReleasedShareMessageSchema, released),
      },
    ];
  });

  const argumentsOf = ({ transaction }: GoodCall, text: string) =>
    transaction === "registerEnclave" ? [text] : [chaincodeId, text];
  const refused = (call: GoodCall, text: string, says: RegExp) =>
    consortium.refuses("MALFORMED", says, call.mspId, call.transaction, ...argumentsOf(call, text));
  const named = (path: string) => new RegExp(`(^|\\s)${path.replaceAll(".", "\\.")}\\b`);
  const eachField = async (run: (call: GoodCall, fields: WireField[], field: WireField) => Promise<void>) => {
    for (const call of calls) {
      const fields = parse(call.schema, Buffer.from(call.text, "base64"));
      for (const field of everyField(fields)) await run(call, fields, field);
    }
  };
  /** The message with one of its fields, at whichever depth, in another form. */
  const changed = (fields: readonly WireField[], target: WireField, change: (field: WireField) => Uint8Array) =>
    serialize(fields, (field) =>
      field.from === target.from && field.path === target.path ? change(field) : one(field),
    );

  it("takes a good one", async () => {
    for (const call of calls) await consortium.endorse(call.mspId, call.transaction, ...argumentsOf(call, call.text));
  });

  it("refuses text that is not canonical base64 of a message's length, by the message's name: MALFORMED", async () => {
    for (const call of calls) {
      const { name } = call.schema;
      await refused(call, "", new RegExp(`^${name} is empty`));
      for (const text of [`${call.text}\n`, ` ${call.text}`, `${call.text}=`, `${call.text.replace(/=*$/, "")}-_`, "?"])
        await refused(call, text, new RegExp(`^${name} is not canonical base64`));
      const tooLong = Buffer.alloc(maxMessageBytes + 3).toString("base64");
      await refused(call, tooLong, new RegExp(`^${name} is too long`));
    }
  });

  it("refuses a field that is given twice, by its name: MALFORMED", async () => {
    await eachField(async (call, fields, field) => {
      if (field.field.fieldKind === "list") return;
      const bytes = changed(fields, field, (it) => Buffer.concat([one(it), one(it)]));
      await refused(call, bytes.toString("base64"), named(field.path));
    });
  });

  it("refuses an unknown field: MALFORMED", async () => {
    const unknown = Buffer.concat([varintOf((1000n << 3n) | 2n), Buffer.of(1, 0x61)]);
    await eachField(async (call, fields, field) => {
      const bytes = changed(fields, field, (it) => Buffer.concat([one(it), unknown]));
      await refused(call, bytes.toString("base64"), /number 1000, which is unknown/);
    });
  });

  it("refuses a message without one of its fields, by that field's name: MALFORMED", async () => {
    let missed = 0;
    for (const call of calls) {
      const fields = parse(call.schema, Buffer.from(call.text, "base64"));
      for (const field of fields) {
        if (call.optional?.includes(field.field.name) || field.field.fieldKind === "list") continue;
        const bytes = serialize(fields.filter((other) => other !== field));
        await refused(call, bytes.toString("base64"), named(field.path));
        missed += 1;
      }
    }
    assert.ok(missed >= 14, `${missed}`);
  });

  it("refuses another type URL, by its field's name: MALFORMED", async () => {
    let changes = 0;
    await eachField(async (call, fields, field) => {
      if (field.field.name !== "type_url") return;
      for (const url of ["type.googleapis.com/fpc.HostParameters", "example.com/fpc.AttestedData", "AttestedData"]) {
        const bytes = changed(fields, field, (it) => one({ ...it, value: Buffer.from(url) }));
        await refused(call, bytes.toString("base64"), named(field.path.replace(/\.type_url$/, "")));
        changes += 1;
      }
    });
    assert.equal(changes, 18);
  });
});
