import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Command } from "commander";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { identityFiles } from "../../../src/node/key-manager.ts";
import {
  KeyManagerFolder,
  type Outcome,
  type RunningServer,
  runStrongroom,
  startServer,
  TemporaryFolder,
} from "../running-server.ts";
import { assertNoStack, assertOneClearLine } from "./one-clear-line.ts";

const groups = [
  "init",
  "serve",
  "key",
  "policy",
  "grant",
  "principal",
  "user",
  "group",
  "audit",
  "node",
  "volume",
  "legacy",
  "doctor",
];

/** Every command under one, itself included. */
function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap((sub) => withSubcommands(sub as Command))];
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function helpOf(command: Command): string {
  let help = "";
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help;
}

describe("strongroom --help", () => {
  it("shows the purpose, every group, the exit codes and an example", async () => {
    const { code, stdout, stderr } = await runStrongroom(["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const group of groups) assert.match(stdout, new RegExp(`^ {2}${group} +\\S`, "m"));
    assert.match(
      stdout,
      /0 done {3}1 other failure {3}2 usage {3}3 refused {3}4 key manager unreachable {3}5 integrity/,
    );
    assert.match(stdout, /^Example:\n {2}strongroom /m);
  });

  for (const group of groups)
    it(`of ${group} shows its purpose, its options and an example`, async () => {
      const { code, stdout, stderr } = await runStrongroom([group, "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, new RegExp(`^Usage: strongroom ${group} `));
      assert.match(stdout, /\n\n\w.*[.:]\n/);
      assert.match(stdout, /^Options:\n/m);
      assert.match(stdout, /^Examples?:\n {2}\S/m);
    });

  for (const group of groups)
    it(`tells of each command under ${group} what it is for, and of each option and argument what it means`, async () => {
      const { command } = (await import(`../../../src/cli/${group}.ts`)) as { command: () => Command };
      for (const each of withSubcommands(command())) {
        const name = nameOf(each);
        assert.match(helpOf(each), new RegExp(`^Usage: ${name}`), name);
        assert.ok(each.description().length > 8, `${name} has no purpose`);
        for (const { flags, description } of each.options)
          assert.ok(description !== "", `${name} ${flags} says nothing`);
        for (const argument of each.registeredArguments)
          assert.ok(argument.description !== "", `${name} <${argument.name()}> says nothing`);
      }
    });
});

describe("a command that is written wrongly", () => {
  const place = ["--data", "/nowhere", "--unlock-file", "/nowhere/unlock"];
  const mistakes: readonly [readonly string[], RegExp][] = [
    [["unlock"], /unknown command 'unlock'/],
    [["key", "forge", ...place], /unknown command 'forge'/],
    [["key", "list", "--all", ...place], /unknown option '--all'/],
    [["key", "list", "extra", ...place], /too many arguments/],
    [["key", "describe", ...place], /missing required argument 'key'/],
    [["key", "list"], /no key manager was named/],
    [["key", "list", "--data"], /argument missing/],
    [["key", "create", "--suite", "des", ...place], /argument 'des' is invalid\. Allowed choices are intl, sm/],
    [["key", "schedule-deletion", "x", "--days", "soon", ...place], /a whole number of days/],
    [["key", "slot", "remove", "first", ...place], /a slot number/],
    [["audit", "tail", "--lines", "-1", ...place], /a whole number/],
    [["audit", "export", "--format", "xml", ...place], /Allowed choices are jsonl, csv/],
    [["audit", "verify", "--checkpoint", "/nowhere/checkpoint", ...place], /there is no data folder/],
    [["init", "--unlock-file", "x"], /required option '--data <dir>' not specified/],
    [["init", "--region", "Nowhere!", ...place], /--region takes/],
    [["serve", "--native", "8443", ...place], /--native takes HOST:PORT, got "8443"/],
    [["serve", "--native", "127.0.0.1:70000", ...place], /--native takes HOST:PORT/],
    [["serve", "--native", ":8443", ...place], /--native takes HOST:PORT/],
    [["serve", "--fisco", "127.0.0.1:0", ...place], /go together/],
    [["serve", "--name", "no spaces", ...place], /--name takes a host name/],
    [["key", "list", "--server", "https://127.0.0.1:1"], /--server needs --identity/],
    [["key", "list", "--server", "https://127.0.0.1:1", "--identity", "/nowhere"], /cannot be read: ENOENT/],
  ];
  for (const [args, message] of mistakes)
    it(`ends with 2 and one clear line: strongroom ${args.filter((arg) => !place.includes(arg)).join(" ")}`, async () => {
      const outcome = await runStrongroom(args);
      const code = args.includes("/nowhere/checkpoint") ? [1, 2] : [2];
      assert.ok(outcome.code !== null && code.includes(outcome.code), outcome.stderr);
      assertOneClearLine(outcome, outcome.code, message);
    });

  for (const args of [[], ["key"], ["audit"], ["key", "slot"]])
    it(`for want of a command ends with 2 and the help: strongroom ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await runStrongroom(args);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, new RegExp(`^Usage: ${["strongroom", ...args].join(" ")} `));
    });
});

describe("a command on a running key manager", () => {
  let manager: KeyManagerFolder;
  let server: RunningServer;
  let node: Enrolment;
  before(async () => {
    manager = await KeyManagerFolder.make();
    server = await startServer(manager);
    const { keyId } = await server.admin.keys.create({ alias: "alias/nodes" });
    node = await server.enrol("node0", keyId);
    node.privateKeyPem.expose((pem) =>
      writeFileSync(join(manager.folder, identityFiles.privateKey), pem, { mode: 0o600 }),
    );
    writeFileSync(join(manager.folder, identityFiles.certificate), node.certificatePem);
    writeFileSync(join(manager.folder, identityFiles.ca), node.caPem);
  });
  after(async () => {
    await server.kill();
    manager[Symbol.dispose]();
  });

  const on = (...args: readonly string[]): Promise<Outcome> => runStrongroom([...args, "--data", manager.dataDir]);
  const asNode = (url: string, identity = manager.folder): Promise<Outcome> =>
    runStrongroom(["key", "list", "--server", url, "--identity", identity]);

  const dataCommands: readonly (readonly string[])[] = [
    ["key", "create"],
    ["key", "list"],
    ["key", "describe", "alias/nodes"],
    ["key", "rotate", "alias/nodes"],
    ["key", "alias", "list"],
    ["key", "slot", "list"],
    ["policy", "show", "alias/nodes"],
    ["grant", "list", "alias/nodes"],
    ["principal", "list"],
    ["principal", "create", "alice", "--role", "auditor"],
    ["audit", "tail"],
    ["audit", "tail", "--lines", "1"],
    ["audit", "verify"],
    ["legacy", "list"],
    ["doctor"],
  ];
  for (const args of dataCommands)
    it(`prints one JSON value with --json, nothing beside it: strongroom ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await on(...args, "--json");
      assert.equal(typeof JSON.parse(stdout), "object");
      assert.match(stdout, /\n$/);
      assertNoStack(stderr);
      if (args[0] !== "doctor") assert.deepEqual([code, stderr], [0, ""]);
    });

  it("audit checkpoint prints one JSON value without being asked to", async () => {
    const { code, stdout, stderr } = await on("audit", "checkpoint");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(typeof JSON.parse(stdout).signature, "string");
  });

  it("audit tail prints as many records as it is told to, the newest last, over any number of pages", async () => {
    const count = 1100;
    for (let asked = 0; asked < count; asked += 50)
      await Promise.all(Array.from({ length: 50 }, () => server.admin.keys.describe("alias/nodes")));
    const { stdout } = await on("audit", "tail", "--json", "--lines", String(count));
    const sequences = (JSON.parse(stdout) as { sequence: number }[]).map(({ sequence }) => sequence);
    const first = sequences[0] ?? 0;
    assert.deepEqual(
      sequences,
      Array.from({ length: count }, (_none, index) => first + index),
    );
    const lines = (await on("audit", "tail", "--lines", "3")).stdout;
    assert.match(lines, /^(\d+ .*\n){3}$/);
  });

  const refusals: readonly [readonly string[], number, RegExp][] = [
    [["key", "describe", "alias/none"], 1, /alias\/none/],
    [["key", "destroy", "alias/nodes"], 1, /enabled|state|waiting/],
    [["key", "create", "--alias", "nodes"], 2, /alias/],
    [["key", "schedule-deletion", "alias/nodes", "--days", "3"], 2, /7/],
    [["key", "alias", "create", "alias/nodes", "alias/nodes"], 1, /alias\/nodes/],
    [["principal", "create", "node0", "--role", "auditor"], 1, /node0/],
    [["grant", "revoke", "alias/nodes", "none"], 1, /grant/],
  ];
  for (const [args, code, message] of refusals)
    it(`that can't be carried out ends with ${code} and one clear line: strongroom ${args.join(" ")}`, async () =>
      assertOneClearLine(await on(...args), code, message));

  it("that its caller may not give ends with 3", async () => {
    assertOneClearLine(await asNode(server.url), 3, /may not/);
  });

  it("that reaches nobody ends with 4", async () => {
    assertOneClearLine(await asNode("https://127.0.0.1:1"), 4, /ECONNREFUSED/);
  });

  it("that reaches a key manager other than the pinned one ends with 5", async () => {
    using own = await KeyManagerFolder.make();
    await using other = await startServer(own);
    assertOneClearLine(await asNode(other.url), 5, /127\.0\.0\.1/);
  });

  it("that comes with another key manager's certificate ends with 3", async () => {
    using own = await KeyManagerFolder.make();
    await using other = await startServer(own);
    using folder = new TemporaryFolder();
    for (const name of Object.values(identityFiles)) copyFileSync(join(manager.folder, name), join(folder.path, name));
    const stranger = await other.enrol("stranger");
    writeFileSync(join(folder.path, identityFiles.ca), stranger.caPem);
    assertOneClearLine(await asNode(other.url, folder.path), 3, /certificate/);
  });
});
