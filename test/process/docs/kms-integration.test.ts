import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { reservePort } from "../../reserved-ports.ts";
import { TemporaryFolder } from "../running-server.ts";
import { patternOf, readPage, runSession, stepsOf } from "./written-session.ts";

describe("docs/kms-integration.md", () => {
  it("holds commands that do what it says, as they are written", { timeout: 180_000 }, async () => {
    using folder = new TemporaryFolder();
    const steps = stepsOf(readPage("kms-integration.md"));
    const { exitCode, printed, stderr } = await runSession(steps, folder.path, {
      KM: `127.0.0.1:${await reservePort()}`,
    });
    for (const [index, step] of steps.entries()) {
      const { heading } = step;
      assert.ok(printed[index] !== undefined, `${heading} is reached\n${stderr}`);
      if (step.printed !== undefined)
        assert.match(printed[index], patternOf(step.printed), `${heading}\n${printed[index]}`);
    }
    assert.equal(exitCode, 0, stderr);
    assert.ok(!readdirSync(folder.path).includes("node-1"), "the node is destroyed");
    const refusals = stderr.match(/access refused to the data key of node-1/g) ?? [];
    assert.equal(refusals.length, 3, stderr);
  });

  it("covers the whole way of a node: key, user, settings, start, record, revocation, restoration, end", () => {
    const all = stepsOf(readPage("kms-integration.md"))
      .map(({ commands }) => commands)
      .join("\n");
    const inOrder = [
      "serve .* --aws",
      "group create KMS-Users --policy AWSKeyManagementServicePowerUser",
      "group list",
      "user create KMS-User1 --group KMS-Users",
      "user access-key create",
      "key create --alias alias/kaleido",
      "policy set",
      "integration create",
      "node create",
      "node launch",
      "audit search",
      "key disable",
      "node launch",
      "audit search .*--denied",
      "key enable",
      "node launch",
      "node destroy",
    ];
    assert.match(all, new RegExp(inOrder.map((each) => `strongroom ${each}`).join("[\\s\\S]*")));
  });
});

describe("a session on a page", () => {
  it("is its sh blocks with the text blocks behind them", () => {
    const page = "# One\n```sh\na\nb\n```\n\n```text\nc\n```\ntext\n## Two\n```console\nnot run\n```\n```sh\nd\n```\n";
    assert.deepEqual(stepsOf(page), [
      { heading: "One", commands: "a\nb\n", printed: "c\n" },
      { heading: "Two", commands: "d\n", printed: undefined },
    ]);
  });

  it("takes … for any text of a line or any lines, and nothing else for anything", () => {
    const shown = patternOf("a … b.\n…\nend\n");
    for (const text of ["a x b.\nend\n", "a   x y  b.\nmore\nand more\nend\n"]) assert.match(text, shown);
    for (const text of ["a x b!\nend\n", "a x\nb.\nend\n", "a x b.\nend\nmore\n", "a x b.\n", ""])
      assert.doesNotMatch(text, shown);
  });

  it("ends at the first command that fails, and leaves nothing running", async () => {
    using folder = new TemporaryFolder();
    const steps = stepsOf("```sh\nsleep 1000 & echo $!\n```\n```sh\nfalse\n```\n```sh\necho not reached\n```\n");
    const { exitCode, printed } = await runSession(steps, folder.path, {});
    assert.notEqual(exitCode, 0);
    assert.equal(printed.length, 2);
    // A process that has ended has no command line, also while nobody has asked for its exit code.
    const commandLine = `/proc/${Number(printed[0])}/cmdline`;
    assert.equal(existsSync(commandLine) ? readFileSync(commandLine, "utf8") : "", "");
  });
});
