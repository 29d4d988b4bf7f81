import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { buildClient, CommitmentPolicy, KmsKeyringNode } from "@aws-crypto/client-node";
import { CreateKeyCommand, DisableKeyCommand, KMS } from "@aws-sdk/client-kms";
import { AwsServer } from "./aws-server.ts";

type ClientProvider = NonNullable<NonNullable<ConstructorParameters<typeof KmsKeyringNode>[0]>["clientProvider"]>;

describe("the AWS Encryption SDK over strongroom serve --aws", () => {
  let server: AwsServer;
  before(async () => {
    server = await AwsServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  it("seals a message under two keys, opens it, and is refused when both are disabled", async () => {
    const { encrypt, decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
    const arns: string[] = [];
    for (let index = 0; index < 2; index++)
      arns.push((await server.admin.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "");
    const { endpoint, region, userCredentials: credentials } = server;
    const kms = new KMS({ endpoint, region, credentials, maxAttempts: 1 });
    // The keyring's types were written before optional members were told from undefined ones.
    const clientProvider = (() => kms) as unknown as ClientProvider;
    const [generatorKeyId = "", ...keyIds] = arns;
    const keyring = new KmsKeyringNode({ generatorKeyId, keyIds, clientProvider });
    const message = Buffer.from("what a node writes");
    const encryptionContext = { network: "test", node: "n1" };
    const { result } = await encrypt(keyring, message, { encryptionContext });
    const opened = await decrypt(keyring, result);
    assert.deepEqual(opened.plaintext, message);
    assert.equal(opened.messageHeader.encryptionContext.node, "n1");
    await server.admin.send(new DisableKeyCommand({ KeyId: generatorKeyId.split("/")[1] }));
    assert.deepEqual((await decrypt(keyring, result)).plaintext, message);
    await server.admin.send(new DisableKeyCommand({ KeyId: keyIds[0]?.split("/")[1] }));
    await assert.rejects(decrypt(keyring, result), /is disabled/);
    kms.destroy();
  });
});
