/** The program with a PKCS#11 token of Debian's SoftHSM as its device. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { KeyManagerFolder, runStrongroom, startServer } from "../../running-server.ts";
import { noToken, SoftToken, softHsmLibrary } from "../pkcs11/soft-token.ts";

const context = { node: "n" } as const;

class Place implements Disposable {
  readonly token: SoftToken = new SoftToken();
  readonly manager: KeyManagerFolder;

  private constructor(manager: KeyManagerFolder) {
    this.manager = manager;
    writeFileSync(
      join(manager.dataDir, "devices.toml"),
      `[[device]]
name = "token"
kind = "pkcs11"
library = "${softHsmLibrary}"
token_label = "${this.token.label}"
pin_file = "token.pin"
sessions_max = 2
environment = { SOFTHSM2_CONF = "${this.token.environment.SOFTHSM2_CONF}" }
`,
      { mode: 0o600 },
    );
    writeFileSync(join(manager.dataDir, "token.pin"), this.token.pin, { mode: 0o600 });
  }

  static async make(): Promise<Place> {
    return new Place(await KeyManagerFolder.make());
  }

  async done(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runStrongroom([...args, ...this.manager.options]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  [Symbol.dispose](): void {
    this.token[Symbol.dispose]();
    this.manager[Symbol.dispose]();
  }
}

describe("a key manager with a PKCS#11 token", { skip: noToken }, () => {
  it("is opened by the token, makes keys in it, rotates them, and finds them again after a restart", async () => {
    using place = await Place.make();
    const { dataDir } = place.manager;
    await place.done("key", "slot", "add", "--device", "token");
    await place.done("device", "trust");
    const byToken = ["--unlock-device", "token"];
    let wrapped: Buffer;
    let keyId: string;
    {
      await using server = await startServer({ dataDir }, byToken);
      const key = await server.admin.keys.create({ device: { name: "token" } });
      assert.deepEqual([key.origin, key.device, key.suite, key.spec], ["pkcs11", "token", "intl", "AES_256"]);
      keyId = key.keyId;
      wrapped = await wrapAsNode(server, keyId, "node-1");
      assert.equal((await server.admin.keys.rotate(keyId)).currentVersion, 2);
      const pair = { device: { name: "token" }, spec: "ECC_NIST_P256", usage: "sign" } as const;
      assert.equal((await server.admin.keys.create(pair)).origin, "pkcs11");
      assert.equal((await server.stop()).code, 0);
    }
    await using server = await startServer({ dataDir }, byToken);
    using opened = await openAsNode(server, keyId, "node-2", wrapped);
    assert.equal(opened.byteLength, 32);
    await server.stop();
    for (const name of readdirSync(dataDir).filter((each) => each !== "token.pin"))
      assert.ok(!readFileSync(join(dataDir, name)).includes(place.token.pin), `the PIN is in ${name}`);
  });

  it("is refused suite sm, and a key that the token has not", async () => {
    using place = await Place.make();
    await place.done("device", "trust");
    for (const args of [
      ["--suite", "sm"],
      ["--key-id", "no-such-label"],
      ["--key-index", "1"],
      ["--spec", "SM2", "--usage", "sign"],
    ]) {
      const made = await runStrongroom(["key", "create", "--device", "token", ...args, ...place.manager.options]);
      assert.notEqual(made.code, 0, args.join(" "));
    }
  });

  it("is proven, and left as it was", async () => {
    using place = await Place.make();
    const at = ["--devices", join(place.manager.dataDir, "devices.toml")];
    const generated = await runStrongroom(["device", "keys", "generate", "token", "--label", "node-key", ...at]);
    assert.equal(generated.code, 0, generated.stderr);
    assert.match(generated.stdout, /^-----BEGIN PUBLIC KEY-----/);
    const twice = await runStrongroom(["device", "keys", "generate", "token", "--label", "node-key", ...at]);
    assert.equal(twice.code, 1, twice.stderr);
    const exported = await runStrongroom(["device", "keys", "export-public", "token", "--key-id", "node-key", ...at]);
    assert.equal(exported.stdout, generated.stdout);
    const before = await runStrongroom(["device", "keys", "list", "token", "--json", ...at]);
    const tested = await runStrongroom(["device", "test", "token", "--json", ...at]);
    const report = JSON.parse(tested.stdout);
    assert.deepEqual([tested.code, report.failed], [0, 0], tested.stdout);
    const after = await runStrongroom(["device", "keys", "list", "token", "--json", ...at]);
    assert.equal(after.stdout, before.stdout);
  });
});

type Server = Awaited<ReturnType<typeof startServer>>;

async function clientFor(server: Server, keyId: string, name: string) {
  const enrolment = await server.enrol(name, keyId);
  using _key = enrolment.privateKeyPem;
  const grantee = (await server.admin.nodes.list()).find((each) => each.name === name)?.arn ?? "";
  await server.admin.grants.create(keyId, { grantee, operations: ["GenerateDataKeyWithoutPlaintext", "Decrypt"] });
  return server.clientOf(enrolment);
}

async function wrapAsNode(server: Server, keyId: string, name: string): Promise<Buffer> {
  using client = await clientFor(server, keyId, name);
  return (await client.generateDataKey({ key: keyId, context })).wrapped;
}

async function openAsNode(server: Server, keyId: string, name: string, wrapped: Buffer) {
  using client = await clientFor(server, keyId, name);
  return (await client.unwrap({ wrapped, context })).plaintext;
}
