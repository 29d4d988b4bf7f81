import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { builtOperations } from "../../../../src/server/aws/operations/table.ts";
import { b64 } from "./aws-account.ts";
import { type Column, columns, type KeyKind, MatrixAccount, nodeName, type Scene } from "./matrix-scene.ts";

/** An operation on a key of a kind, and who may do it: the letters of {@link columns}. */
type Row = readonly [
  operation: string,
  allowed: string,
  kind: KeyKind,
  input: (scene: Scene) => object,
  named?: string,
];

const spec = { KeySpec: "AES_256" };
const pair = { KeyPairSpec: "ECC_NIST_P256" };
const ofNode = { EncryptionContext: { node: nodeName } };
const ofN1 = { EncryptionContext: { node: "n1" } };
const x = b64("x");
const wrapping = { WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" };
const policy = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Principal: "*", Action: "kms:*", Resource: "*" },
});

/**
 * Who may do what, as the documents say it: administrators manage and use nothing; key users use and manage nothing; auditors
 * describe, list and read; operators enrol nodes, for which they see what there is; PowerUser is AWS's list; a key policy and
 * a grant let in for what they name, a grant under its context; who is disabled may nothing. Nobody retires what is not his.
 */
const rows: readonly Row[] = [
  ["CancelKeyDeletion", "RA", "pending deletion", ({ keyId }) => ({ KeyId: keyId })],
  ["CreateAlias", "RAP", "symmetric", ({ keyId, alias }) => ({ AliasName: `${alias}-more`, TargetKeyId: keyId })],
  [
    "CreateGrant",
    "RA",
    "symmetric",
    ({ keyId }) => ({ KeyId: keyId, Operations: ["Decrypt"], GranteePrincipal: "SELF" }),
  ],
  ["CreateKey", "RAP", "symmetric", () => ({})],
  ["Decrypt", "KG", "symmetric", ({ blob }) => ({ CiphertextBlob: blob })],
  ["Decrypt", "KG", "symmetric", ({ blob, keyId }) => ({ CiphertextBlob: blob, KeyId: keyId }), "with its key"],
  ["Decrypt", "KGC", "symmetric", ({ blobOfN1 }) => ({ CiphertextBlob: blobOfN1, ...ofN1 }), "under node=n1"],
  [
    "Decrypt",
    "KGM",
    "symmetric",
    ({ blobOfNode }) => ({ CiphertextBlob: blobOfNode, ...ofNode }),
    "under the node's name",
  ],
  ["DeleteAlias", "RAP", "symmetric", ({ alias }) => ({ AliasName: alias })],
  ["DeleteImportedKeyMaterial", "RA", "external", ({ keyId }) => ({ KeyId: keyId })],
  ["DescribeKey", "RAKUOPM", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["DisableKey", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["DisableKeyRotation", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["EnableKey", "RA", "disabled", ({ keyId }) => ({ KeyId: keyId })],
  ["EnableKeyRotation", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["Encrypt", "KN", "symmetric", ({ keyId }) => ({ KeyId: keyId, Plaintext: x })],
  ["Encrypt", "KNM", "symmetric", ({ keyId }) => ({ KeyId: keyId, Plaintext: x, ...ofNode }), "under the node's name"],
  ["Encrypt", "KN", "symmetric", ({ alias }) => ({ KeyId: alias, Plaintext: x }), "by its alias"],
  ["GenerateDataKey", "K", "symmetric", ({ keyId }) => ({ KeyId: keyId, ...spec })],
  ["GenerateDataKey", "K", "symmetric", ({ keyId }) => ({ KeyId: keyId, ...spec, ...ofNode }), "under the node's name"],
  ["GenerateDataKeyPair", "K", "symmetric", ({ keyId }) => ({ KeyId: keyId, ...pair })],
  ["GenerateDataKeyPairWithoutPlaintext", "K", "symmetric", ({ keyId }) => ({ KeyId: keyId, ...pair })],
  ["GenerateDataKeyWithoutPlaintext", "K", "symmetric", ({ keyId }) => ({ KeyId: keyId, ...spec })],
  [
    "GenerateDataKeyWithoutPlaintext",
    "KM",
    "symmetric",
    ({ keyId }) => ({ KeyId: keyId, ...spec, ...ofNode }),
    "under the node's name",
  ],
  ["GenerateMac", "KG", "mac", ({ keyId }) => ({ KeyId: keyId, Message: x, MacAlgorithm: "HMAC_SHA_256" })],
  ["GenerateRandom", "RAKP", "symmetric", () => ({ NumberOfBytes: 1 })],
  ["GetKeyPolicy", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["GetKeyRotationStatus", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["GetParametersForImport", "RAP", "external", ({ keyId }) => ({ KeyId: keyId, ...wrapping })],
  ["GetPublicKey", "RAKUP", "sign", ({ keyId }) => ({ KeyId: keyId })],
  [
    "ImportKeyMaterial",
    "RA",
    "external",
    ({ keyId, importToken }) => ({
      KeyId: keyId,
      ImportToken: importToken,
      EncryptedKeyMaterial: b64(Buffer.alloc(256)),
      ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }),
  ],
  ["ListAliases", "RAUOP", "symmetric", () => ({})],
  ["ListAliases", "RAUOP", "symmetric", ({ keyId }) => ({ KeyId: keyId }), "of a key"],
  ["ListGrants", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["ListKeyPolicies", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["ListKeyRotations", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["ListKeys", "RAUOP", "symmetric", () => ({})],
  ["ListResourceTags", "RAUP", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["ListRetirableGrants", "RAUP", "symmetric", () => ({ RetiringPrincipal: "SELF" })],
  ["PutKeyPolicy", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId, Policy: policy })],
  ["ReEncrypt", "K", "symmetric", ({ blob, keyId }) => ({ CiphertextBlob: blob, DestinationKeyId: keyId })],
  [
    "ReEncrypt",
    "KM",
    "symmetric",
    ({ blobOfNode, keyId }) => ({
      CiphertextBlob: blobOfNode,
      SourceEncryptionContext: { node: nodeName },
      DestinationKeyId: keyId,
      DestinationEncryptionContext: { node: nodeName, more: "x" },
    }),
    "from and to the node's name",
  ],
  [
    "ReEncrypt",
    "K",
    "symmetric",
    ({ blobOfNode, keyId }) => ({
      CiphertextBlob: blobOfNode,
      SourceEncryptionContext: { node: nodeName },
      DestinationKeyId: keyId,
    }),
    "from the node's name to no context",
  ],
  ["RetireGrant", "", "symmetric", ({ keyId, grantId }) => ({ KeyId: keyId, GrantId: grantId })],
  ["RevokeGrant", "RA", "symmetric", ({ keyId, grantId }) => ({ KeyId: keyId, GrantId: grantId })],
  ["RotateKeyOnDemand", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId })],
  ["ScheduleKeyDeletion", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId, PendingWindowInDays: 7 })],
  ["Sign", "KG", "sign", ({ keyId }) => ({ KeyId: keyId, Message: x, SigningAlgorithm: "ECDSA_SHA_256" })],
  ["TagResource", "RAP", "symmetric", ({ keyId }) => ({ KeyId: keyId, Tags: [{ TagKey: "a", TagValue: "b" }] })],
  ["UntagResource", "RAP", "symmetric", ({ keyId }) => ({ KeyId: keyId, TagKeys: ["a"] })],
  ["UpdateAlias", "RA", "symmetric", ({ keyId, alias }) => ({ AliasName: alias, TargetKeyId: keyId })],
  ["UpdateKeyDescription", "RA", "symmetric", ({ keyId }) => ({ KeyId: keyId, Description: "d" })],
  [
    "Verify",
    "K",
    "sign",
    ({ keyId, signature }) => ({ KeyId: keyId, Message: x, Signature: signature, SigningAlgorithm: "ECDSA_SHA_256" }),
  ],
  ["VerifyMac", "K", "mac", ({ keyId, mac }) => ({ KeyId: keyId, Message: x, Mac: mac, MacAlgorithm: "HMAC_SHA_256" })],
];

/** The permission that is asked for first, where it is not called as the operation. */
const permissions: Readonly<Record<string, string>> = { ReEncrypt: "ReEncryptFrom|ReEncryptTo" };

describe("the AWS door, operation by operation and principal by principal", () => {
  let matrix: MatrixAccount;
  let denials = 0;
  before(async () => {
    matrix = await MatrixAccount.make();
  });
  after(() => matrix.end());

  it("has every operation in the table", () => {
    const names = new Set(rows.map(([name]) => name));
    assert.deepEqual(
      builtOperations.map(({ name }) => name).filter((name) => !names.has(name)),
      [],
    );
  });

  const letters = Object.keys(columns) as Column[];
  for (const [operation, allowed, kind, inputOf, named] of rows) {
    const who = letters.filter((letter) => allowed.includes(letter)).join(" ") || "nobody";
    it(`lets ${who} do ${operation}${named === undefined ? "" : ` ${named}`}, and no one else`, async () => {
      const message = new RegExp(` is not authorized to perform: kms:(${permissions[operation] ?? operation}) on `);
      let scene = await matrix.scene(kind);
      for (const letter of letters) {
        const { principal } = matrix.callers[letter];
        const input = JSON.parse(JSON.stringify(inputOf(scene)).replaceAll('"SELF"', JSON.stringify(principal)));
        const outcome = await matrix.ask(letter, operation, input);
        if (allowed.includes(letter)) {
          assert.equal(outcome, "allowed", `${columns[letter]} may`);
          scene = await matrix.scene(kind); // The operation may have changed it.
          continue;
        }
        assert.notEqual(outcome, "allowed", `${columns[letter]} may not`);
        if (outcome === "allowed") continue;
        assert.ok(outcome.message.startsWith(`User: ${principal} is not authorized`), outcome.message);
        assert.match(outcome.message, message);
        denials += 1;
      }
    });
  }

  it("has put every denial on record, with what denied it", async () => {
    const { account, callers } = matrix;
    const { audit } = account.km.custody;
    const told = new Map<string, Set<unknown>>();
    let count = 0;
    const { sequence: end } = await audit.checkpoint(account.km.admin);
    for (let after = 0; after < end; after += 1000) {
      const records = await audit.read(account.km.admin, { after, limit: 1000 });
      for (const { door, error, principal, detail } of records) {
        if (door !== "aws" || error !== "ACCESS_DENIED") continue;
        count += 1;
        told.set(principal, (told.get(principal) ?? new Set()).add(detail.deniedBy));
      }
    }
    assert.equal(count, denials);
    const reasons = (letter: Column) => [...(told.get(callers[letter].principal) ?? [])].sort();
    assert.deepEqual(reasons("D"), ["principal-disabled"]);
    assert.deepEqual(reasons("A"), ["explicit-deny", "nothing-allows"]);
    assert.deepEqual(reasons("U"), ["explicit-deny"]);
    for (const letter of ["K", "O", "P", "-", "N", "G", "C", "M"] as const)
      assert.deepEqual(reasons(letter), ["nothing-allows"], columns[letter]);
  });
});
