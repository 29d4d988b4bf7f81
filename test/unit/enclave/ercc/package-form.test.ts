import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readConnection, readPackageType } from "../../../../src/enclave/ercc/external-builder/package-form.ts";
import {
  readPrivateChaincode,
  readRunMetadata,
} from "../../../../src/enclave/ercc/external-builder/private-chaincode.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";

const connection = { address: "127.0.0.1:9999", dial_timeout: "5s", tls_required: false };
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "package-form-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function read(value: unknown) {
  await writeFile(join(folder, "connection.json"), typeof value === "string" ? value : JSON.stringify(value));
  return await readConnection(folder);
}
const refusal = (code: EnclaveErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof EnclaveError && error.code === code && text.test(error.message);

describe("a chaincode package of a service", () => {
  it("is known by its type alone", async () => {
    const typeOf = async (metadata: unknown) => {
      await writeFile(join(folder, "metadata.json"), JSON.stringify(metadata));
      return await readPackageType(folder);
    };
    assert.equal(await typeOf({ type: "ccaas", label: "ercc_1.0" }), "ccaas");
    assert.equal(await typeOf({ type: "golang" }), "golang");
    for (const other of [{ type: ["ccaas"] }, {}, null, "ccaas", ["ccaas"]])
      assert.equal(await typeOf(other), undefined);
  });

  it("names a service on the peer's own machine, or one on another with its certificates", async () => {
    const pem = (kind: string) => `-----BEGIN ${kind}-----\nAAAA\n-----END ${kind}-----\n`;
    const remote = {
      address: "ercc.org1.example.org:9999",
      dial_timeout: "10s",
      tls_required: true,
      client_auth_required: true,
      root_cert: pem("CERTIFICATE"),
      client_cert: pem("CERTIFICATE"),
      client_key: pem("PRIVATE KEY"),
    };
    assert.deepEqual(await read(remote), remote);
    const local = { ...connection, client_auth_required: false };
    assert.deepEqual(await read(connection), local);
    assert.deepEqual(await read({ address: "[::1]:1" }), { ...local, address: "[::1]:1", dial_timeout: "10s" });
  });

  const wrong: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["no address", { address: undefined }, /address/],
    ["an address without a port", { address: "localhost" }, /address/],
    ["an address with a scheme", { address: "http://localhost:1" }, /address/],
    ["another machine without TLS", { address: "10.0.0.1:9999" }, /tls_required/],
    ["another machine whose name begins as this one's", { address: "localhost.example.org:9999" }, /tls_required/],
    ["TLS without a root", { tls_required: true }, /root_cert/],
    ["client certificates without TLS", { client_auth_required: true }, /client_auth_required/],
    ["a text for a switch", { tls_required: "false" }, /tls_required/],
    ["a path for a certificate", { root_cert: "/etc/ssl/root.pem" }, /root_cert/],
    ["a time that is none", { dial_timeout: "soon" }, /dial_timeout/],
    ["a field that is unknown", { adress: "127.0.0.1:9999" }, /adress/],
  ];
  for (const [what, change, text] of wrong)
    it(`is MALFORMED with ${what}, and the field is named`, async () => {
      await assert.rejects(read({ ...connection, ...change }), refusal("MALFORMED", text));
    });

  it("is MALFORMED with text that is no JSON, or too long, and NOT_FOUND without a connection", async () => {
    await assert.rejects(read("{"), refusal("MALFORMED", /not JSON/));
    await assert.rejects(read(`"${"x".repeat(1 << 20)}"`), refusal("MALFORMED", /longer/));
    await assert.rejects(readConnection(join(folder, "absent")), refusal("NOT_FOUND", /cannot be read/));
  });
});

describe("a package of private chaincode that the peer starts", () => {
  const readPackage = async (value: unknown) => {
    await writeFile(join(folder, "private-chaincode.json"), JSON.stringify(value));
    return await readPrivateChaincode(folder);
  };

  it("names the chaincode, and ERCC where it is not `ercc`", async () => {
    assert.deepEqual(await readPackage({ chaincode: "auction" }), { chaincode: "auction", registry: "ercc" });
    assert.deepEqual(await readPackage({ chaincode: "a-b", registry: "reg" }), { chaincode: "a-b", registry: "reg" });
  });

  it("is MALFORMED with a name that leads elsewhere, or a field that is unknown", async () => {
    for (const chaincode of [undefined, "", "..", "../auction", "a/b", "auction.json", "-a", 1])
      await assert.rejects(readPackage({ chaincode }), refusal("MALFORMED", /chaincode/));
    await assert.rejects(readPackage({ chaincode: "auction", folder: "/" }), refusal("MALFORMED", /folder/));
    await assert.rejects(readPackage({ chaincode: "auction", registry: "" }), refusal("MALFORMED", /registry/));
  });
});

describe("what a peer tells the chaincode that it starts", () => {
  const told = { chaincode_id: "auction_1.0:0123", peer_address: "127.0.0.1:7052", mspid: "Org1MSP" };
  const readTold = async (value: unknown) => {
    await writeFile(join(folder, "chaincode.json"), JSON.stringify(value));
    return await readRunMetadata(folder);
  };

  it("is read without TLS, and whatever later peers tell beside", async () => {
    const none = { client_cert: "", client_key: "", root_cert: "" };
    assert.deepEqual(await readTold({ ...told, later: true }), { ...told, ...none });
  });

  it("is MALFORMED where the peer, its organisation or the chaincode's id is missing", async () => {
    for (const name of Object.keys(told))
      await assert.rejects(readTold({ ...told, [name]: undefined }), refusal("MALFORMED", new RegExp(name)));
    await assert.rejects(readTold({ ...told, peer_address: "peer" }), refusal("MALFORMED", /peer_address/));
  });
});
