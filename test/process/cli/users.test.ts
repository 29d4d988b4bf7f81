import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assertOneClearLine } from "../faults/one-clear-line.ts";
import { KeyManagerFolder, runStrongroom, startServer } from "../running-server.ts";
import { SecretSearch } from "../secrets/planted-secrets.ts";

const power = "AWSKeyManagementServicePowerUser";

interface Told {
  readonly accessKeyId: string;
  readonly secretAccessKey?: string;
}

describe("strongroom user and group", () => {
  for (const served of [false, true])
    it(`make a restricted user ${served ? "while the server runs" : "without a server"}, and tell its secret once`, async () => {
      using manager = await KeyManagerFolder.make();
      await using server = served ? await startServer(manager) : undefined;
      const place = served ? ["--data", manager.dataDir] : manager.options;
      const run = (...args: string[]) => runStrongroom([...args, ...place]);
      const json = async (...args: string[]) => {
        const { code, stdout, stderr } = await run(...args, "--json");
        assert.equal(code, 0, stderr);
        return { value: JSON.parse(stdout) as Told & Record<string, unknown>, stderr };
      };
      const group = await json("group", "create", "KMS-Users", "--policy", power);
      assert.deepEqual(group.value.policies, [power]);
      const { value: made, stderr } = await json("user", "create", "KMS-User1", "--group", "KMS-Users");
      assert.match(made.accessKeyId, /^AKIA[A-Z2-7]{16}$/);
      assert.match(made.secretAccessKey ?? "", /^[A-Za-z0-9+/]{40}$/);
      assert.deepEqual([made.role, made.groups], ["none", ["KMS-Users"]]);
      assert.match(stderr, /^strongroom: warning: .* shown this once/m);
      const { value: rotated } = await json("user", "rotate", "KMS-User1");
      assert.equal(rotated.accessKeyId, made.accessKeyId);
      assert.notEqual(rotated.secretAccessKey, made.secretAccessKey);
      const { value: boss } = await json("user", "create", "boss", "--role", "admin");
      assert.equal(boss.role, "administrator");
      const shown = await run("user", "show", "KMS-User1", "--json");
      const listed = await run("user", "list");
      const records = await run("audit", "export");

      const search = new SecretSearch(
        [made, rotated, boss].map(({ secretAccessKey = "" }, index) => ({
          name: `secret ${index}`,
          bytes: Buffer.from(secretAccessKey),
        })),
      );
      search.folder(manager.dataDir);
      for (const { stdout, stderr } of [shown, listed, records]) search.text("a later command", stdout + stderr);
      search.text("the server's output", (server?.output.stdout ?? "") + (server?.output.stderr ?? ""));
      assert.deepEqual(search.sightings, []);
      assert.ok(search.bytesRead > 10_000);
    });

  it("disable, enable and delete users and access keys, and put secrets into files of their owner's alone", async () => {
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const run = (...args: string[]) => runStrongroom([...args, "--data", manager.dataDir]);
    const done = async (...args: string[]) => {
      const outcome = await run(...args);
      assert.equal(outcome.code, 0, outcome.stderr);
      return outcome;
    };
    await done("user", "create", "ann", "--no-access-key", "--role", "key-user");
    assert.deepEqual((await server.admin.users.describe("ann")).accessKeys, []);
    const out = join(manager.folder, "credentials");
    const secretFile = join(manager.folder, "secret");
    const files = ["--out", out, "--secret-file", secretFile];
    const made = await done("user", "access-key", "create", "ann", ...files);
    const [, id = "", secret = ""] =
      /^\[default\]\naws_access_key_id = (AKIA[A-Z2-7]{16})\naws_secret_access_key = ([A-Za-z0-9+/]{40})\n$/.exec(
        readFileSync(out, "utf8"),
      ) ?? [];
    assert.equal(readFileSync(secretFile, "utf8"), `${secret}\n`);
    assert.ok(secret !== "" && !(made.stdout + made.stderr).includes(secret));
    for (const file of [out, secretFile]) assert.equal(statSync(file).mode & 0o777, 0o600);
    assertOneClearLine(await run("user", "access-key", "create", "ann", "--out", out), 2, /exists already/);

    await done("user", "access-key", "disable", id);
    assert.equal((await server.admin.users.describe("ann")).accessKeys[0]?.state, "disabled");
    await done("user", "access-key", "enable", id);
    await done("user", "disable", "ann");
    assert.equal((await server.admin.users.describe("ann")).state, "revoked");
    await done("user", "enable", "ann");
    await done("user", "access-key", "create", "ann");
    assertOneClearLine(await run("user", "access-key", "create", "ann"), 1, /2 access keys/);
    assertOneClearLine(await run("user", "rotate", "ann"), 2, /two access keys, AKIA.* and AKIA/);
    await done("user", "access-key", "delete", id);
    await done("user", "delete", "ann");
    assertOneClearLine(await run("user", "show", "ann"), 1, /no principal "ann"/);
  });

  it("answer a mistake with one clear line", async () => {
    using manager = await KeyManagerFolder.make();
    await using _server = await startServer(manager);
    const run = (...args: string[]) => runStrongroom([...args, "--data", manager.dataDir]);
    await run("group", "create", "KMS-Users");
    await run("user", "create", "taken", "--group", "KMS-Users");
    const mistakes: readonly (readonly [string, number, RegExp])[] = [
      ["user create taken", 1, /a principal taken already/],
      ["user create x --group nobodys", 1, /no group "nobodys"/],
      ["user create a/b", 2, /a\/b/],
      [`user create x --out ${manager.folder}/none/file`, 2, /\/none does not exist/],
      ["group create KMS-Users", 1, /a group KMS-Users already/],
      [`group create x --policy AdministratorAccess`, 2, /no managed policy "AdministratorAccess"; there is AWSKey/],
      ["group set-policy nobodys", 1, /no group "nobodys"/],
      ["group delete KMS-Users", 1, /has members, such as taken/],
      ["user rotate nobody", 1, /no principal "nobody"/],
      ["user disable local-administrator", 2, /folder's permissions/],
      ["user access-key delete AKIAAAAAAAAAAAAAAAAA", 1, /no access key "AKIAAAAAAAAAAAAAAAAA"/],
    ];
    for (const [line, code, message] of mistakes) assertOneClearLine(await run(...line.split(" ")), code, message);
    for (const line of ["user create x --role root", "user create", "group create"])
      assert.equal((await run(...line.split(" "))).code, 2, line);
  });
});
