import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";
import { command, KeyManagerProcess, succeed } from "../node/key-manager-process.ts";
import { snapshot } from "../running-server.ts";

const starts = 5;
const nodekey = `${"0".repeat(62)}2a\n`;

/** A node of its own key, whose program prints its node key. */
interface LaunchableNode {
  readonly name: string;
  readonly alias: string;
  readonly folder: NodeFolder;
}

interface Record {
  readonly requestId: string;
  readonly action: string;
  readonly error: string | null;
  readonly detail: { readonly deniedBy?: string; readonly statement?: string };
}

interface Way {
  readonly name: string;
  readonly cutOff: (node: LaunchableNode) => Promise<unknown>;
  readonly restore: (node: LaunchableNode) => Promise<unknown>;
  /** What the record of the refused request says to the administrator. */
  readonly onRecord: string;
}

describe("a node that was cut off", () => {
  let keyManager: KeyManagerProcess;
  const folders: NodeFolder[] = [];
  /** What each refused launch told, with the ids taken out. */
  const told = new Set<string>();
  before(async () => {
    keyManager = await KeyManagerProcess.started();
  });
  after(async () => {
    await keyManager[Symbol.asyncDispose]();
    for (const folder of folders) folder[Symbol.dispose]();
  });

  const manage = (...args: readonly string[]) => succeed(...args, "--data", keyManager.data);
  const list = async (...args: readonly string[]) => JSON.parse(await manage(...args, "--json"));

  async function enroll({ name, folder, alias }: LaunchableNode) {
    const token = folder.at(`token-${performance.now()}`);
    await manage("node", "token", name, "--key", alias, "--out", token);
    await succeed("node", "enroll", folder.at("node"), "--token-file", token);
    rmSync(token);
  }

  async function node(name: string): Promise<LaunchableNode> {
    const folder = new NodeFolder();
    folders.push(folder);
    const made = { name, alias: `alias/${name}`, folder };
    await manage("key", "create", "--alias", made.alias);
    const common = ["--kind", "geth", "--network", "net-1", "--server", keyManager.url, "--key", made.alias];
    const argv = ["/bin/sh", "-c", 'cat "$1"', "sh", "{key:nodekey}"];
    await succeed("node", "init", name, ...common, "--dir", folder.at("node"), "--", ...argv);
    await enroll(made);
    await succeed("node", "seal", folder.at("node"), folder.write("nodekey", nodekey));
    assert.equal(await launch(made).then(({ stdout }) => stdout), nodekey);
    return made;
  }

  const launch = ({ folder }: LaunchableNode) => command("node", "launch", folder.at("node"), "--allow-unsafe");

  const grantsOn = async (alias: string): Promise<{ id: string; grantee: string }[]> => list("grant", "list", alias);
  const granted = "Decrypt,DescribeKey,GenerateDataKey";
  let grantee = "";
  const disable = { cutOff: "disable", restore: "enable" } as const;
  const enableAndEnroll = async (subject: LaunchableNode) => {
    await manage("principal", disable.restore, subject.name);
    await enroll(subject);
  };

  const ways: readonly Way[] = [
    {
      name: "its key disabled",
      cutOff: ({ alias }) => manage("key", disable.cutOff, alias),
      restore: ({ alias }) => manage("key", disable.restore, alias),
      onRecord: "kms:Decrypt KEY_DISABLED",
    },
    {
      name: "its key's policy changed",
      async cutOff({ alias, folder }) {
        const text = await manage("policy", "show", alias);
        folder.write("policy-before.json", text);
        const policy = JSON.parse(text);
        const deny = { Sid: "CutOff", Effect: "Deny", Principal: "*", Action: "kms:Decrypt", Resource: "*" };
        const denied = JSON.stringify({ ...policy, Statement: [policy.Statement, deny].flat() });
        await manage("policy", "set", alias, folder.write("policy.json", denied));
      },
      restore: ({ alias, folder }) => manage("policy", "set", alias, folder.at("policy-before.json")),
      onRecord: "kms:Decrypt ACCESS_DENIED explicit-deny CutOff",
    },
    {
      name: "its grant revoked",
      async cutOff({ alias }) {
        const [grant] = await grantsOn(alias);
        assert.ok(grant);
        grantee = grant.grantee;
        await manage("grant", "revoke", alias, grant.id);
      },
      restore: ({ alias, name }) =>
        manage(
          "grant",
          "create",
          alias,
          "--grantee",
          grantee,
          "--operations",
          granted,
          "--context-subset",
          `node=${name}`,
        ),
      onRecord: "kms:Decrypt ACCESS_DENIED nothing-allows",
    },
    {
      name: "its principal disabled",
      cutOff: ({ name }) => manage("principal", disable.cutOff, name),
      restore: enableAndEnroll,
      onRecord: "strongroom:Authenticate ACCESS_DENIED principal-disabled",
    },
    {
      name: "its certificate revoked",
      cutOff: ({ name }) => manage("node", "revoke", name),
      restore: enableAndEnroll,
      onRecord: "strongroom:Authenticate ACCESS_DENIED certificate-revoked",
    },
  ];

  for (const [index, { name, cutOff, restore, onRecord }] of ways.entries())
    it(`(${name}) is refused at each of ${starts} starts, is not told why, and starts again once it is let in`, async () => {
      const subject = await node(`node-${index}`);
      const sealed = () => snapshot(join(subject.folder.path, "node"));
      const before = sealed();
      await cutOff(subject);
      const requests: string[] = [];
      for (let start = 0; start < starts; start++) {
        const { code, stdout, stderr } = await launch(subject);
        assert.deepEqual([code, stdout], [3, ""], stderr);
        const request = /\(request ([0-9a-f-]{36})\)/.exec(stderr)?.[1] ?? "";
        requests.push(request);
        told.add(stderr.replaceAll(request, "ID").replaceAll(subject.name, "NODE"));
      }
      assert.deepEqual(sealed(), before);
      const { records }: { records: Record[] } = await list("audit", "search", "--node", subject.name, "--denied");
      const record = records.find(({ requestId }) => requestId === requests[0]);
      assert.ok(record);
      const { deniedBy, statement } = record.detail;
      assert.equal([record.action, record.error, deniedBy, statement].filter(Boolean).join(" "), onRecord);
      await restore(subject);
      const { code, stdout, stderr } = await launch(subject);
      assert.deepEqual([code, stdout], [0, nodekey], stderr);
    });

  it("is told the same whichever way it was", () => {
    assert.equal(told.size, 1, [...told].join("\n"));
    assert.match([...told].join(), /^strongroom: error: access refused [a-z ]*NODE \(request ID\)$/m);
    assert.doesNotMatch([...told].join(), /disabled|policy|grant|principal|certificate|revoked/i);
  });
});
