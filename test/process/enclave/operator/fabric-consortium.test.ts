import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { enclaveErrors } from "../../../../src/enclave/errors.ts";
import type { LedgerIdentity } from "../../../../src/enclave/ledger/ledger.ts";
import type { Awaited } from "../../../../src/enclave/operator/awaited-step.ts";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import { FabricMember } from "../../../../src/enclave/operator/fabric-member.ts";
import { exportKeys, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import type { EnclaveRow } from "../../../../src/enclave/operator/status.ts";
import type { EnclaveAgent } from "../../../../src/enclave/stub/agent.ts";
import { BuilderPeer } from "../../../fabric/builder-peer.ts";
import { FabricConsortium } from "../../../fabric/fabric-consortium.ts";
import { TestOrganisation } from "../../../fabric/organisation.ts";
import { relayTo } from "../../../fabric/relay.ts";
import { type Outcome, runStrongroom } from "../../running-server.ts";
import { type Host, runKeyFlow } from "./consortium-flow.ts";

const unavailable = "LEDGER_UNAVAILABLE";

const printed = ({ code, stdout, stderr }: Outcome): string => {
  assert.equal(code, 0, stderr);
  return stdout;
};
const refused = ({ code, stdout, stderr }: Outcome, expected: number, says: RegExp) => {
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /^\s+at /m);
  assert.deepEqual({ code, stdout }, { code: expected, stdout: "" }, stderr);
};

/** Every test goes on where the one before ended. */
describe("a consortium of three organisations and five enclaves on a channel of Fabric", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-fabric-"));
  let consortium: FabricConsortium;
  const flow = runKeyFlow(async () => {
    consortium = await FabricConsortium.start(folder);
    return consortium;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe("a private chaincode that a peer builds and runs, with the enclave's agent in it", () => {
    const packaged = {
      metadata: { type: "strongroom-fpc", label: "auction_1.0" },
      source: { "private-chaincode.json": { chaincode: "auction" } },
    };
    const packageId = "auction_1.0:4567";
    let peer: BuilderPeer;
    let output: string;
    let host: Host;

    /** The second organisation's own folder, with other settings. */
    const settingsWith = (name: string, change: object) => {
      const settings = JSON.parse(readFileSync(consortium.connectionOf(2), "utf8"));
      const path = join(consortium.folderOf(2), name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, JSON.stringify({ ...settings, ...change }));
      return path;
    };
    const start = async () => consortium.channel.install("Org2MSP", "auction", await peer.run(output, packageId));

    before(async () => {
      const builderFolder = join(consortium.folderOf(2), "builder");
      const own = (name: string) => join(consortium.folderOf(2), name);
      settingsWith("builder/auction/connection.json", {
        gateway: {
          ...JSON.parse(readFileSync(consortium.connectionOf(2), "utf8")).gateway,
          tlsRoots: own("tls-root.pem"),
        },
        identity: { mspId: "Org2MSP", certificate: own("client.pem"), key: own("client-key.pem") },
        host: {
          kind: "folder",
          folder: "enclaves",
          peerEndpoint: "peer0.org2msp.example.com:7051",
          tee: { kind: "process", platform: own("platform") },
        },
      });
      const client = await consortium.channel.organisation("Org2MSP").issue("client");
      writeFileSync(own("client.pem"), client.certificate);
      writeFileSync(own("client-key.pem"), client.key, { mode: 0o600 });
      peer = await BuilderPeer.start(join(folder, "peer"), consortium.channel.organisation("Org2MSP"), "auction", {
        STRONGROOM_BUILDER_FOLDER: builderFolder,
      });
      output = peer.build(packaged);
      await start();
      const path = settingsWith("through-peer.json", {
        host: { kind: "chaincode", peerEndpoint: "peer0.org2msp.example.com:7051" },
      });
      const member = await consortium.memberOf(path);
      host = { member, agent: await member.agent("main") };
    });
    after(() => peer?.[Symbol.asyncDispose]());

    it("creates and registers the enclave for its organisation's admin, and takes the keys", async () => {
      await assert.rejects(flow().import(host), { code: "NOT_FOUND" });
      assert.equal((await flow().init(host)).generated, false);
      const first = flow().host(0);
      await exportKeys(first.member.client, first.agent, [ownId(host.agent)]);
      await flow().import(host);
      const { enclave, tee } = await host.agent.status();
      assert.deepEqual([enclave?.id, tee, enclave?.generations.length], [ownId(host.agent), "process", 1]);
    });

    it("runs the auction together with another organisation's enclave", async () => {
      flow().hosts.push(host);
      const own = flow().hosts.indexOf(host);
      assert.equal(await flow().call(own, [own, 0], "create", "hosted"), "OK");
      await assert.rejects(flow().call(own, [own], "submit", "hosted", "7"), { code: "POLICY_DENIED" });
    });

    it("is commanded by nobody but admins of its own organisation, who call it themselves", async () => {
      const ask = async (identity: LedgerIdentity, transaction: string, ...args: string[]) => {
        await using ledger = consortium.ledger("Org2MSP");
        await using connection = await ledger.connect(identity);
        return await connection.evaluate("auction", transaction, args);
      };
      const organisation = consortium.channel.organisation("Org2MSP");
      const [admin, client] = [await organisation.issue("admin"), await organisation.issue("client")];
      const stranger = await consortium.channel.organisation("Org3MSP").issue("admin");
      for (const identity of [client, stranger])
        for (const [transaction, ...args] of [["__status"], ["__reEmitRegistration"], ["__exportCCKeys", "QUJD"]])
          await assert.rejects(ask(identity, transaction ?? "", ...args), { code: "UNAUTHORIZED" }, transaction);
      const [, answer] =
        /"tee":"(\w+)"/.exec(Buffer.from(JSON.parse(`${await ask(admin, "__status")}`)[0], "base64").toString()) ?? [];
      assert.equal(answer, "process");
      await assert.rejects(ask(admin, "__status", "QUJD"), { code: "MALFORMED" });
      await assert.rejects(ask(admin, "__exportCCKeys"), { code: "MALFORMED" });
      await assert.rejects(ask(admin, "__exportCCKeys", "QUI"), { code: "MALFORMED" });
      await assert.rejects(ask(admin, "__reEmitRegistration", "MA=="), { code: "MALFORMED" });
      await assert.rejects(ask(admin, "__pid"), { code: "MALFORMED" });
      await assert.rejects(ask(admin, "__invoke", "QUJD"), { code: "MALFORMED" });
      consortium.channel.install("Org2MSP", "relay", relayTo("auction"));
      consortium.channel.define("relay", "1.0", 1, 1);
      await using ledger = consortium.ledger("Org2MSP");
      await using connection = await ledger.connect(admin);
      await assert.rejects(connection.evaluate("relay", "__status", []), { code: "UNAUTHORIZED" });
    });

    it("has its keys again when it was killed, the peer has built it anew, and runs it again", async () => {
      await peer.end("SIGKILL");
      await assert.rejects(host.agent.status(), { code: unavailable });
      rmSync(join(folder, "peer"), { recursive: true });
      output = peer.build(packaged);
      await start();
      const { enclave } = await host.agent.status();
      assert.deepEqual(
        [enclave?.id, enclave?.generations.map(({ registered }) => registered)],
        [ownId(host.agent), [true]],
      );
      const own = flow().hosts.indexOf(host);
      assert.equal(await flow().call(own, [own, 0], "submit", "hosted", "7"), "OK");
    });

    it("keeps of what the peer gave it nothing on disk, and has no key among its arguments", () => {
      const own = join(consortium.folderOf(2), "builder/auction");
      assert.deepEqual(readdirSync(own).sort(), ["connection.json", "enclaves"]);
      for (const name of ["cmdline", "environ"])
        assert.doesNotMatch(readFileSync(`/proc/${peer.pid}/${name}`, "utf8"), /BEGIN|KEY-----/);
    });

    it("is one of an enclave: a second one is refused, and the first goes on", async () => {
      const second = spawnSync(runStep, [output, metadataFor({})], builderRun(join(consortium.folderOf(2), "builder")));
      assert.equal(second.status, enclaveErrors.CONFLICT.exit);
      assert.match(second.stderr, /^external-builder run: CONFLICT: /m);
      assert.equal((await host.agent.status()).enclave?.id, ownId(host.agent));
    });

    it("is not run for another organisation's peer, without the builder's folder, or by a peer elsewhere without TLS", () => {
      const builder = join(consortium.folderOf(2), "builder");
      for (const [told, place, says] of [
        [{ mspid: "Org1MSP" }, builder, /for Org2MSP, and the peer runs auction under ercc for Org1MSP/],
        [{}, undefined, /STRONGROOM_BUILDER_FOLDER/],
        [{}, "builder", /STRONGROOM_BUILDER_FOLDER/],
        [{}, join(builder, "nowhere"), /connection\.json cannot be read/],
      ] as const) {
        const { status, stderr } = spawnSync(runStep, [output, metadataFor(told)], builderRun(place));
        assert.match(stderr, says);
        assert.equal(status, 2);
      }
    });

    it("answers another organisation's client, and releases the answer to it after the commit", async () => {
      const { agent, member } = flow().host(0);
      const elsewhere = await (await consortium.member(1)).answering("Org2MSP", "main");
      // Asked first for the release.
      const agents = [elsewhere, agent];
      const { payload } = await callConfidentially(member.client, member.identity, agents, ["create", "far"]);
      assert.equal(payload.toString(), "OK");
    });

    it("answers calls of the command line together with the caller's own enclave", async () => {
      // An enclave has one agent: from here on the command's.
      await flow().host(0).agent[Symbol.asyncDispose]();
      const invoke = (connection: string, ...words: string[]) =>
        runStrongroom(["fpc", "invoke", "auction", ...words, "--connection", connection]);
      const own = consortium.connectionOf(1);
      const { status, answer, txId } = JSON.parse(
        printed(await invoke(own, "submit", "far", "9", "--enclave", "a", "--json")),
      );
      assert.deepEqual([status, answer], [200, "OK"]);
      assert.match(txId, /^[0-9a-f]{64}$/);
      refused(await invoke(own, "eval", "far", "--enclave", "a"), 3, /auction refused: AUCTION_STILL_OPEN/);
      // A client without a host, whose own organisation's peer runs an enclave, and no other's does.
      const identity = { mspId: "Org2MSP", certificate: "client.pem", key: "client-key.pem" };
      const asClient = settingsWith("client.json", { identity, host: undefined });
      const tooFew =
        /of Org2MSP answered, and the policy is .*; Org1MSP: NOT_FOUND: this peer runs no enclave.*; Org3MSP: /;
      refused(await invoke(asClient, "eval", "far"), enclaveErrors.NOT_FOUND.exit, tooFew);
    });

    it("ends in good order when the peer tells it to, or is gone", async () => {
      assert.equal(await peer.end("SIGTERM"), 0, peer.log);
      await start();
      peer.leave();
      assert.equal(await peer.ended(), 0, peer.log);
    });

    const runStep = join(import.meta.dirname, "../../../../bin/external-builder/bin/run");
    const builderRun = (builder: string | undefined) => ({
      env: { PATH: "/usr/bin:/bin", ...(builder === undefined ? {} : { STRONGROOM_BUILDER_FOLDER: builder }) },
      encoding: "utf8" as const,
      timeout: 60_000,
    });
    const metadataFor = (change: object) => {
      const at = mkdtempSync(join(folder, "told-"));
      const told = { chaincode_id: packageId, peer_address: peer.address, mspid: "Org2MSP", ...change };
      writeFileSync(join(at, "chaincode.json"), JSON.stringify(told));
      return at;
    };
  });

  describe("its commands, by an organisation's connection settings", () => {
    before(() => flow().closeAgents());

    const run = (organisation: number, ...args: string[]) =>
      runStrongroom(["fpc", ...args, "--connection", consortium.connectionOf(organisation)]);
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
      assert.equal(status.enclaves.length, 7);
      assert.equal(status.tee.protectsFromRoot, false);
    });

    it("issue recovery shares, release one's own, and recover the keys where enough are", async () => {
      assert.match(printed(await run(1, "keys", "share", "--enclave", "a")), /3 shares of generation 1 are issued; 2/);
      const again = printed(await run(1, "keys", "share", "--enclave", "a"));
      assert.match(again, /issued by Org1MSP already, for policy 1: nothing is issued/);
      assert.match(again, /has verified that any 2 of them recover it\n.*\nOrg1MSP's own share opens/);
      const made = printed(await run(3, "enclave", "create", "--enclave", "d"));
      const [receiver = ""] = /[0-9A-F]{64}/.exec(made) ?? [];
      assert.match(printed(await run(2, "keys", "release", receiver)), /Org2MSP released its shares/);
      const tooFew = /POLICY_DENIED: 1 recovery shares are released, and 2 are needed/;
      refused(await run(3, "keys", "recover", "--enclave", "d"), enclaveErrors.POLICY_DENIED.exit, tooFew);
      assert.match(printed(await run(3, "keys", "release", receiver)), /Org3MSP released its shares/);
      assert.match(printed(await run(3, "keys", "recover", "--enclave", "d")), /has recovered the keys of auction/);
      assert.match(printed(await run(2, "enclave", "show", receiver)), /state +provisioned\ngeneration +1/);
    });

    /** What is awaited, as `Org2MSP: keys import`. */
    const awaited = async (organisation: number): Promise<readonly string[]> => {
      const status = JSON.parse(printed(await run(organisation, "status", "--json")));
      return status.awaited.map(({ of, command }: Awaited) => `${of.join(" or ")}: ${command}`);
    };
    const at = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };

    it("put an own enclave out, and no other organisation's", async () => {
      refused(await run(1, "keys", "revoke", id, "--reason", "lost"), enclaveErrors.UNAUTHORIZED.exit, /error: /);
      assert.match(printed(await run(3, "keys", "revoke", id, "--reason", "lost")), /is revoked/);
      assert.deepEqual(await awaited(2), ["Org1MSP or Org2MSP or Org3MSP: keys rotate --phase propose"]);
    });

    it("put another organisation's out by what enough organisations signed, each at its own place", async () => {
      // The one that the second organisation's peer ran.
      const out = flow().hosts.findLast(({ member }) => member.mspId === "Org2MSP");
      const gone = ownId((out ?? flow().host(1)).agent);
      const revoke = (organisation: number, ...words: string[]) => run(organisation, "keys", "revoke", gone, ...words);
      const why = ["--reason", "its peer's machine was stolen"];
      refused(
        await revoke(1, ...why, "--together"),
        2,
        /2 of Org1MSP, Org2MSP, Org3MSP have to sign.*\n.*hint: at 2 of them: .* --reason 'its peer'\\''s machine was stolen' --sign .*; then at one: /,
      );
      const first = at("first.json", printed(await revoke(1, ...why, "--sign")));
      refused(await revoke(1, first, ...why, "--together"), enclaveErrors.BAD_SIGNATURE.exit, /error: /);
      const other = at("other.json", printed(await revoke(3, "--reason", "lost", "--sign")));
      refused(
        await revoke(1, first, other, ...why, "--together"),
        enclaveErrors.WRONG_CONTEXT.exit,
        /of Org3MSP is of/,
      );
      const third = at("third.json", printed(await revoke(3, ...why, "--sign")));
      assert.match(printed(await revoke(1, first, third, ...why, "--together")), /is revoked/);
      assert.match(printed(await run(2, "enclave", "show", gone)), /state +revoked: its peer's machine was stolen/);
    });

    it("rotate the keys: one proposes, each confirms at its own place, one activates, and shares are issued anew", async () => {
      refused(await run(1, "keys", "rotate", "--enclave", "a"), 2, /in its two phases/);
      const propose = () => run(1, "keys", "rotate", "--phase", "propose", "--enclave", "a");
      const proposed = printed(await propose());
      assert.match(proposed, /^generation 2 is proposed\n/);
      assert.equal(proposed.match(/exported to/g)?.length, 5, "to every holder that is left");
      assert.equal(printed(await propose()), proposed, "the same again");
      const activate = (organisation: number) => run(organisation, "keys", "rotate", "--phase", "activate");
      refused(await activate(2), enclaveErrors.POLICY_DENIED.exit, /1 of 6 enclaves have confirmed generation 2/);
      const steps = printed(await run(3, "status")).matchAll(/^awaited +(.*?)(?: by enclave [0-9A-F]{16})? \(/gm);
      assert.deepEqual(Array.from(steps, ([, step]) => step).toSorted(), [
        "Org1MSP: keys import",
        "Org2MSP: keys import",
        "Org2MSP: keys import",
        "Org3MSP: keys import --enclave a",
        "Org3MSP: keys import --enclave d",
      ]);

      const confirm = (organisation: number, name: string) => run(organisation, "keys", "import", "--enclave", name);
      for (const [organisation, name] of [
        [2, "a"],
        [2, "b"],
        [2, "a"],
      ] as const)
        assert.match(
          printed(await confirm(organisation, name)),
          /generation 2 .*, which is proposed: that confirms it/,
        );
      refused(await activate(2), enclaveErrors.POLICY_DENIED.exit, /3 of 6 enclaves/);
      printed(await confirm(3, "a"));
      assert.deepEqual((await awaited(2)).toSorted(), [
        "Org1MSP or Org2MSP or Org3MSP: keys rotate --phase activate",
        "Org1MSP: keys import",
        "Org3MSP: keys import",
      ]);
      assert.match(printed(await activate(3)), /generation 2 is in force/);
      refused(await activate(2), enclaveErrors.NOT_FOUND.exit, /is proposed: generation 2 is in force/);

      assert.match(printed(await confirm(1, "b")), /holds the keys of auction/);
      assert.deepEqual((await awaited(1)).toSorted(), [
        "Org1MSP or Org2MSP or Org3MSP: keys share",
        "Org3MSP: keys import",
      ]);
      assert.match(printed(await run(3, "keys", "share", "--enclave", "a")), /3 shares of generation 2 are issued/);
      assert.match(printed(await confirm(3, "d")), /holds the keys of auction/);
      assert.deepEqual(await awaited(1), []);
    });

    it("tell the measurement of the enclave that a host would create", async () => {
      const { allowedVersions } = await flow().host(0).member.client.policy();
      assert.deepEqual(allowedVersions, [printed(await run(1, "enclave", "measure")).trim()]);
    });

    it("upgrade the chaincode to another endorsement policy, each organisation for its enclaves, and tell what comes next", async () => {
      const words = ["--endorsement", "AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"];
      const document = join(folder, "upgrade.json");
      const upgrade = async (organisation: number, to = document) =>
        printed(await run(organisation, "chaincode", "upgrade", "auction", ...words, "--document", to));
      const bring = async (policy: string) => {
        const signatures = [];
        for (const organisation of [1, 3])
          signatures.push(at(`${organisation}.json`, printed(await run(organisation, "policy", "sign", policy))));
        return await run(2, "policy", "set", policy, ...signatures);
      };
      const next = JSON.parse(printed(await run(1, "policy", "show", "--next")));
      assert.deepEqual([next.number, next.successor], [2, undefined]);
      refused(await run(1, "enclave", "attest", "--sequence", "2", "--enclave", "b"), 3, /POLICY_DENIED: /);
      assert.match(
        await upgrade(1),
        /is to be of sequence 2, .*\n- 2 of Org1MSP, Org2MSP, Org3MSP sign policy 2, .*\n +strongroom fpc policy sign .*upgrade.json --connection FILE > MSPID.signature\n/,
      );
      const text = readFileSync(document, "utf8");
      const { successor, ...others } = JSON.parse(text);
      assert.deepEqual([successor.sequence, others], [2, next], "nothing else is changed");
      const alone = at("1.json", printed(await run(1, "policy", "sign", document)));
      refused(await run(2, "policy", "set", document, alone), enclaveErrors.BAD_SIGNATURE.exit, /error: /);
      await upgrade(3, join(folder, "upgrade-of-third.json"));
      assert.equal(readFileSync(join(folder, "upgrade-of-third.json"), "utf8"), text, "the same at each of them");
      const taken = run(1, "chaincode", "upgrade", "auction", ...words, "--document", at("taken.json", "mine"));
      refused(await taken, 2, /taken.json is there already/);
      assert.match(printed(await bring(document)), /policy 2 is in force/);

      const mine = await upgrade(1);
      assert.match(mine, /next:\n- Org2MSP, Org3MSP have their enclaves attest for sequence 2: /);
      assert.doesNotMatch(mine, /peer lifecycle/);
      assert.deepEqual(
        (await awaited(1)).toSorted(),
        ["Org2MSP", "Org2MSP", "Org3MSP", "Org3MSP"].map((mspId) => `${mspId}: enclave attest --sequence 2`),
      );
      await upgrade(2);
      const [measurement] = JSON.parse(text).allowedVersions;
      assert.ok(
        (await upgrade(3)).includes(
          `peer lifecycle chaincode commit --channelID channel1 --name auction --version ${measurement} --sequence 2 --signature-policy 'AND(`,
        ),
      );
      consortium.channel.define("auction", measurement, 2, 3);
      const closing = join(folder, "closing.json");
      assert.match(
        await upgrade(2, closing),
        /auction is of sequence 2, .*\n- 2 of .* sign policy 3, which names no successor/,
      );
      assert.match(printed(await bring(closing)), /policy 3 is in force/);
      assert.match(await upgrade(1), /^auction is so already: sequence 2, endorsed by AND\('Org1MSP.peer', /);
      const status = JSON.parse(printed(await run(1, "status", "--json")));
      assert.deepEqual(status.enclaves.map(({ state, sequence }: EnclaveRow) => `${state} ${sequence}`).toSorted(), [
        ...Array(6).fill("provisioned 2"),
        "revoked 1",
        "revoked 1",
      ]);
      assert.deepEqual(status.awaited, []);
    });

    it("leave a chaincode that enclaves of all three organisations answer for, with what was written before", async () => {
      const { client, identity } = flow().host(0).member;
      await consortium.serve("Org2MSP");
      await using stack = new AsyncDisposableStack();
      const agents: EnclaveAgent[] = [];
      for (const organisation of [1, 2, 3])
        agents.push(stack.use(await (await consortium.member(organisation)).agent("a")));
      const call = async (by: readonly EnclaveAgent[], ...words: string[]) =>
        (await callConfidentially(client, identity, by, words)).payload.toString();
      await assert.rejects(call(agents.slice(1), "close", "lot"), { code: "POLICY_DENIED" });
      assert.equal(await call(agents, "close", "lot"), "OK");
      assert.match(await call(agents, "eval", "lot"), /"amount":"300"/);
    });

    it("refuse what of an upgrade is for trial networks, and what enclaves could not meet, and change nothing", async () => {
      const upgrade = (...words: string[]) => run(1, "chaincode", "upgrade", "auction", ...words);
      for (const words of [["--code"], ["--recover"], ["--old-installation", folder], ["--by", "1,2"]])
        refused(await upgrade(...words), 2, /cannot be used with option/);
      refused(await upgrade("--endorsement", "OR('Org9MSP.peer', 'Org1MSP.peer')"), 2, /names Org9MSP/);
      refused(await upgrade("--endorsement", "'Org1MSP.admin'"), 2, /no peers of the organisations meet/);
      refused(await run(1, "chaincode", "upgrade", "other"), 2, /no private chaincode other/);
    });

    it("trace what the ledger and the own host show", async () => {
      const trace = printed(await run(1, "trace", "auction"));
      const inOrder = [
        "registerEnclave\\(",
        "put_state\\(namespaces/chaincode_ek/auction\\)",
        "putKeyExport\\(",
        "revokeEnclave\\(",
        "revokeByStatement\\(",
        "activateGeneration\\(2\\)",
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
      assert.equal((await ask(2, {})).chaincodeId, "auction");
      await assert.rejects(ask(2, { tlsServerName: "peer0.org3msp.example.com" }), { code: unavailable });
      await assert.rejects(ask(2, { tlsRoots: undefined }), { code: unavailable });
    });

    it("is refused by a peer that wants a certificate, and gets none, or another authority's", async () => {
      assert.equal((await ask(1, {})).chaincodeId, "auction");
      await assert.rejects(ask(1, { tlsCertificate: undefined, tlsKey: undefined }), { code: unavailable });
      const tls = await (await TestOrganisation.create("Org1MSP")).issueTls("admin");
      writeFileSync(join(consortium.folderOf(1), "other-tls.pem"), tls.certificate);
      writeFileSync(join(consortium.folderOf(1), "other-tls-key.pem"), tls.key, { mode: 0o600 });
      const other = { tlsCertificate: "other-tls.pem", tlsKey: "other-tls-key.pem" };
      await assert.rejects(ask(1, other), { code: unavailable });
    });
  });
});
