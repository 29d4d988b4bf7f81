import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertOneClearLine } from "../faults/one-clear-line.ts";
import { KeyManagerFolder, runStrongroom, startServer } from "../running-server.ts";

describe("strongroom key tag, key rotation and grant retire", () => {
  it("change and show a key through a running server, in words and in JSON", async () => {
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const run = (...args: string[]) => runStrongroom([...args, "--data", manager.dataDir]);
    const done = async (...args: string[]) => {
      const outcome = await run(...args);
      assert.equal(outcome.code, 0, outcome.stderr);
      return outcome.stdout;
    };
    const json = async (...args: string[]) => JSON.parse(await done(...args, "--json"));
    const { keyId } = await json("key", "create", "--alias", "alias/nodes");

    assert.equal(await done("key", "tag", "add", "alias/nodes", "network=one", "note=a=b", "empty="), "");
    assert.deepEqual(await json("key", "tag", "list", keyId), { network: "one", note: "a=b", empty: "" });
    assert.match(await done("key", "tag", "list", keyId), /^NAME +VALUE\n/);
    await done("key", "tag", "remove", keyId, "note", "empty");
    assert.deepEqual(await json("key", "tag", "list", keyId), { network: "one" });
    assertOneClearLine(await run("key", "tag", "add", keyId, "nothing"), 2, /NAME=VALUE/);
    assertOneClearLine(await run("key", "tag", "add", keyId, "a=1", "a=2"), 2, /given twice/);
    assertOneClearLine(await run("key", "tag", "add", keyId, "aws:a=1"), 2, /aws:/);
    assertOneClearLine(await run("key", "tag", "list", "alias/none"), 1, /alias\/none/);

    assert.equal((await json("key", "rotation", "status", keyId)).enabled, false);
    const on = await json("key", "rotation", "enable", keyId, "--period-days", "90");
    assert.deepEqual([on.enabled, on.periodDays], [true, 90]);
    assert.match(await done("key", "rotation", "status", "alias/nodes"), /^every 90 days, next at 20/);
    assert.equal((await json("key", "rotation", "list", keyId)).length, 1);
    assert.match(await done("key", "rotation", "list", keyId), /^VERSION +AT +KIND +MATERIAL ID\n1 +20.* created /);
    assert.equal(await done("key", "rotation", "disable", keyId), "off\n");
    const tooOften = await run("key", "rotation", "enable", keyId, "--period-days", "89");
    assert.equal(tooOften.code, 2, tooOften.stderr);
    const noDays = await run("key", "rotation", "enable", keyId, "--period-days", "often");
    assert.equal(noDays.code, 2, noDays.stderr);

    const { principal } = await server.admin.whoami();
    const grant = ["grant", "create", keyId, "--grantee", principal, "--operations", "Decrypt"];
    const { id } = await json(...grant, "--retiring", principal);
    await done("grant", "retire", id, "--key", "alias/nodes");
    assert.deepEqual(await json("grant", "list", keyId), []);
    const { id: kept } = await json(...grant);
    const refused = await run("grant", "retire", kept);
    assert.equal(refused.code, 3, refused.stderr);
    assert.equal((await json("grant", "list", keyId)).length, 1);
  });

  it("explain themselves with an example", async () => {
    for (const command of [
      ["key", "tag"],
      ["key", "rotation"],
      ["grant", "retire"],
    ]) {
      const { code, stdout } = await runStrongroom([...command, "--help"]);
      assert.equal(code, 0);
      if (command[0] === "key") assert.match(stdout, /Example:\n {2}strongroom key /);
      else assert.match((await runStrongroom(["grant", "--help"])).stdout, /strongroom grant retire /);
    }
  });
});
