import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { readConnectionSettings } from "../../../../src/enclave/operator/connection-settings.ts";
import { FabricMember } from "../../../../src/enclave/operator/fabric-member.ts";
import { QuorumRegistry } from "../../../../src/enclave/operator/registry-view.ts";
import { TestOrganisation } from "../../../fabric/organisation.ts";

const folder = mkdtempSync(join(tmpdir(), "connection-settings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const organisation = await TestOrganisation.create("Org1MSP");
const [admin, other] = await Promise.all([organisation.issue("admin"), organisation.issue("admin")]);

function write(name: string, text: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

write("admin.pem", admin.certificate);
write("admin-key.pem", admin.key);
write("other-key.pem", other.key);
write("open-key.pem", admin.key, 0o644);
write("tls-root.pem", organisation.root);
const { privateKey: p384 } = generateKeyPairSync("ec", { namedCurve: "P-384" });
write("p384-key.pem", p384.export({ type: "pkcs8", format: "pem" }).toString());
write("text.pem", "no key");

const whole = {
  format: 1,
  channel: "mychannel",
  channelHash: "ab".repeat(32),
  chaincode: "auction",
  gateway: { address: "peer0.example.com:7051", tlsRoots: "tls-root.pem" },
  identity: { mspId: "Org1MSP", certificate: "admin.pem", key: "admin-key.pem" },
  host: {
    kind: "folder",
    folder: "host",
    peerEndpoint: "peer0.example.com:7051",
    tee: { kind: "process", platform: "platform" },
  },
};
const settings = (change: object = {}) => write("connection.json", JSON.stringify({ ...whole, ...change }));
const identity = (change: object) => settings({ identity: { ...whole.identity, ...change } });
const gateway = (change: object) => settings({ gateway: { ...whole.gateway, ...change } });
const host = (change: object) => settings({ host: { ...whole.host, ...change } });

/** The refusal names the field or file, and shows nothing of a key. */
function isInvalid(says: RegExp, hint?: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof EnclaveError, String(error));
    assert.equal(error.code, "SETTINGS_INVALID", error.message);
    assert.match(error.message, says);
    if (hint !== undefined) assert.match(String(error.hint), hint);
    const secret = admin.key.split("\n")[1] ?? "";
    assert.ok(secret !== "" && !`${error.message} ${error.hint}`.includes(secret));
    return true;
  };
}

describe("connection settings", () => {
  it("name files from the folder that they are in, and open without reaching anybody", async () => {
    const read = readConnectionSettings(settings());
    assert.equal(read.identity.key, join(folder, "admin-key.pem"));
    assert.deepEqual(read.host, {
      ...whole.host,
      folder: join(folder, "host"),
      tee: { kind: "process", platform: join(folder, "platform") },
    });
    await using member = await FabricMember.open(settings());
    assert.equal(member.mspId, "Org1MSP");
    assert.deepEqual(member.enclaves(), []);
    assert.equal(member.client.registry, "ercc");
  });

  it("are of the form that docs/fabric.md shows", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../../docs/fabric.md"), "utf8");
    const shown = /```json\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
    const read = readConnectionSettings(write("shown.json", shown.replace(/<64 hex digits[^"]*>/, "ab".repeat(32))));
    assert.equal(read.gateway.tlsKey, join(folder, "client-tls-key.pem"));
    assert.equal(read.host?.kind === "folder" && read.host.tee.kind, "tpm");
  });

  it("name the key manager of the host's enclaves, which each enclave takes at its creation", async () => {
    const keyManager = { servers: ["https://km.example:8443"], identity: "host-identity", masterKey: "alias/enclaves" };
    await using member = await FabricMember.open(host({ keyManager }));
    assert.equal(member.keyManagers?.of("main"), undefined);
    member.keyManagers?.choose("main", undefined);
    const chosen = { ...keyManager, identity: join(folder, "host-identity") };
    assert.deepEqual(member.keyManagers?.of("main"), chosen);
    assert.deepEqual(member.keyManagers?.enclaves(), [], "none is created");
    await using without = await FabricMember.open(settings({ host: undefined }));
    assert.equal(without.keyManagers, undefined);
  });

  it("name whose peers callers believe; without that, the own peer's word is taken", async () => {
    const org1 = { mspId: "Org1MSP", roots: ["tls-root.pem"] };
    const believing = (trustedLedger: object) => FabricMember.open(settings({ trustedLedger }));
    await using alone = await FabricMember.open(settings());
    assert.equal(alone.view(), alone.client);
    await using member = await believing({ quorum: 1, organisations: [org1] });
    assert.ok(member.view() instanceof QuorumRegistry);
    for (const [trustedLedger, says] of [
      [{ quorum: 2, organisations: [org1] }, /quorum of 2 among 1/],
      [{ quorum: 1, organisations: [org1, org1] }, /named twice/],
      [{ quorum: 1, organisations: [{ ...org1, roots: ["text.pem"] }] }, /text\.pem holds no certificate/],
      [{ quorum: 1, organisations: [{ ...org1, roots: ["absent.pem"] }] }, /absent\.pem cannot be read/],
    ] as const) {
      await using wrong = await believing(trustedLedger);
      assert.throws(() => wrong.view(), isInvalid(says));
    }
    for (const [trustedLedger, says] of [
      [{ quorum: 0, organisations: [org1] }, /trustedLedger\.quorum/],
      [{ quorum: 1, organisations: [] }, /trustedLedger\.organisations/],
      [{ quorum: 1, organisations: [{ mspId: "Org1MSP", roots: [] }] }, /trustedLedger\.organisations\.0\.roots/],
      [{ quorum: 1, organisations: [{ ...org1, weight: 2 }] }, /weight/],
    ] as const)
      await assert.rejects(believing(trustedLedger), isInvalid(says));
  });

  it("are refused where a field is missing, unknown, or not of its form", () => {
    const refused = (path: string, says: RegExp) => assert.throws(() => readConnectionSettings(path), isInvalid(says));
    for (const name of Object.keys(whole).filter((one) => one !== "host"))
      refused(settings({ [name]: undefined }), new RegExp(`: ${name}: `));
    refused(settings({ format: 2 }), /format/);
    refused(settings({ orderer: "orderer:7050" }), /orderer/);
    refused(gateway({ password: "secret" }), /gateway: .*password/);
    refused(settings({ channelHash: "AB".repeat(32) }), /channelHash/);
    for (const address of ["peer0", "https://peer0:7051", "peer0:0", "peer 0:7051"])
      refused(gateway({ address }), /gateway\.address/);
    refused(host({ kind: "elsewhere" }), /host/);
    refused(host({ tee: { kind: "sgx" } }), /host\.tee/);
    refused(host({ tee: { kind: "process" } }), /host\.tee\.platform/);
    const keyManager = { servers: ["https://km.example:8443"], identity: "host-identity", masterKey: "alias/enclaves" };
    refused(host({ keyManager: { ...keyManager, servers: [] } }), /host\.keyManager\.servers/);
    refused(host({ keyManager: { ...keyManager, masterKey: undefined } }), /host\.keyManager\.masterKey/);
    refused(host({ keyManager: { ...keyManager, pin: "1234" } }), /host\.keyManager.*pin/);
    refused(settings({ organisationKeys: { policy: "policy.pem" } }), /organisationKeys\.recovery/);
    refused(gateway({ tlsCertificate: "admin.pem" }), /belong together/);
    refused(gateway({ tlsKey: "admin-key.pem" }), /belong together/);
    refused(gateway({ tlsRoots: undefined, tlsCertificate: "a", tlsKey: "b" }), /without gateway\.tlsRoots/);
  });

  it("are refused where they are no file of settings, with the reason and what to do", async () => {
    const refused = async (path: string, says: RegExp, hint: RegExp = /^docs\/fabric\.md shows .*--connection/) => {
      assert.throws(() => readConnectionSettings(path), isInvalid(says, hint));
      await assert.rejects(FabricMember.open(path), isInvalid(says, hint));
    };
    await refused(join(folder, "absent.json"), /absent\.json cannot be read: there is no such file$/);
    await refused(join(write("no-folder", ""), "a.json"), /a\.json cannot be read: a part of its path is no folder$/);
    await refused(folder, /cannot be read: it is a folder$/);
    const pointing = join(folder, "pointing.json");
    symlinkSync(pointing, pointing);
    await refused(pointing, /cannot be read: its links go round in a circle$/);
    await refused(write("text.json", "no settings"), /text\.json is not JSON$/);
    await refused(write("settings.toml", 'channel = "mychannel"\n'.repeat(5)), /settings\.toml is not JSON$/);
    await refused(write("cut.json", JSON.stringify(whole, null, 2).slice(0, -3)), /is not JSON: line \d+ column \d+$/);
    await refused(write("empty.json", ""), /empty\.json is not JSON$/);
    await refused(write("binary.json", Buffer.from([0xff, 0xfe])), /is not text in UTF-8/);
    await refused(write("list.json", "[]"), /list\.json: .*object/);
    await refused(write("long.json", JSON.stringify({ ...whole, chaincode: "a".repeat(1 << 16) })), /longer than/);
    await refused("/dev/zero", /longer than/);
  });

  it("show nothing of a key that was put in the place of the whole file", () => {
    assert.throws(() => readConnectionSettings(write("key.json", admin.key)), isInvalid(/is not JSON/));
  });

  it("are refused with a key in them instead of its file's name", () => {
    assert.throws(() => readConnectionSettings(identity({ key: admin.key })), isInvalid(/identity\.key: is no name/));
    assert.throws(
      () => readConnectionSettings(gateway({ tlsRoots: organisation.root })),
      isInvalid(/gateway\.tlsRoots/),
    );
  });
});

describe("an identity in files", () => {
  const refused = (path: string, says: RegExp) => assert.rejects(FabricMember.open(path), isInvalid(says));

  it("is refused where others may read its key, the key is another's, or on another curve", async () => {
    await refused(identity({ key: "open-key.pem" }), /mode 0644/);
    await refused(identity({ key: "other-key.pem" }), /is not the key of Org1MSP's certificate/);
    await refused(identity({ key: "p384-key.pem" }), /is not the key of/);
    await refused(identity({ key: "absent.pem" }), /absent\.pem cannot be read/);
  });

  it("is refused where a file is not what it is named for", async () => {
    await refused(identity({ key: "text.pem" }), /text\.pem is not a private key/);
    await refused(identity({ key: "admin.pem" }), /admin\.pem is not a private key/);
    await refused(identity({ certificate: "admin-key.pem" }), /holds no certificate/);
    await refused(gateway({ tlsRoots: "text.pem" }), /holds no certificate/);
    const fromTheirFolder = /named from the folder that the connection settings are in/;
    const absent = isInvalid(/absent\.pem cannot be read: there is no such file/, fromTheirFolder);
    await assert.rejects(FabricMember.open(identity({ certificate: "absent.pem" })), absent);
    await assert.rejects(FabricMember.open(gateway({ tlsRoots: "absent.pem" })), absent);
  });

  it("is not used in clear over a network", async () => {
    await refused(gateway({ tlsRoots: undefined }), /on another machine, and no TLS roots/);
  });

  it("has no organisation's keys, and no host, where the settings name none", async () => {
    await using member = await FabricMember.open(settings({ host: undefined }));
    assert.throws(() => member.keys(), isInvalid(/organisationKeys/));
    assert.throws(() => member.enclaves(), isInvalid(/"host"/));
    assert.equal(member.teeKind, undefined);
    assert.deepEqual(member.stubRecords(), []);
    await using hosted = await FabricMember.open(settings());
    await assert.rejects(hosted.agent("../elsewhere"), isInvalid(/lower-case letters/));
  });
});
