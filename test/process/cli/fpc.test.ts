import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type EnclaveErrorCode, enclaveErrors } from "../../../src/enclave/errors.ts";
import { patternOf, readPage, runSession, stepsOf } from "../docs/written-session.ts";
import { type Outcome, repository, runStrongroom, TemporaryFolder } from "../running-server.ts";

const page = readPage("fpc.md");

/** Of a command that goes well: its standard output. */
function printed({ code, stdout, stderr }: Outcome): string {
  assert.equal(code, 0, stderr);
  return stdout;
}

/** What a mistake prints, and that it prints nothing else and no stack. */
function refused({ code, stdout, stderr }: Outcome, expected: { readonly code: number; readonly says: RegExp }): void {
  assert.match(stderr, expected.says);
  assert.doesNotMatch(stderr, /^\s+at /m);
  assert.deepEqual({ code, stdout }, { code: expected.code, stdout: "" }, stderr);
}

function exitOf(code: EnclaveErrorCode): number {
  return enclaveErrors[code].exit;
}

/** Of what a command prints of an enclave. */
function idIn(text: string): string {
  const [id] = /[0-9A-F]{64}/.exec(text) ?? [];
  assert.ok(id !== undefined, text);
  return id;
}

describe("docs/fpc.md", () => {
  const folder = new TemporaryFolder();
  const run = (...args: string[]) => runStrongroom(["fpc", ...args, "--folder", join(folder.path, "fpc-network")]);
  after(() => folder[Symbol.dispose]());

  it("holds commands that do what it says, as they are written", { timeout: 600_000 }, async () => {
    const steps = stepsOf(page);
    const session = await runSession(steps, folder.path, {});
    for (const [index, { heading, printed: shown }] of steps.entries()) {
      const text = session.printed[index];
      assert.ok(text !== undefined, `${heading} is reached\n${session.stderr}`);
      if (shown !== undefined) assert.match(text, patternOf(shown), `${heading}\n${text}\n${session.stderr}`);
    }
    assert.equal(session.exitCode, 0, session.stderr);
    assert.match(session.stderr, /for trials only: all keys lie in this folder/);
  });

  it("leaves a network whose state programs can read", async () => {
    const status = JSON.parse(printed(await run("status", "--json")));
    assert.deepEqual(
      {
        chaincodeId: status.chaincodeId,
        activeGeneration: status.activeGeneration,
        mustRotate: status.mustRotate,
        recoveryThreshold: status.recoveryThreshold,
        kind: status.tee.kind,
        protectsFromRoot: status.tee.protectsFromRoot,
      },
      {
        chaincodeId: "auction",
        activeGeneration: 2,
        mustRotate: false,
        recoveryThreshold: 2,
        kind: "process",
        protectsFromRoot: false,
      },
    );
    const rows: readonly { mspId: string; state: string; generation: number }[] = status.enclaves;
    assert.deepEqual(rows.map(({ mspId, state, generation }) => `${mspId} ${state} ${generation}`).sort(), [
      "Org1MSP provisioned 2",
      "Org2MSP provisioned 2",
      "Org3MSP provisioned 2",
    ]);
  });

  it("leaves a network on which the diagram's commands, given again, change nothing", async () => {
    const rows = async () => printed(await run("enclave", "list"));
    const before = await rows();
    // The export is of the sequence before the upgrade, and was taken then.
    const again = printed(await run("lifecycle", "chaincode", "importcckeys", "auction", "--org", "2"));
    assert.match(again, /^enclave [0-9A-F]{64} holds the keys of auction$/m);
    const [text, json] = [await run("keys", "generate"), await run("keys", "generate", "--json")];
    assert.match(printed(text), /^generation 2 of auction's keys is in force, in enclave [0-9A-F]{64}$/m);
    assert.equal(JSON.parse(printed(json)).generation, 2);
    refused(await run("keys", "export", "--to", idIn(again), "--org", "2"), {
      code: exitOf("WRONG_CONTEXT"),
      says: /does not export to itself\n.*another enclave.*enclave list/,
    });
    refused(await run("enclave", "attest", "--sequence", "1"), {
      code: exitOf("REPLAY"),
      says: /is of sequence 2, .*\n.*fpc status shows the definition's sequence/,
    });
    assert.equal(await rows(), before);
  });

  it("leaves a trace with each step of the diagram in its order, with the records that transactions wrote", async () => {
    const trace = printed(await run("trace", "auction"));
    assert.match(trace, /^@startuml\n[\s\S]*\n@enduml\n$/);
    const inOrder = [
      "ecall_init\\(\\)",
      "registerEnclave\\(",
      "put_state\\(namespaces/credentials/auction/",
      "ecall_generate_cc_keys\\(\\)",
      "store sealed blob",
      "registerCCKeys\\(cckey_registration_message of .*, generation 1\\)",
      "put_state\\(namespaces/chaincode_ek/auction\\)",
      "put_state\\(namespaces/provisioned/auction/",
      "block \\d+, VALID",
      "announceExport\\(from .* to .*, generation 1\\)",
      "put_state\\(namespaces/announced/auction/",
      "ecall_export_cc_keys\\(Enclave2_Credentials\\)",
      "can_endorse\\(auction, ",
      "putKeyExport\\(export_message from .* to .*, generation 1\\)",
      "put_state\\(namespaces/exported/auction/",
      "ecall_import_cc_keys\\(Export_message\\)",
      "GetMetadata\\(\\) for Export_message",
      "store sealed blob",
      "registerCCKeys\\(cckey_registration_message of .*, generation 1\\)",
      "put_state\\(namespaces/provisioned/auction/",
      "put_state\\(namespaces/confirmed/auction/2/",
      "activateGeneration\\(2\\)",
      "putRecovery\\(",
      "releaseShare\\(",
    ];
    assert.match(trace, new RegExp(inOrder.join("[\\s\\S]*")));
    assert.equal(trace.match(/put_state\(namespaces\/chaincode_ek\/auction\)/g)?.length, 2, "once a generation");
  });

  it("names functions and tests that there are", () => {
    const read = (path: string) => {
      assert.ok(existsSync(join(repository, path)), path);
      return readFileSync(join(repository, path), "utf8");
    };
    const rows = page.split("\n").filter((line) => /^\| \d+/.test(line));
    const steps = new Set<number>();
    for (const row of rows) {
      const [, numbers = "", , functions = "", tests = ""] = row.split(" | ").join("|").split("|");
      for (const [number] of numbers.matchAll(/\d+/g)) steps.add(Number(number));
      const cited = [...functions.matchAll(/`([\w/-]+\.ts)` `(\w+)`/g)];
      const shown = [...tests.matchAll(/`([\w/-]+(?:\.test)?\.ts)` "([^"]+)"/g)];
      assert.ok(cited.length > 0 && shown.length > 0, row);
      for (const [, file = "", name = ""] of cited)
        assert.match(
          read(`src/enclave/${file}`),
          new RegExp(`(function|class|const|async) ${name}\\b|^  ${name}\\(`, "m"),
          row,
        );
      for (const [, file = "", title = ""] of shown) assert.ok(read(`test/${file}`).includes(`("${title}"`), row);
    }
    assert.deepEqual(
      [...steps],
      Array.from({ length: 28 }, (_, index) => index + 1),
    );
  });

  it("names tests that there are, of each reason class one at least", () => {
    const [, refusals = ""] = page.split("## What is refused, and the test that shows it");
    const cited = refusals.split("\n").filter((line) => /^\| (?!---|.* test \|$)/.test(line));
    assert.ok(cited.length > 70, `${cited.length}`);
    for (const row of cited) {
      const [, file = "", title = ""] = /\| `([\w/-]+\.test\.ts)` "(.+)" \|$/.exec(row) ?? [];
      const text = readFileSync(join(repository, "test", file), "utf8");
      assert.ok(text.includes(`("${title}"`) || text.includes(`(\`${title}\``), row);
    }
    const shown = new Set(cited.map((row) => row.split(" ")[1]));
    const classes = Object.entries(enclaveErrors).filter(([code, { exit }]) => page.includes(`| ${code} | ${exit} |`));
    assert.ok(classes.length >= 16, `${classes.length}`);
    for (const [code] of classes) assert.ok(shown.has(code), code);
  });

  it("names each reason class with its exit code and meaning", () => {
    for (const [code, { exit, meaning }] of Object.entries(enclaveErrors))
      assert.ok(page.includes(`| ${code} | ${exit} | ${meaning} |`) || page.includes(`\`${code}\``), code);
  });
});

describe("strongroom fpc", () => {
  const folder = new TemporaryFolder();
  const network = join(folder.path, "network");
  const run = (...args: string[]) => runStrongroom(["fpc", ...args, "--folder", network]);
  after(() => folder[Symbol.dispose]());

  before(async () => {
    printed(await run("network", "up", "--orgs", "2", "--chaincode", "sealed"));
  });

  it("refuses a folder that holds no network, or something else", async () => {
    const elsewhere = folder.file("elsewhere/notes", "mine");
    const there = ["--folder", join(elsewhere, "..")];
    const usage = exitOf("SETTINGS_INVALID");
    refused(await runStrongroom(["fpc", "status", ...there]), { code: usage, says: /holds no network\n.*network up/ });
    refused(await runStrongroom(["fpc", "network", "up", ...there]), { code: usage, says: /is not empty/ });
    refused(await run("network", "up"), { code: usage, says: /is not empty.*\n.*holds a network already/ });
    assert.equal(readFileSync(elsewhere, "utf8"), "mine");
  });

  it("refuses a network that was not finished, and says so", async () => {
    const there = ["--folder", join(folder.file("unfinished/ledger/lock", ""), "..", "..")];
    const usage = exitOf("SETTINGS_INVALID");
    refused(await runStrongroom(["fpc", "status", ...there]), { code: usage, says: /holds no network\n.*interrupted/ });
    refused(await runStrongroom(["fpc", "network", "up", ...there]), {
      code: usage,
      says: /is not empty.*\n.*remove it/,
    });
  });

  it("refuses a name that no private chaincode can have, before it makes anything", async () => {
    for (const name of ["a/b", "ercc", ""]) {
      const there = join(folder.path, "misnamed");
      refused(await runStrongroom(["fpc", "network", "up", "--chaincode", name, "--folder", there]), {
        code: exitOf("SETTINGS_INVALID"),
        says: /cannot be the private chaincode's name\n.*letters and digits/,
      });
      assert.ok(!existsSync(there));
    }
  });

  it("refuses organisations, chaincodes, enclaves and names that there are not", async () => {
    const missing = exitOf("NOT_FOUND");
    refused(await run("status", "--org", "3"), { code: missing, says: /organisations 1 to 2, not 3/ });
    refused(await run("invoke", "auction", "create", "lot"), {
      code: 2,
      says: /no private chaincode auction\n.*is sealed/,
    });
    refused(await run("lifecycle", "chaincode", "exportcckeys", "sealed"), {
      code: 2,
      says: /Org1MSP has no enclave main\n.*enclave create --org 1 --enclave main/,
    });
    refused(await run("lifecycle", "chaincode", "exportcckeys", "other"), {
      code: 2,
      says: /no private chaincode other\n.*is sealed/,
    });
    refused(await run("keys", "release"), { code: missing, says: /has no keys on the channel/ });
    refused(await run("keys", "release", "main"), { code: 2, says: /by its id or the first digits/ });
    refused(await run("enclave", "show", "00"), { code: 2, says: /no enclave has an id that begins with 00/ });
    refused(await run("enclave", "create", "--enclave", "../main"), {
      code: exitOf("SETTINGS_INVALID"),
      says: /"\.\.\/main" cannot be an enclave's name: .*lower-case letters, digits and hyphens\n.*--enclave/,
    });
  });

  it("refuses options that are wrong or missing", async () => {
    for (const org of ["first", "0", "10000", "1e3", "-1"])
      refused(await run("status", "--org", org), { code: 2, says: /a whole number from 1 to 9999 was expected/ });
    refused(await run("keys", "rotate", "--phase", "third"), { code: 2, says: /Allowed choices are propose/ });
    refused(await run("keys", "revoke", "00"), { code: 2, says: /--reason/ });
    refused(await run("invoke", "sealed", "eval", "lot", "--enclave", "a"), { code: 2, says: /leave out --enclave/ });
    refused(await run("status", "--verbose"), { code: 2, says: /unknown option '--verbose'/ });
    for (const orgs of ["0", "17", "99999"])
      refused(await run("network", "up", "--orgs", orgs, "--folder", join(folder.path, "large")), {
        code: 2,
        says: /a whole number from 1 to 16 was expected/,
      });
    assert.equal(existsSync(join(folder.path, "large")), false);
  });

  it("measures an enclave without creating one, and leaves no trace of one that was refused", async () => {
    const enclaves = join(network, "organisations/Org1MSP/enclaves");
    const { measurement, tee } = JSON.parse(printed(await run("enclave", "measure", "--json")));
    assert.match(measurement, /^[0-9A-F]{64}$/);
    assert.equal(tee, "process");
    assert.equal(printed(await run("enclave", "measure")), `${measurement}\n`);
    refused(await run("enclave", "measure", "--org", "3"), { code: 2, says: /organisations 1 to 2, not 3/ });
    refused(await run("enclave", "create", "--enclave", "next", "--key-manager", "km:1"), {
      code: 2,
      says: /together/,
    });
    assert.equal(existsSync(join(enclaves, "sealed")), false, "neither leaves a folder behind");
    folder.file("network/organisations/Org1MSP/enclaves/sealed/cut/lock", "");
    refused(await run("keys", "generate", "--enclave", "cut"), {
      code: 2,
      says: /has no enclave cut\n.*enclave create/,
    });
    rmSync(enclaves, { recursive: true });
  });

  it("refuses a channel of Fabric whose peer is not there, and a file that says none, with what to do", async () => {
    const text = JSON.stringify({
      format: 1,
      channel: "mychannel",
      channelHash: "ab".repeat(32),
      chaincode: "sealed",
      gateway: { address: "127.0.0.1:1" },
      identity: {
        mspId: "Org1MSP",
        certificate: join(network, "ledger/organisations/Org1MSP/admin.pem"),
        key: join(network, "ledger/organisations/Org1MSP/admin.key"),
      },
    });
    const at = (path: string) => runStrongroom(["fpc", "status", "--connection", path]);
    refused(await at(folder.file("connection.json", text)), {
      code: exitOf("LEDGER_UNAVAILABLE"),
      says: /error: LEDGER_UNAVAILABLE: .*ECONNREFUSED 127\.0\.0\.1:1\n.*hint: .*gateway in the connection settings/,
    });
    refused(await at(folder.path), {
      code: exitOf("SETTINGS_INVALID"),
      says: /SETTINGS_INVALID: .* cannot be read: it is a folder\n.*hint: docs\/fabric\.md/,
    });
  });

  it("refuses an upgrade by its reason class, with what to do", async () => {
    const upgrade = (...args: string[]) => run("chaincode", "upgrade", ...args);
    refused(await upgrade("sealed", "--endorsement", "AND("), {
      code: exitOf("MALFORMED"),
      says: /error: MALFORMED: .* at character 5 .*\n.*hint: .*OutOf\(2, /,
    });
    refused(await upgrade("sealed", "--endorsement", "'Org1MSP.peer'", "--by", "1"), {
      code: exitOf("BAD_SIGNATURE"),
      says: /error: BAD_SIGNATURE: .*signatures of 1 organisations, and needs 2\n.*hint: have as many organisations sign/,
    });
    refused(await upgrade("sealed", "--by", "1,1"), { code: 2, says: /named twice/ });
    const bare = ["chaincode", "upgrade", "auction", "--folder", network];
    refused(await runStrongroom(bare, { program: "lifecycle" }), { code: 2, says: /no private chaincode auction/ });
  });

  it("refuses what comes too early", async () => {
    refused(await run("invoke", "sealed", "create", "lot"), {
      code: 3,
      says: /2 organisations have to run.*0 hold.*\n.*no keys yet.*initEnclave sealed/,
    });
    const lifecycle = (...args: string[]) =>
      runStrongroom(["chaincode", ...args, "--folder", network], { program: "lifecycle" });
    printed(await run("enclave", "create", "--org", "2"));
    refused(await lifecycle("importcckeys", "sealed", "--org", "2"), {
      code: exitOf("NOT_FOUND"),
      says: /no keys have been exported to enclave/,
    });
    refused(await run("keys", "export", "--org", "2"), {
      code: exitOf("NOT_PROVISIONED"),
      says: /enclave .* of this host holds no keys of sealed/,
    });
    const first = idIn(printed(await lifecycle("initEnclave", "sealed", "--org", "1")));
    refused(await run("keys", "export", "--org", "2", "--to", first.slice(0, 12)), {
      code: exitOf("NOT_PROVISIONED"),
      says: /error: .*keys/,
    });
    refused(await run("invoke", "sealed", "create", "lot"), {
      code: 3,
      says: /2 organisations have to run.*1 hold.*\n.*keys export, then keys import/,
    });
  });

  it("refuses keys of a second enclave, which drops them again", async () => {
    refused(await run("keys", "generate", "--org", "2"), {
      code: exitOf("ALREADY_SET"),
      says: /import it.*\n.*keys generate --discard/,
    });
    assert.deepEqual(JSON.parse(printed(await run("keys", "generate", "--org", "2", "--discard", "--json"))), {
      discarded: [1],
    });
  });

  it("brings into force the policy that it showed, once the organisations have signed it", async () => {
    const document = folder.file("policy.json", printed(await run("policy", "show", "--next")));
    const signed = await Promise.all(
      [1, 2].map(async (org) =>
        folder.file(`org${org}.signature`, printed(await run("policy", "sign", document, "--org", `${org}`))),
      ),
    );
    const [one = ""] = signed;
    refused(await run("policy", "set", document, one), {
      code: exitOf("BAD_SIGNATURE"),
      says: /signatures of 1 organisations, and needs 2/,
    });
    for (const [path, says] of [
      [folder.file("text.json", "{"), /MALFORMED: .*text\.json: .* is not JSON\n.*policy show --next/],
      [one, /MALFORMED: .*org1\.signature: the policy document: .*\n.*policy show --next/],
    ] as const)
      refused(await run("policy", "sign", path), { code: 2, says });
    refused(await run("policy", "set", document, one, document), {
      code: 2,
      says: /MALFORMED: .*policy\.json: .*no signature/,
    });
    const other = folder.file("other.json", readFileSync(document, "utf8").replace('"number": 2', '"number": 3'));
    refused(await run("policy", "set", other, ...signed), { code: 3, says: /error: [A-Z_]+: / });
    assert.match(printed(await run("policy", "set", document, ...signed)), /^policy 2 is in force$/m);
  });

  it("does not call an enclave registered that is revoked, and says how to make another", async () => {
    const [enclave] = JSON.parse(printed(await run("enclave", "list", "--json"))).filter(
      ({ mspId }: { mspId: string }) => mspId === "Org2MSP",
    );
    printed(await run("keys", "revoke", enclave.id, "--reason", "lost", "--org", "2"));
    const again = { code: exitOf("POLICY_DENIED"), says: /is revoked\n.*under another name \(--enclave\)/ };
    refused(await run("enclave", "create", "--org", "2"), again);
    refused(await run("lifecycle", "chaincode", "initEnclave", "sealed", "--org", "2"), again);
    const another = idIn(printed(await run("enclave", "create", "--org", "2", "--enclave", "another")));
    assert.notEqual(another, enclave.id);
  });
});
