import assert from "node:assert/strict";
import { constants, createPublicKey, publicEncrypt, randomBytes, verify } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  CancelKeyDeletionCommand,
  CreateAliasCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DeleteImportedKeyMaterialCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisableKeyRotationCommand,
  EnableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateMacCommand,
  GenerateRandomCommand,
  GetKeyLastUsageCommand,
  GetKeyPolicyCommand,
  GetKeyRotationStatusCommand,
  GetParametersForImportCommand,
  GetPublicKeyCommand,
  ImportKeyMaterialCommand,
  type KMSServiceException,
  ListGrantsCommand,
  ListKeyPoliciesCommand,
  ListResourceTagsCommand,
  ListRetirableGrantsCommand,
  PutKeyPolicyCommand,
  paginateListAliases,
  paginateListKeyRotations,
  paginateListKeys,
  ReEncryptCommand,
  RetireGrantCommand,
  RevokeGrantCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAliasCommand,
  UpdateKeyDescriptionCommand,
  VerifyCommand,
  VerifyMacCommand,
} from "@aws-sdk/client-kms";
import { AwsServer } from "./aws-server.ts";

const text = (value: string) => new TextEncoder().encode(value);

describe("@aws-sdk/client-kms against strongroom serve --aws", () => {
  let server: AwsServer;
  before(async () => {
    server = await AwsServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  async function makeKey(input: CreateKeyCommand["input"] = {}): Promise<string> {
    return (await server.admin.send(new CreateKeyCommand(input))).KeyMetadata?.KeyId ?? "";
  }

  it("makes, describes, lists, disables, enables and deletes keys", async () => {
    const Tags = [{ TagKey: "team", TagValue: "a" }];
    const { KeyMetadata: made } = await server.admin.send(new CreateKeyCommand({ Description: "first", Tags }));
    const KeyId = made?.KeyId ?? "";
    assert.deepEqual(
      { ...made, CreationDate: undefined, CurrentKeyMaterialId: undefined },
      {
        AWSAccountId: made?.Arn?.split(":")[4],
        KeyId,
        Arn: `arn:aws:kms:local:${made?.AWSAccountId}:key/${KeyId}`,
        CreationDate: undefined,
        Enabled: true,
        Description: "first",
        KeyUsage: "ENCRYPT_DECRYPT",
        KeyState: "Enabled",
        Origin: "AWS_KMS",
        KeyManager: "CUSTOMER",
        CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
        KeySpec: "SYMMETRIC_DEFAULT",
        EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
        MultiRegion: false,
        CurrentKeyMaterialId: undefined,
      },
    );
    assert.ok(made?.CreationDate instanceof Date && Math.abs(made.CreationDate.getTime() - Date.now()) < 60_000);
    assert.match(made.CurrentKeyMaterialId ?? "", /^[0-9a-f]{64}$/);
    const listed: unknown[] = [];
    for await (const page of paginateListKeys({ client: server.admin, pageSize: 1 }, {}))
      listed.push(...(page.Keys ?? []));
    assert.deepEqual(listed, [{ KeyId, KeyArn: made.Arn }]);
    await server.admin.send(new UpdateKeyDescriptionCommand({ KeyId, Description: "second" }));
    await server.admin.send(new DisableKeyCommand({ KeyId }));
    const describe = async () => (await server.user.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata;
    assert.deepEqual([(await describe())?.KeyState, (await describe())?.Description], ["Disabled", "second"]);
    await server.admin.send(new EnableKeyCommand({ KeyId }));
    const deletion = await server.admin.send(new ScheduleKeyDeletionCommand({ KeyId }));
    assert.deepEqual([deletion.KeyState, deletion.PendingWindowInDays], ["PendingDeletion", 30]);
    assert.ok((deletion.DeletionDate?.getTime() ?? 0) > Date.now() + 29 * 86_400_000);
    await server.admin.send(new CancelKeyDeletionCommand({ KeyId }));
    assert.equal((await describe())?.KeyState, "Disabled");
  });

  it("names keys with aliases and marks them with tags", async () => {
    const [first, second] = [await makeKey(), await makeKey()];
    await server.admin.send(new CreateAliasCommand({ AliasName: "alias/app", TargetKeyId: first }));
    await server.admin.send(new UpdateAliasCommand({ AliasName: "alias/app", TargetKeyId: second }));
    const aliases = [];
    for await (const page of paginateListAliases({ client: server.admin, pageSize: 1 }, { KeyId: second }))
      aliases.push(...(page.Aliases ?? []));
    assert.deepEqual(
      aliases.map(({ AliasName, TargetKeyId, CreationDate }) => [AliasName, TargetKeyId, CreationDate instanceof Date]),
      [["alias/app", second, true]],
    );
    await server.admin.send(new DeleteAliasCommand({ AliasName: "alias/app" }));
    const KeyId = first;
    const Tags = [
      { TagKey: "a", TagValue: "1" },
      { TagKey: "b", TagValue: "" },
    ];
    await server.admin.send(new TagResourceCommand({ KeyId, Tags }));
    await server.admin.send(new UntagResourceCommand({ KeyId, TagKeys: ["a", "absent"] }));
    const { Tags: left, Truncated } = await server.admin.send(new ListResourceTagsCommand({ KeyId }));
    assert.deepEqual([left, Truncated], [[{ TagKey: "b", TagValue: "" }], false]);
  });

  it("encrypts, decrypts and re-encrypts under a context", async () => {
    const [KeyId, to] = [await makeKey(), await makeKey()];
    const EncryptionContext = { node: "n1", network: "test" };
    const Plaintext = text("a data key");
    const sealed = await server.user.send(new EncryptCommand({ KeyId, Plaintext, EncryptionContext }));
    const opened = await server.user.send(
      new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext, GrantTokens: ["any"] }),
    );
    assert.deepEqual([opened.Plaintext, opened.KeyId], [Plaintext, sealed.KeyId]);
    const moved = await server.user.send(
      new ReEncryptCommand({
        CiphertextBlob: sealed.CiphertextBlob,
        SourceEncryptionContext: EncryptionContext,
        DestinationKeyId: to,
      }),
    );
    assert.ok(moved.KeyId?.endsWith(to) && moved.SourceKeyId?.endsWith(KeyId));
    const again = await server.user.send(new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, KeyId: to }));
    assert.deepEqual([again.Plaintext, again.KeyMaterialId], [Plaintext, moved.DestinationKeyMaterialId]);
    await assert.rejects(
      server.user.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob })),
      (error: KMSServiceException) =>
        error.name === "InvalidCiphertextException" && error.$metadata.httpStatusCode === 400,
    );
  });

  it("makes data keys, data key pairs and random bytes", async () => {
    const KeyId = await makeKey();
    for (const [request, bytes] of [
      [{ KeySpec: "AES_256" }, 32],
      [{ KeySpec: "AES_128" }, 16],
      [{ NumberOfBytes: 1024 }, 1024],
    ] as const) {
      const { Plaintext, CiphertextBlob } = await server.user.send(new GenerateDataKeyCommand({ KeyId, ...request }));
      assert.equal(Plaintext?.length, bytes);
      assert.deepEqual((await server.user.send(new DecryptCommand({ CiphertextBlob }))).Plaintext, Plaintext);
    }
    const wrapped = await server.user.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: "AES_256" }));
    assert.ok(!("Plaintext" in wrapped) && (wrapped.CiphertextBlob?.length ?? 0) > 32);
    for (const KeyPairSpec of ["ECC_NIST_P256", "ECC_SECG_P256K1", "SM2", "RSA_2048"] as const) {
      const pair = await server.user.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec }));
      const CiphertextBlob = pair.PrivateKeyCiphertextBlob;
      assert.deepEqual(
        (await server.user.send(new DecryptCommand({ CiphertextBlob }))).Plaintext,
        pair.PrivateKeyPlaintext,
      );
      createPublicKey({ key: Buffer.from(pair.PublicKey ?? []), format: "der", type: "spki" });
      const silent = await server.user.send(new GenerateDataKeyPairWithoutPlaintextCommand({ KeyId, KeyPairSpec }));
      assert.ok(!("PrivateKeyPlaintext" in silent) && silent.KeyPairSpec === KeyPairSpec);
    }
    const random = await server.user.send(new GenerateRandomCommand({ NumberOfBytes: 24 }));
    assert.equal(random.Plaintext?.length, 24);
  });

  it("signs and verifies with every kind of key pair", async () => {
    const digests = {
      ECDSA_SHA_256: 32,
      ECDSA_SHA_384: 48,
      ECDSA_SHA_512: 64,
      SM2DSA: 32,
      RSASSA_PSS_SHA_512: 64,
    } as const;
    for (const [KeySpec, SigningAlgorithm] of [
      ["ECC_NIST_P256", "ECDSA_SHA_256"],
      ["ECC_NIST_P384", "ECDSA_SHA_384"],
      ["ECC_NIST_P521", "ECDSA_SHA_512"],
      ["ECC_SECG_P256K1", "ECDSA_SHA_256"],
      ["SM2", "SM2DSA"],
      ["RSA_2048", "RSASSA_PSS_SHA_512"],
    ] as const) {
      const KeyId = await makeKey({ KeySpec, KeyUsage: "SIGN_VERIFY" });
      const known = await server.user.send(new GetPublicKeyCommand({ KeyId }));
      assert.deepEqual([known.KeySpec, known.KeyUsage], [KeySpec, "SIGN_VERIFY"]);
      assert.ok(known.SigningAlgorithms?.includes(SigningAlgorithm));
      for (const request of [
        { MessageType: "RAW", Message: text("a message") },
        { MessageType: "DIGEST", Message: randomBytes(digests[SigningAlgorithm]) },
      ] as const) {
        const { Signature } = await server.user.send(new SignCommand({ KeyId, SigningAlgorithm, ...request }));
        const verified = await server.user.send(new VerifyCommand({ KeyId, SigningAlgorithm, ...request, Signature }));
        assert.equal(verified.SignatureValid, true, KeySpec);
        await assert.rejects(
          server.user.send(
            new VerifyCommand({
              KeyId,
              SigningAlgorithm,
              ...request,
              Message: randomBytes(digests[SigningAlgorithm]),
              Signature,
            }),
          ),
          { name: "KMSInvalidSignatureException" },
        );
        if (KeySpec !== "ECC_NIST_P256" || request.MessageType !== "RAW") continue;
        const publicKey = createPublicKey({ key: Buffer.from(known.PublicKey ?? []), format: "der", type: "spki" });
        assert.ok(verify("sha256", request.Message, publicKey, Signature ?? Buffer.alloc(0)));
      }
    }
  });

  it("encrypts to RSA and SM2 keys, and makes and verifies MACs", async () => {
    for (const [KeySpec, EncryptionAlgorithm] of [
      ["RSA_2048", "RSAES_OAEP_SHA_256"],
      ["SM2", "SM2PKE"],
    ] as const) {
      const KeyId = await makeKey({ KeySpec, KeyUsage: "ENCRYPT_DECRYPT" });
      const Plaintext = text("short");
      const { CiphertextBlob } = await server.user.send(new EncryptCommand({ KeyId, Plaintext, EncryptionAlgorithm }));
      const opened = await server.user.send(new DecryptCommand({ KeyId, CiphertextBlob, EncryptionAlgorithm }));
      assert.deepEqual(opened.Plaintext, Plaintext);
    }
    const rsa = await makeKey({ KeySpec: "RSA_2048", KeyUsage: "ENCRYPT_DECRYPT" });
    const symmetric = await makeKey();
    const { PublicKey } = await server.user.send(new GetPublicKeyCommand({ KeyId: rsa }));
    const publicKey = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: "der", type: "spki" });
    const outside = publicEncrypt(
      { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
      text("m"),
    );
    const moved = await server.user.send(
      new ReEncryptCommand({
        CiphertextBlob: outside,
        SourceKeyId: rsa,
        SourceEncryptionAlgorithm: "RSAES_OAEP_SHA_256",
        DestinationKeyId: symmetric,
      }),
    );
    const { Plaintext } = await server.user.send(new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob }));
    assert.deepEqual(Plaintext, text("m"));
    for (const [KeySpec, MacAlgorithm, bytes] of [
      ["HMAC_224", "HMAC_SHA_224", 28],
      ["HMAC_256", "HMAC_SHA_256", 32],
      ["HMAC_384", "HMAC_SHA_384", 48],
      ["HMAC_512", "HMAC_SHA_512", 64],
    ] as const) {
      const KeyId = await makeKey({ KeySpec, KeyUsage: "GENERATE_VERIFY_MAC" });
      const request = { KeyId, MacAlgorithm, Message: text("m") };
      const { Mac } = await server.user.send(new GenerateMacCommand(request));
      assert.equal(Mac?.length, bytes);
      assert.equal((await server.user.send(new VerifyMacCommand({ ...request, Mac }))).MacValid, true);
    }
  });

  it("rotates keys: old ciphertexts open, the material's id changes", async () => {
    const KeyId = await makeKey();
    const sealed = await server.user.send(new EncryptCommand({ KeyId, Plaintext: text("old") }));
    await server.admin.send(new EnableKeyRotationCommand({ KeyId, RotationPeriodInDays: 90 }));
    const status = await server.admin.send(new GetKeyRotationStatusCommand({ KeyId }));
    assert.deepEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 90]);
    assert.ok(status.NextRotationDate instanceof Date);
    await server.admin.send(new RotateKeyOnDemandCommand({ KeyId }));
    await server.admin.send(new RotateKeyOnDemandCommand({ KeyId }));
    const rotations = [];
    for await (const page of paginateListKeyRotations({ client: server.admin, pageSize: 1 }, { KeyId }))
      rotations.push(...(page.Rotations ?? []));
    assert.deepEqual(
      rotations.map(({ RotationType }) => RotationType),
      ["ON_DEMAND", "ON_DEMAND"],
    );
    const opened = await server.user.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob }));
    assert.deepEqual(opened.Plaintext, text("old"));
    const newest = await server.user.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }));
    assert.notEqual(newest.KeyMaterialId, opened.KeyMaterialId);
    assert.equal(newest.KeyMaterialId, rotations.at(-1)?.KeyMaterialId);
    await server.admin.send(new DisableKeyRotationCommand({ KeyId }));
    assert.equal((await server.admin.send(new GetKeyRotationStatusCommand({ KeyId }))).KeyRotationEnabled, false);
  });

  it("imports key material, and takes it out again", async () => {
    const KeyId = await makeKey({ Origin: "EXTERNAL" });
    const material = randomBytes(32);
    const bring = async () => {
      const parameters = await server.admin.send(
        new GetParametersForImportCommand({
          KeyId,
          WrappingAlgorithm: "RSAES_OAEP_SHA_256",
          WrappingKeySpec: "RSA_2048",
        }),
      );
      const key = createPublicKey({ key: Buffer.from(parameters.PublicKey ?? []), format: "der", type: "spki" });
      const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" }, material);
      return server.admin.send(
        new ImportKeyMaterialCommand({
          KeyId,
          ImportToken: parameters.ImportToken,
          EncryptedKeyMaterial: wrapped,
          ValidTo: new Date(Date.now() + 86_400_000),
        }),
      );
    };
    await bring();
    const { KeyMetadata } = await server.admin.send(new DescribeKeyCommand({ KeyId }));
    assert.deepEqual(
      [KeyMetadata?.KeyState, KeyMetadata?.Origin, KeyMetadata?.ExpirationModel, KeyMetadata?.ValidTo instanceof Date],
      ["Enabled", "EXTERNAL", "KEY_MATERIAL_EXPIRES", true],
    );
    const { CiphertextBlob } = await server.user.send(new EncryptCommand({ KeyId, Plaintext: text("x") }));
    await server.admin.send(new DeleteImportedKeyMaterialCommand({ KeyId }));
    await assert.rejects(server.user.send(new DecryptCommand({ CiphertextBlob })), {
      name: "KMSInvalidStateException",
    });
    await bring();
    assert.deepEqual((await server.user.send(new DecryptCommand({ CiphertextBlob }))).Plaintext, text("x"));
  });

  it("keeps policies and grants", async () => {
    const KeyId = await makeKey();
    const { Policy } = await server.admin.send(new GetKeyPolicyCommand({ KeyId }));
    assert.equal(JSON.parse(Policy ?? "").Statement[0].Action, "kms:*");
    await server.admin.send(new PutKeyPolicyCommand({ KeyId, PolicyName: "default", Policy }));
    assert.deepEqual((await server.admin.send(new ListKeyPoliciesCommand({ KeyId }))).PolicyNames, ["default"]);
    const account = (await server.admin.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.AWSAccountId;
    const principal = `arn:aws:iam::${account}:user/uma`;
    const grant = {
      KeyId,
      GranteePrincipal: principal,
      RetiringPrincipal: principal,
      Operations: ["Decrypt", "RetireGrant"] as ("Decrypt" | "RetireGrant")[],
      Constraints: { EncryptionContextSubset: { node: "n1" } },
      Name: "one",
    };
    const first = await server.admin.send(new CreateGrantCommand(grant));
    const same = await server.admin.send(new CreateGrantCommand(grant));
    assert.equal(same.GrantId, first.GrantId);
    const { Grants } = await server.admin.send(new ListGrantsCommand({ KeyId, GranteePrincipal: principal }));
    assert.equal(Grants?.length, 1);
    assert.deepEqual(Grants[0]?.Constraints?.EncryptionContextSubset, { node: "n1" });
    const retirable = await server.admin.send(new ListRetirableGrantsCommand({ RetiringPrincipal: principal }));
    assert.deepEqual(
      retirable.Grants?.map(({ GrantId }) => GrantId),
      [first.GrantId],
    );
    await server.user.send(new RetireGrantCommand({ GrantToken: first.GrantToken }));
    const second = await server.admin.send(new CreateGrantCommand({ ...grant, Name: "two" }));
    await server.admin.send(new RevokeGrantCommand({ KeyId, GrantId: second.GrantId }));
    assert.deepEqual((await server.admin.send(new ListGrantsCommand({ KeyId }))).Grants, []);
  });

  it("is told what is not built, and that a dry run would have passed", async () => {
    const KeyId = await makeKey();
    await assert.rejects(server.admin.send(new GetKeyLastUsageCommand({ KeyId })), {
      name: "UnsupportedOperationException",
    });
    await assert.rejects(server.user.send(new EncryptCommand({ KeyId, Plaintext: text("x"), DryRun: true })), {
      name: "DryRunOperationException",
      message: "The request would have succeeded, but the DryRun option is set.",
    });
    const recipient = { KeyEncryptionAlgorithm: "RSAES_OAEP_SHA_256", AttestationDocument: text("x") } as const;
    await assert.rejects(server.user.send(new GenerateRandomCommand({ NumberOfBytes: 1, Recipient: recipient })), {
      name: "UnsupportedOperationException",
    });
  });
});
