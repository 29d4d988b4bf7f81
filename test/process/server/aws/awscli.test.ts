import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { AwsServer, type Credentials } from "./aws-server.ts";

const program = "/usr/bin/aws";
const skip = existsSync(program) ? false : `${program} is not there: install Debian's awscli`;
const run = promisify(execFile);

describe("Debian's awscli against strongroom serve --aws", { skip }, () => {
  let server: AwsServer;
  let folder: string;
  before(async () => {
    server = await AwsServer.start();
    folder = mkdtempSync(join(tmpdir(), "strongroom-awscli-"));
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await server[Symbol.asyncDispose]();
  });

  // biome-ignore lint/suspicious/noExplicitAny: a test reads members of answers as it expects them.
  async function aws(credentials: Credentials, ...args: readonly string[]): Promise<any> {
    const { stdout } = await run(program, ["kms", ...args, "--endpoint-url", server.endpoint, "--output", "json"], {
      env: {
        HOME: folder,
        PATH: "/usr/bin:/bin",
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_DEFAULT_REGION: server.region,
        AWS_EC2_METADATA_DISABLED: "true",
      },
    });
    return stdout.trim() === "" ? undefined : JSON.parse(stdout);
  }
  const admin = (...args: readonly string[]) => aws(server.adminCredentials, ...args);
  const user = (...args: readonly string[]) => aws(server.userCredentials, ...args);

  it("creates a key with an alias, seals and opens under it, disables it and is refused", async () => {
    const { KeyMetadata } = await admin(
      "create-key",
      "--description",
      "made with awscli",
      "--tags",
      "TagKey=a,TagValue=b",
    );
    const keyId: string = KeyMetadata.KeyId;
    await admin("create-alias", "--alias-name", "alias/cli", "--target-key-id", keyId);
    const plain = join(folder, "plain");
    const sealed = join(folder, "sealed");
    writeFileSync(plain, "the bytes of a key");
    const context = ["--encryption-context", "node=n1,network=test"];
    const encrypted = await user("encrypt", "--key-id", "alias/cli", "--plaintext", `fileb://${plain}`, ...context);
    assert.equal(encrypted.KeyId, KeyMetadata.Arn);
    writeFileSync(sealed, Buffer.from(encrypted.CiphertextBlob, "base64"));
    const decrypted = await user("decrypt", "--ciphertext-blob", `fileb://${sealed}`, ...context);
    assert.equal(Buffer.from(decrypted.Plaintext, "base64").toString(), "the bytes of a key");
    const dataKey = await user("generate-data-key", "--key-id", keyId, "--key-spec", "AES_256");
    assert.equal(Buffer.from(dataKey.Plaintext, "base64").length, 32);
    assert.deepEqual((await admin("list-resource-tags", "--key-id", keyId)).Tags, [{ TagKey: "a", TagValue: "b" }]);
    assert.equal((await admin("list-aliases", "--key-id", keyId)).Aliases[0].AliasName, "alias/cli");
    await admin("disable-key", "--key-id", keyId);
    await assert.rejects(
      user("decrypt", "--ciphertext-blob", `fileb://${sealed}`, ...context),
      /An error occurred \(DisabledException\) when calling the Decrypt operation: arn:aws:kms:local:[0-9]{12}:key\/[0-9a-f-]{36} is disabled\./,
    );
    assert.equal((await admin("describe-key", "--key-id", "alias/cli")).KeyMetadata.KeyState, "Disabled");
    const deletion = await admin("schedule-key-deletion", "--key-id", keyId, "--pending-window-in-days", "7");
    assert.equal(deletion.KeyState, "PendingDeletion");
  });

  it("signs, makes MACs, keeps policies and grants, and pages through keys", async () => {
    const signing = (await admin("create-key", "--key-spec", "ECC_NIST_P256", "--key-usage", "SIGN_VERIFY"))
      .KeyMetadata;
    const message = join(folder, "message");
    writeFileSync(message, "a message");
    const request = [
      "--key-id",
      signing.KeyId,
      "--message",
      `fileb://${message}`,
      "--signing-algorithm",
      "ECDSA_SHA_256",
    ];
    const { Signature } = await user("sign", ...request);
    const signature = join(folder, "signature");
    writeFileSync(signature, Buffer.from(Signature, "base64"));
    assert.equal((await user("verify", ...request, "--signature", `fileb://${signature}`)).SignatureValid, true);
    assert.match(
      (await admin("get-key-policy", "--key-id", signing.KeyId, "--policy-name", "default")).Policy,
      /"kms:\*"/,
    );
    const grantee = `arn:aws:iam::${signing.AWSAccountId}:user/uma`;
    const grant = ["--key-id", signing.KeyId, "--grantee-principal", grantee, "--operations", "Sign", "Verify"];
    const { GrantId } = await admin("create-grant", ...grant);
    assert.equal((await admin("list-grants", "--key-id", signing.KeyId)).Grants[0].GrantId, GrantId);
    await admin("revoke-grant", "--key-id", signing.KeyId, "--grant-id", GrantId);
    const { Keys } = await admin("list-keys", "--page-size", "1");
    assert.ok(Keys.length >= 1 && Keys.every((key: { KeyArn: string }) => key.KeyArn.startsWith("arn:aws:kms:local:")));
  });
});
