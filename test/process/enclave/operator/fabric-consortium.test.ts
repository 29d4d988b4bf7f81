import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { enclaveErrors } from "../../../../src/enclave/errors.ts";
import { FabricMember } from "../../../../src/enclave/operator/fabric-member.ts";
import { FabricConsortium } from "../../../fabric/fabric-consortium.ts";
import { TestOrganisation } from "../../../fabric/organisation.ts";
import { type Outcome, runStrongroom } from "../../running-server.ts";
import { runKeyFlow } from "./consortium-flow.ts";

const unavailable = "LEDGER_UNAVAILABLE";

/** Every test goes on where the one before ended. */
describe("a consortium of three organisations and five enclaves on a channel of Fabric", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-fabric-"));
  let consortium: FabricConsortium;
  const flow = runKeyFlow(async () => {
    consortium = await FabricConsortium.start(folder);
    return consortium;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe("its commands, by an organisation's connection settings", () => {
    before(() => flow().closeAgents());

    const run = (organisation: number, ...args: string[]) =>
      runStrongroom(["fpc", ...args, "--connection", consortium.connectionOf(organisation)]);
    const printed = ({ code, stdout, stderr }: Outcome): string => {
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const refused = ({ code, stdout, stderr }: Outcome, expected: number, says: RegExp) => {
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /^\s+at /m);
      assert.deepEqual({ code, stdout }, { code: expected, stdout: "" }, stderr);
    };
    let id = "";

    it("create and register an enclave, export the keys to it, and import them", async () => {
      const made = printed(await run(3, "lifecycle", "chaincode", "initEnclave", "auction", "--enclave", "c"));
      assert.match(made, /of Org3MSP is created and registered\nauction has keys already/);
      id = /[0-9A-F]{64}/.exec(made)?.[0] ?? "";
      refused(
        await run(3, "keys", "import", "--enclave", "c"),
        enclaveErrors.NOT_FOUND.exit,
        /no keys have been exported/,
      );
      assert.match(printed(await run(1, "keys", "export", "--to", id.slice(0, 16), "--enclave", "a")), /of Org3MSP/);
      assert.match(printed(await run(3, "keys", "import", "--enclave", "c")), /holds the keys of auction/);
      assert.match(printed(await run(2, "enclave", "show", id)), /state +provisioned\ngeneration +1/);
    });

    it("tell the chaincode's state, and what the kind of enclave does not protect from", async () => {
      const status = JSON.parse(printed(await run(2, "status", "--json")));
      assert.equal(status.channelId, "channel1");
      assert.equal(status.enclaves.length, 6);
      assert.equal(status.tee.protectsFromRoot, false);
    });

    it("issue recovery shares, and release one's own", async () => {
      assert.match(printed(await run(1, "keys", "share", "--enclave", "a")), /3 shares of generation 1 are issued; 2/);
      assert.match(printed(await run(2, "keys", "release", id)), /Org2MSP released its share/);
    });

    it("put an own enclave out, and no other organisation's", async () => {
      refused(await run(1, "keys", "revoke", id, "--reason", "lost"), enclaveErrors.UNAUTHORIZED.exit, /error: /);
      refused(await run(1, "keys", "revoke", id, "--reason", "lost", "--together"), 2, /policy keys are not at hand/);
      assert.match(printed(await run(3, "keys", "revoke", id, "--reason", "lost")), /is revoked/);
    });

    it("rotate the keys in two phases, each a command of its own", async () => {
      refused(await run(1, "keys", "rotate", "--enclave", "a"), 2, /in its two phases/);
      const proposed = printed(await run(1, "keys", "rotate", "--phase", "propose", "--enclave", "a"));
      assert.match(proposed, /^generation 2 is proposed\n/);
      assert.equal(proposed.match(/exported to/g)?.length, 4, "to every holder that is left");
      refused(await run(2, "keys", "rotate", "--phase", "activate"), enclaveErrors.POLICY_DENIED.exit, /error: /);
    });

    it("trace what the ledger and the own host show", async () => {
      const trace = printed(await run(1, "trace", "auction"));
      const inOrder = [
        "registerEnclave\\(",
        "put_state\\(namespaces/chaincode_ek/auction\\)",
        "putKeyExport\\(",
        "revokeEnclave\\(",
      ];
      assert.match(trace, new RegExp(inOrder.join("[\\s\\S]*")));
      assert.match(trace, /FPC_stub Org1MSP/);
      assert.doesNotMatch(trace, /FPC_stub Org2MSP/);
    });

    it("refuse what names two places, and enclaves that there are not", async () => {
      refused(await run(1, "status", "--org", "2"), 2, /cannot be used with option '--org/);
      refused(await run(1, "keys", "import", "--enclave", "none"), 2, /Org1MSP has no enclave none\n.*--connection/);
      refused(await run(1, "trace", "other"), 2, /no private chaincode other/);
    });

    it("refuse a gateway that another authority vouches for", async () => {
      const stranger = await TestOrganisation.create("Org2MSP");
      writeFileSync(join(consortium.folderOf(2), "other-root.pem"), stranger.root);
      const path = changed(2, { tlsRoots: "other-root.pem" });
      refused(await runStrongroom(["fpc", "status", "--connection", path]), enclaveErrors[unavailable].exit, /error: /);
    });
  });

  /** Connection settings with another gateway, beside an organisation's own. */
  function changed(organisation: number, gateway: object): string {
    const settings = JSON.parse(readFileSync(consortium.connectionOf(organisation), "utf8"));
    const path = join(consortium.folderOf(organisation), "changed.json");
    writeFileSync(path, JSON.stringify({ ...settings, gateway: { ...settings.gateway, ...gateway } }));
    return path;
  }

  describe("TLS to its gateways", () => {
    const ask = async (organisation: number, gateway: object) => {
      await using member = await FabricMember.open(changed(organisation, gateway));
      return await member.client.policy();
    };

    it("is refused by the client where the certificate is of another name, or there is no TLS", async () => {
      assert.equal((await ask(2, {})).number, 1n);
      await assert.rejects(ask(2, { tlsServerName: "peer0.org3msp.example.com" }), { code: unavailable });
      await assert.rejects(ask(2, { tlsRoots: undefined }), { code: unavailable });
    });

    it("is refused by a peer that wants a certificate, and gets none, or another authority's", async () => {
      assert.equal((await ask(1, {})).number, 1n);
      await assert.rejects(ask(1, { tlsCertificate: undefined, tlsKey: undefined }), { code: unavailable });
      const tls = await (await TestOrganisation.create("Org1MSP")).issueTls("admin");
      writeFileSync(join(consortium.folderOf(1), "other-tls.pem"), tls.certificate);
      writeFileSync(join(consortium.folderOf(1), "other-tls-key.pem"), tls.key, { mode: 0o600 });
      const other = { tlsCertificate: "other-tls.pem", tlsKey: "other-tls-key.pem" };
      await assert.rejects(ask(1, other), { code: unavailable });
    });
  });
});
