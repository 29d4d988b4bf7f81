import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { TrialOrganisation } from "../../../../src/enclave/operator/trial-organisation.ts";

const hosts = { servers: ["https://km-1:8443"], identity: "/etc/host", masterKey: "alias/host" };
const own = { servers: ["https://km-2:8443", "https://km-3:8443"], identity: "/etc/other", masterKey: "alias/own" };

describe("the key manager of an enclave", () => {
  let folder: string;
  let organisation: TrialOrganisation;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "key-manager-choice-"));
    organisation = new TrialOrganisation("Org1MSP", folder);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const chosen = (name = "main") => organisation.keyManagers("auction").of(name);
  const choose = (given?: typeof own) => organisation.keyManagers("auction").choose("main", given);
  const create = () => {
    const enclave = organisation.enclaveFolder("auction", "main");
    mkdirSync(enclave, { recursive: true });
    writeFileSync(join(enclave, "blob"), "sealed");
  };

  it("is none where none is named", () => {
    choose();
    assert.equal(chosen(), undefined);
    assert.deepEqual(organisation.enclaves("auction"), []);
  });

  it("is the host's, unless another is given", () => {
    organisation.setKeyManager(hosts);
    choose();
    assert.deepEqual(chosen(), hosts);
    assert.equal(chosen("second"), undefined);
    choose(own);
    assert.deepEqual(chosen(), own);
  });

  it("stays with the enclave whatever becomes the host's, and moves when it is given anew", () => {
    choose(own);
    create();
    organisation.setKeyManager(hosts);
    choose();
    assert.deepEqual(chosen(), own);
    choose({ ...own, servers: ["https://km-4:8443"] });
    assert.deepEqual(chosen()?.servers, ["https://km-4:8443"]);
  });

  it("is of no enclave whose creation did not come to its end", () => {
    choose(own);
    writeFileSync(join(organisation.enclaveFolder("auction", "main"), "credentials"), "of a creation");
    assert.deepEqual(organisation.keyManagers("auction").enclaves(), []);
  });

  it("is not given to an enclave that was created without one", () => {
    choose();
    create();
    assert.throws(() => choose(own), { code: "CONFLICT", message: /main was created without/ });
    organisation.setKeyManager(hosts);
    choose();
    assert.equal(chosen(), undefined);
  });

  for (const [what, text] of [
    ["no JSON", "{"],
    ["a list", "[]"],
    ["no address", '{"servers":["km"],"identity":"/etc/host","masterKey":"alias/a"}'],
    ["more than settings", JSON.stringify({ ...hosts, password: "p" })],
    ["too much", JSON.stringify({ ...hosts, masterKey: "k".repeat(20_000) })],
  ] as const)
    it(`is refused where its file holds ${what}`, () => {
      organisation.setKeyManager(hosts);
      choose();
      const file = join(organisation.enclaveFolder("auction", "main"), "key-manager.json");
      assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), hosts);
      writeFileSync(file, text);
      assert.throws(() => chosen(), { code: "SETTINGS_INVALID" });
    });
});
