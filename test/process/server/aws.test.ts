import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { GenerateDataKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { KeyManagerFolder, runStrongroom, startServer } from "../running-server.ts";

describe("strongroom serve --aws", () => {
  let manager: KeyManagerFolder;
  before(async () => {
    manager = await KeyManagerFolder.make();
  });
  after(() => manager[Symbol.dispose]());

  it("serves a user that the command line makes, up to the rate that is set", async () => {
    await using server = await startServer(manager, ["--aws", "127.0.0.1:0", "--aws-rate", "1:3"]);
    const { aws } = server.addresses as unknown as { readonly aws: string };
    assert.match(server.output.stderr, new RegExp(`^strongroom: aws: https://${aws}$`, "m"));
    const { keyId } = await server.admin.keys.create({ alias: "alias/nodes" });
    const made = await runStrongroom([
      "user",
      "create",
      "app",
      "--role",
      "key-user",
      "--json",
      "--data",
      manager.dataDir,
    ]);
    assert.equal(made.code, 0, made.stderr);
    const credentials = JSON.parse(made.stdout) as { readonly accessKeyId: string; readonly secretAccessKey: string };
    const kms = new KMSClient({ endpoint: `http://${aws}`, region: "local", credentials, maxAttempts: 1 });
    const outcomes: string[] = [];
    for (let index = 0; index < 20 && outcomes.at(-1) !== "ThrottlingException"; index++)
      outcomes.push(
        await kms.send(new GenerateDataKeyCommand({ KeyId: "alias/nodes", KeySpec: "AES_256" })).then(
          ({ KeyId }) => (KeyId?.endsWith(keyId) ? "done" : "another key"),
          (error: Error) => error.name,
        ),
      );
    kms.destroy();
    assert.deepEqual(new Set(outcomes), new Set(["done", "ThrottlingException"]));
    assert.deepEqual(outcomes.slice(0, 3), ["done", "done", "done"]);
  });

  const wrong: readonly (readonly string[])[] = [
    ["--aws", "9000"],
    ["--aws", "127.0.0.1:70000"],
    ["--aws-rate", "10"],
    ["--aws", "127.0.0.1:0", "--aws-rate", "0"],
    ["--aws", "127.0.0.1:0", "--aws-rate", "10:"],
    ["--aws", "127.0.0.1:0", "--aws-rate", "1e3"],
  ];
  for (const args of wrong)
    it(`refuses ${args.join(" ")} as wrong usage`, async () => {
      const { code, stderr } = await runStrongroom(["serve", ...manager.options, ...args]);
      assert.equal(code, 2);
      assert.match(stderr, /^strongroom: error: .*--aws/m);
    });
});
