import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { KeyManagerClient } from "../../../src/client/client.ts";
import { ClientError } from "../../../src/client/errors.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { json, KmsStub } from "../devices/aws-kms/kms-stub.ts";
import { type RunningKeyManager, startKeyManager } from "./running-key-manager.ts";

const columns = {
  R: "the folder's local administrator",
  A: "an administrator",
  K: "a key user",
  U: "an auditor",
  O: "an operator",
  P: "a member of KMS-Users (AWSKeyManagementServicePowerUser)",
  "-": "a user without role and groups",
  N: "a user whom the key policy names for kms:Encrypt",
  D: "a key user who is disabled",
  M: "a node that is enrolled for the key",
} as const;
type Column = keyof typeof columns;

/** Made anew for each request that may change it. */
interface Scene {
  readonly key: string;
  readonly alias: string;
  readonly grant: string;
  readonly wrapped: Buffer;
  /** A name that nobody has. */
  readonly name: string;
  /** Of a user without rights, with an access key. */
  readonly user: string;
  readonly accessKey: string;
  /** That no key uses. */
  readonly integration: string;
  /** A counter of node-1. */
  readonly counter: string;
  /** Told of by node-1. */
  readonly enclave: string;
}

type Row = readonly [operation: string, allowed: string, ask: (client: KeyManagerClient, scene: Scene) => unknown];

const ofNode = { node: "node-1" };
const grantee = (user: string, account: string) => `arn:aws:iam::${account}:user/${user}`;
let account = "";

/** Who may do what, as the table of roles says it (docs/policies.md). */
const rows: readonly Row[] = [
  ["generateDataKey", "K", (client, { key }) => client.generateDataKey({ key, context: {} })],
  [
    "generateDataKey under the node's name",
    "KM",
    (client, { key }) => client.generateDataKey({ key, context: ofNode }),
  ],
  ["wrap", "KN", (client, { key }) => wrap(client, key)],
  ["unwrap", "KM", (client, { wrapped }) => client.unwrap({ wrapped, context: ofNode })],
  ["rewrap", "KM", (client, { wrapped }) => client.rewrap({ wrapped, context: ofNode })],
  ["rewrap to no context", "K", (client, { wrapped }) => client.rewrap({ wrapped, context: ofNode, toContext: {} })],
  ["keys.create", "RAP", (client) => client.keys.create({})],
  [
    "keys.create over an integration",
    "RA",
    (client) => client.keys.create({ origin: "aws-kms", upstream: { integration: "kms-1" } }),
  ],
  ["keys.describe", "RAKUOPM", (client, { key }) => client.keys.describe(key)],
  ["keys.list", "RAUOP", (client) => client.keys.list()],
  ["keys.page", "RAUOP", (client) => client.keys.page({ limit: 1 })],
  ["keys.enable", "RA", (client, { key }) => client.keys.enable(key)],
  ["keys.disable", "RA", (client, { key }) => client.keys.disable(key)],
  ["keys.rotate", "RA", (client, { key }) => client.keys.rotate(key)],
  ["keys.scheduleDeletion", "RA", (client, { key }) => client.keys.scheduleDeletion(key, 7)],
  ["keys.updateDescription", "RA", (client, { key }) => client.keys.updateDescription(key, "d")],
  ["aliases.create", "RAP", (client, { key, name }) => client.aliases.create(`alias/${name}`, key)],
  ["aliases.update", "RA", (client, { key, alias }) => client.aliases.update(alias, key)],
  ["aliases.delete", "RAP", (client, { alias }) => client.aliases.delete(alias)],
  ["aliases.list", "RAUOP", (client) => client.aliases.list()],
  ["policies.get", "RAUP", (client, { key }) => client.policies.get(key)],
  ["policies.put", "RA", (client, { key }) => client.policies.put(key, everyone)],
  [
    "grants.create",
    "RA",
    (client, { key, user }) => client.grants.create(key, { grantee: grantee(user, account), operations: ["Decrypt"] }),
  ],
  ["grants.list", "RAUP", (client, { key }) => client.grants.list(key)],
  ["grants.revoke", "RA", (client, { key, grant }) => client.grants.revoke(key, grant)],
  ["grants.retire", "", (client, { key, grant }) => client.grants.retire(grant, key)],
  ["tags.add", "RAP", (client, { key }) => client.tags.add(key, { a: "b" })],
  ["tags.remove", "RAP", (client, { key }) => client.tags.remove(key, ["a"])],
  ["tags.list", "RAUP", (client, { key }) => client.tags.list(key)],
  ["rotation.enable", "RA", (client, { key }) => client.rotation.enable(key)],
  ["rotation.disable", "RA", (client, { key }) => client.rotation.disable(key)],
  ["rotation.status", "RAUP", (client, { key }) => client.rotation.status(key)],
  ["rotation.list", "RAUP", (client, { key }) => client.rotation.list(key)],
  ["integrations.create", "RA", (client, { name }) => integrate(client, name)],
  ["integrations.list", "RA", (client) => client.integrations.list()],
  ["integrations.describe", "RA", (client) => client.integrations.describe("kms-1")],
  ["integrations.delete", "RA", (client, { integration }) => client.integrations.delete(integration)],
  ["audit.verify", "RAU", (client) => client.audit.verify()],
  ["principals.create", "RA", (client, { name }) => client.principals.create({ name, kind: "user", role: "auditor" })],
  ["principals.list", "RAU", (client) => client.principals.list()],
  ["principals.disable", "RA", (client, { user }) => client.principals.disable(user)],
  ["principals.enable", "RA", (client, { user }) => client.principals.enable(user)],
  ["users.create", "RA", (client, { name }) => client.users.create({ name })],
  ["users.list", "RAUP", (client) => client.users.list()],
  ["users.describe", "RAUP", (client, { user }) => client.users.describe(user)],
  ["users.setGroups", "RA", (client, { user }) => client.users.setGroups(user, [])],
  ["users.delete", "RA", (client, { user }) => client.users.delete(user)],
  ["accessKeys.create", "RA", (client, { user }) => client.accessKeys.create(user)],
  ["accessKeys.rotate", "RA", (client, { accessKey }) => client.accessKeys.rotate(accessKey)],
  ["accessKeys.setState", "RA", (client, { accessKey }) => client.accessKeys.setState(accessKey, "disabled")],
  ["accessKeys.delete", "RA", (client, { accessKey }) => client.accessKeys.delete(accessKey)],
  ["groups.create", "RA", (client, { name }) => client.groups.create({ name, policies: [] })],
  ["groups.list", "RAUP", (client) => client.groups.list()],
  ["groups.setPolicies", "RA", (client) => client.groups.setPolicies("Spare", [])],
  ["nodes.createToken", "RAO", (client, { name }) => client.nodes.createToken({ name, identity: "file" })],
  ["nodes.revoke", "RA", (client) => client.nodes.revoke("node-spare")],
  ["nodes.list", "RAUO", (client) => client.nodes.list()],
  ["nodes.leases", "RAUO", (client) => client.nodes.leases()],
  ["releaseLease", "M", (client) => client.releaseLease("00000000-0000-4000-8000-000000000000")],
  [
    "counters.advance",
    "M",
    (client, { name }) => client.advanceCounter({ name, previous: null, next: { value: 1, stamp: "a".repeat(64) } }),
  ],
  ["counters.read", "M", (client, { counter }) => client.readCounter(counter)],
  ["counters.list", "RAU", (client) => client.counters.list()],
  ["counters.list of one node", "RAU", (client) => client.counters.list("node-1")],
  ["counters.reset", "RA", (client, { counter }) => client.counters.reset("node-1", counter)],
  ["enclaves.report", "M", (client, { enclave }) => client.reportEnclave({ ...reported, enclave })],
  ["enclaves.list", "RAU", (client) => client.enclaves.list()],
  ["enclaves.list of one node", "RAU", (client) => client.enclaves.list("node-1")],
  ["enclaves.forget", "RA", (client, { enclave }) => client.enclaves.forget("node-1", enclave)],
  ["legacy.list", "RAUO", (client) => client.legacy.list()],
  ["audit.read", "RAU", (client) => client.audit.read({ after: 0, limit: 1 })],
  ["audit.search", "RAU", (client) => client.audit.search({ limit: 1 })],
  ["audit.export", "RAU", (client) => client.audit.export({ after: 0, limit: 1 })],
  ["audit.checkpoint", "RAU", (client) => client.audit.checkpoint()],
];

const reported = {
  organisation: "Org1MSP",
  channel: "trade",
  chaincode: "auction",
  measurement: "AB".repeat(32),
  state: "registered",
  generation: null,
} as const;

const everyone = JSON.stringify({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Principal: "*", Action: "kms:*", Resource: "*" },
});

let upstreamEndpoint = "";

function integrate(client: KeyManagerClient, name: string) {
  const apiSecret = SecretBuffer.take(Buffer.from("a-secret-that-the-stub-never-checks"));
  const settings = { region: "local", apiKey: "AKIAEXAMPLE123456789", endpoint: upstreamEndpoint };
  return client.integrations.create({ name, ...settings, apiSecret }).finally(() => apiSecret[Symbol.dispose]());
}

function wrap(client: KeyManagerClient, key: string) {
  using plaintext = SecretBuffer.random(32);
  const copy = plaintext.clone();
  return client.wrap({ key, context: {}, plaintext: copy }).finally(() => copy[Symbol.dispose]());
}

describe("the native door, operation by operation and principal by principal", () => {
  let manager: RunningKeyManager;
  let clients: Readonly<Record<Column, KeyManagerClient>>;
  let user: KeyManagerClient;
  let scenes = 0;
  let upstream: KmsStub;

  before(async () => {
    manager = await startKeyManager();
    const { admin } = manager;
    upstream = await KmsStub.start(
      json({
        KeyId: "arn:aws:kms:local:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        Plaintext: Buffer.alloc(32, 9).toString("base64"),
        CiphertextBlob: Buffer.alloc(64, 7).toString("base64"),
      }),
    );
    upstreamEndpoint = upstream.endpoint;
    await integrate(admin, "kms-1");
    account = manager.custody.identity.account;
    const { keyId } = await admin.keys.create({});
    await admin.groups.create({ name: "KMS-Users", policies: ["AWSKeyManagementServicePowerUser"] });
    await admin.groups.create({ name: "Spare", policies: [] });
    await admin.users.create({ name: "paul", groups: ["KMS-Users"] });
    for (const name of ["nora", "nick"]) await admin.users.create({ name });
    for (const [name, role] of [
      ["adam", "administrator"],
      ["kim", "key-user"],
      ["ute", "auditor"],
      ["olga", "operator"],
      ["dora", "key-user"],
    ] as const)
      await admin.principals.create({ name, kind: "user", role });
    const enrolled = async (name: string, key?: string) => manager.clientOf(await manager.enrolled(name, key));
    clients = {
      R: admin,
      A: await enrolled("adam"),
      K: await enrolled("kim"),
      U: await enrolled("ute"),
      O: await enrolled("olga"),
      P: await enrolled("paul"),
      "-": await enrolled("nora"),
      N: await enrolled("nick"),
      D: await enrolled("dora"),
      M: await enrolled("node-1", keyId),
    };
    (await enrolled("node-spare")).close();
    await admin.principals.disable("dora");
    user = clients.K;
  });
  after(async () => {
    for (const client of Object.values(clients)) client.close();
    await manager[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  async function scene(): Promise<Scene> {
    const { admin } = manager;
    scenes += 1;
    const alias = `alias/scene-${scenes}`;
    const { keyId: key } = await admin.keys.create({ alias });
    const policy = JSON.parse(await admin.policies.get(key));
    const named = {
      Effect: "Allow",
      Principal: { AWS: grantee("nick", account) },
      Action: "kms:Encrypt",
      Resource: "*",
    };
    await admin.policies.put(key, JSON.stringify({ ...policy, Statement: [policy.Statement, named].flat() }));
    const made = await admin.grants.create(key, {
      grantee: `arn:aws:iam::${account}:node/node-1`,
      operations: [
        "Decrypt",
        "Encrypt",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
        "DescribeKey",
      ],
      constraints: { encryptionContextSubset: ofNode },
    });
    const { wrapped } = await user.generateDataKey({ key, context: ofNode });
    const someone = `someone-${scenes}`;
    await admin.users.create({ name: someone });
    const { id, secret } = await admin.accessKeys.create(someone);
    secret[Symbol.dispose]();
    const integration = `kms-spare-${scenes}`;
    await integrate(admin, integration);
    // Few fit into one node: each scene's takes the place of the one before.
    const counter = "scene";
    if ((await admin.counters.list("node-1")).some((each) => each.name === counter))
      await admin.counters.reset("node-1", counter);
    await clients.M.advanceCounter({ name: counter, previous: null, next: { value: 1, stamp: "0".repeat(64) } });
    const enclave = "E0".repeat(32);
    await clients.M.reportEnclave({ ...reported, enclave });
    const spare = { integration, counter, enclave };
    return { key, alias, grant: made.id, wrapped, name: `new-${scenes}`, user: someone, accessKey: id, ...spare };
  }

  const letters = Object.keys(columns) as Column[];
  for (const [operation, allowed, ask] of rows) {
    const who = letters.filter((letter) => allowed.includes(letter)).join(" ") || "nobody";
    it(`lets ${who} do ${operation}, and no one else`, async () => {
      let made = await scene();
      for (const letter of letters) {
        let code = "allowed";
        try {
          await ask(clients[letter], made);
        } catch (error) {
          if (!(error instanceof ClientError)) throw error;
          code = error.serverCode ?? error.code;
        }
        const expected = allowed.includes(letter) ? "allowed" : letter === "D" ? "UNAUTHENTICATED" : "ACCESS_DENIED";
        assert.equal(code, expected, columns[letter]);
        if (code === "allowed") made = await scene();
      }
    });
  }
});
