import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type RunningServer, runStrongroom, startServer, TemporaryFolder } from "../running-server.ts";

describe("strongroom key create, of other specs than the symmetric ones", () => {
  let folder: TemporaryFolder;
  let server: RunningServer;
  let dataDir: string;
  const run = (...args: readonly string[]) => runStrongroom(["key", ...args, "--data", dataDir]);

  before(async () => {
    folder = new TemporaryFolder();
    dataDir = join(folder.path, "km");
    const unlockFile = folder.file("unlock", Buffer.from("a long passphrase for tests"));
    assert.equal((await runStrongroom(["init", "--data", dataDir, "--unlock-file", unlockFile])).code, 0);
    server = await startServer({ dataDir, unlockFile });
  });
  after(async () => {
    await server.stop();
    folder[Symbol.dispose]();
  });

  it("makes keys of the usage and spec asked for, in the spec's suite, and lists them", async () => {
    for (const [args, expected] of [
      [
        ["--spec", "ECC_SECG_P256K1", "--alias", "alias/sender"],
        ["intl", "sign"],
      ],
      [
        ["--spec", "SM2", "--usage", "sign"],
        ["sm", "sign"],
      ],
      [
        ["--spec", "RSA_4096", "--usage", "encrypt"],
        ["intl", "encrypt"],
      ],
      [
        ["--spec", "HMAC_SM3"],
        ["sm", "mac"],
      ],
      [
        ["--suite", "sm"],
        ["sm", "encrypt"],
      ],
    ] as const) {
      const created = await run("create", ...args, "--json");
      assert.equal(created.code, 0, created.stderr);
      const { suite, usage } = JSON.parse(created.stdout);
      assert.deepEqual([suite, usage], expected, args.join(" "));
    }
    const listed = await run("list");
    assert.match(listed.stdout, /intl +ECC_SECG_P256K1 +sign +enabled +1 +alias\/sender/);
    assert.match((await run("describe", "alias/sender")).stdout, /intl \(ECC_SECG_P256K1, sign, soft\)/);
  });

  it("refuses what does not go together, and to rotate such a key, with a message that says why", async () => {
    for (const [args, message] of [
      [
        ["create", "--spec", "ECC_NIST_P256", "--usage", "encrypt"],
        /spec ECC_NIST_P256 is for usage sign, not encrypt/,
      ],
      [["create", "--spec", "SM2", "--suite", "intl"], /spec SM2 is of suite sm, not intl/],
      [["create", "--usage", "mac"], /spec AES_256 is for usage encrypt, not mac/],
      [["create", "--spec", "DES"], /argument 'DES' is invalid/],
      [["rotate", "alias/sender"], /ECC_SECG_P256K1/],
    ] as const) {
      const refused = await run(...args);
      assert.equal(refused.code, 2, refused.stderr);
      assert.match(refused.stderr, message);
    }
  });
});
