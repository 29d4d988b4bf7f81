import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateMacCommand,
  GenerateRandomCommand,
  KMSClient,
} from "@aws-sdk/client-kms";
import { rawExchange } from "../../fisco-stand-in/raw-exchange.ts";
import { sign, wire } from "../../unit/server/aws/signed-request.ts";
import { KeyManagerFolder, type RunningServer, startServer, TemporaryFolder } from "../running-server.ts";
import { type PlantedSecret, SecretSearch } from "./planted-secrets.ts";

describe("secrets that went through the AWS door", () => {
  const secrets: PlantedSecret[] = [];
  const answered: string[] = [];
  let folder: KeyManagerFolder;
  let searched: TemporaryFolder;
  let server: RunningServer;
  let port: number;

  const plant = (name: string, bytes: Uint8Array = Buffer.from(randomBytes(24).toString("base64"))): Buffer => {
    secrets.push({ name, bytes: Buffer.from(bytes) });
    return Buffer.from(bytes);
  };

  before(async () => {
    searched = new TemporaryFolder();
    for (const name of ["home", "tmp"]) mkdirSync(join(searched.path, name));
    folder = await KeyManagerFolder.make(searched.path);
    const env = { HOME: join(searched.path, "home"), TMPDIR: join(searched.path, "tmp") };
    server = await startServer(folder, ["--aws", "127.0.0.1:0"], { env });
    const { aws } = server.addresses as unknown as { readonly aws: string };
    port = Number(aws.split(":").at(-1));
    const admin = await user("adam", "administrator");
    const uma = await user("uma", "key-user");
    await useKeys(admin.client, uma.client);
    await sendNonsense(uma);
    admin.client.destroy();
    uma.client.destroy();
  });
  after(async () => {
    await server?.kill();
    searched?.[Symbol.dispose]();
  });

  async function user(name: string, role: "administrator" | "key-user") {
    await server.admin.users.create({ name, role });
    const { id, secret } = await server.admin.accessKeys.create(name);
    using shown = secret;
    const text = plant(
      `access key of ${name}`,
      shown.expose((bytes) => Buffer.from(bytes)),
    ).toString();
    const credentials = { accessKeyId: id, secretAccessKey: text };
    const endpoint = `http://127.0.0.1:${port}`;
    return { id, secret: text, client: new KMSClient({ endpoint, region: "local", credentials, maxAttempts: 1 }) };
  }

  async function useKeys(admin: KMSClient, uma: KMSClient): Promise<void> {
    const { KeyMetadata } = await admin.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata?.KeyId ?? "";
    const Plaintext = plant("plaintext");
    const EncryptionContext = { node: "n1" };
    const { CiphertextBlob } = await uma.send(new EncryptCommand({ KeyId, Plaintext, EncryptionContext }));
    const opened = await uma.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }));
    assert.deepEqual(Buffer.from(opened.Plaintext ?? []), Plaintext);
    await assert.rejects(uma.send(new DecryptCommand({ CiphertextBlob })), { name: "InvalidCiphertextException" });
    const dataKey = await uma.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }));
    plant("data key", dataKey.Plaintext);
    const random = await uma.send(new GenerateRandomCommand({ NumberOfBytes: 32 }));
    plant("random bytes", random.Plaintext);
    const mac = await admin.send(new CreateKeyCommand({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" }));
    const Message = plant("message of a MAC");
    await uma.send(
      new GenerateMacCommand({ KeyId: mac.KeyMetadata?.KeyId ?? "", Message, MacAlgorithm: "HMAC_SHA_256" }),
    );
    const GranteePrincipal = `arn:aws:iam::${KeyMetadata?.AWSAccountId}:user/uma`;
    const grant = await admin.send(new CreateGrantCommand({ KeyId, GranteePrincipal, Operations: ["Decrypt"] }));
    plant("grant token", Buffer.from(grant.GrantToken ?? ""));
  }

  /** Requests that are wrong in ways that carry a secret where none belongs. */
  async function sendNonsense(key: { readonly id: string; readonly secret: string }): Promise<void> {
    const misplaced = plant("misplaced plaintext").toString();
    const long = misplaced.repeat(200);
    for (const [target, body] of [
      ["Encrypt", JSON.stringify({ KeyId: misplaced, Plaintext: misplaced })],
      ["Encrypt", JSON.stringify({ KeyId: "alias/x", Plaintext: long })],
      ["Encrypt", JSON.stringify({ KeyId: "alias/x", Plaintext: [misplaced] })],
      ["Encrypt", JSON.stringify({ KeyId: "alias/x", Secret: misplaced })],
      ["Encrypt", `{"KeyId": "alias/x", "Plaintext": "${misplaced}`],
      ["Decrypt", JSON.stringify({ CiphertextBlob: misplaced, GrantTokens: [misplaced] })],
      ["Sign", JSON.stringify({ KeyId: "alias/x", Message: misplaced, SigningAlgorithm: misplaced })],
      [
        "ImportKeyMaterial",
        JSON.stringify({ KeyId: "alias/x", EncryptedKeyMaterial: misplaced, ImportToken: misplaced }),
      ],
      ["RetireGrant", JSON.stringify({ GrantToken: misplaced })],
    ] as const)
      for (const signer of [key, { ...key, secret: `${key.secret}x` }]) {
        const request = sign({ target, body, key: signer, region: "local", atMs: Date.now() });
        const text = await rawExchange(port, wire(request));
        assert.match(text, /^HTTP\/1\.1 400 /);
        answered.push(text);
      }
  }

  it("are in no file, no name of one, and nothing that the server prints, while it runs and after a kill", async () => {
    const search = new SecretSearch(secrets);
    search.folder(searched.path);
    await server.kill();
    search.folder(searched.path);
    search.text("standard output", server.output.stdout);
    search.text("standard error", server.output.stderr);
    assert.ok(search.bytesRead > 0);
    assert.deepEqual(search.sightings, []);
  });

  it("are in no refusal", () => {
    const search = new SecretSearch(secrets.filter(({ name }) => name !== "misplaced plaintext"));
    for (const text of answered) search.text("an answer", text);
    assert.deepEqual(search.sightings, []);
    const plaintexts = new SecretSearch(secrets);
    for (const text of answered) if (!/Invalid keyId|'signingAlgorithm'/.test(text)) plaintexts.text("an answer", text);
    assert.deepEqual(plaintexts.sightings, []);
  });
});
