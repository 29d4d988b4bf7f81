import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type CCParameters,
  CCParametersSchema,
  type HostParameters,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { attestedData, credentialsOf, enclave, encryptionKey, reason, signingKey } from "./fixtures.ts";

test("credentials give who the enclave is, what it is for, and the keys that are attested", () => {
  const attested = attestedData("enclave1");
  const credentials = credentialsOf(attested);
  const read = readCredentials(credentials);
  assert.equal(read.mspId, "Org1MSP");
  assert.deepEqual(read.vkPem, signingKey("enclave1").pem);
  assert.deepEqual(read.ekPem, encryptionKey("enclave1").pem);
  assert.equal(
    read.enclaveId.text,
    createHash("sha256").update(signingKey("enclave1").pem).digest("hex").toUpperCase(),
  );
  assert.equal(read.enclaveId.bytes.toString("hex").toUpperCase(), read.enclaveId.text);
  assert.deepEqual(read.statement, Buffer.from(credentials.serializedAttestedData?.value ?? []));
  const parameters = attested.ccParams;
  assert.ok(parameters);
  assert.deepEqual(read.ccParamsHash, createHash("sha256").update(encode(CCParametersSchema, parameters)).digest());
});

test("what was read does not change when the bytes that it came in do", () => {
  const credentials = credentialsOf(attestedData("enclave1"));
  const read = readCredentials(credentials);
  const before = read.ekPem.toString();
  credentials.serializedAttestedData?.value.fill(0);
  assert.equal(read.ekPem.toString(), before);
  assert.notEqual(read.statement[0], 0);
});

test("credentials without evidence are read only where none is there yet", () => {
  const credentials = { ...credentialsOf(attestedData("enclave1")), evidence: new Uint8Array() };
  assert.throws(() => readCredentials(credentials), reason("MALFORMED", /^Credentials\.evidence is missing/));
  assert.equal(readCredentials(credentials, "not yet").mspId, "Org1MSP");
  assert.throws(
    () => readCredentials({ ...credentials, attestation: new Uint8Array() }, "not yet"),
    reason("MALFORMED", /^Credentials\.attestation is missing/),
  );
});

test("a chaincode key that credentials bring is refused", () => {
  assert.throws(
    () => enclave("enclave1", { chaincodeEk: encryptionKey("chaincode2").pem }),
    reason("MALFORMED", /^AttestedData\.chaincode_ek is set/),
  );
});

test("each field that attested data needs is missed by its name", () => {
  const missing = [
    ["ccParams", undefined, "cc_params"],
    ["hostParams", undefined, "host_params"],
    ["enclaveVk", new Uint8Array(), "enclave_vk"],
    ["enclaveEk", new Uint8Array(), "enclave_ek"],
    ["channelHash", new Uint8Array(), "channel_hash"],
    ["trustedLedgerHash", new Uint8Array(), "trusted_ledger_hash"],
  ] as const;
  for (const [field, value, name] of missing) {
    const attested = attestedData("enclave1");
    Object.assign(attested, { [field]: value });
    assert.throws(
      () => readCredentials(credentialsOf(attested)),
      reason("MALFORMED", new RegExp(`^AttestedData\\.${name} is missing or empty`)),
    );
  }
});

test("an Any that is missing, of another type or empty is refused", () => {
  const credentials = credentialsOf(attestedData("enclave1"));
  const { serializedAttestedData: _, ...without } = credentials;
  assert.throws(() => readCredentials(without), reason("MALFORMED", /serialized_attested_data is missing/));
  const value = credentials.serializedAttestedData?.value ?? new Uint8Array();
  const other = create(AnySchema, { typeUrl: "type.googleapis.com/fpc.Credentials", value });
  assert.throws(
    () => readCredentials({ ...credentials, serializedAttestedData: other }),
    reason("MALFORMED", /serialized_attested_data is not of type fpc\.AttestedData/),
  );
});

const parameters: readonly [what: string, changes: Partial<CCParameters>, about: RegExp][] = [
  ["a chaincode's name with a slash", { chaincodeId: "a/b" }, /CCParameters\.chaincode_id/],
  ["a chaincode's name with U+0000", { chaincodeId: "a\u0000b" }, /CCParameters\.chaincode_id/],
  ["no chaincode's name", { chaincodeId: "" }, /CCParameters\.chaincode_id/],
  ["a chaincode's name of 129 characters", { chaincodeId: "a".repeat(129) }, /CCParameters\.chaincode_id/],
  ["a measurement in lower case", { version: "ab".repeat(32) }, /CCParameters\.version/],
  ["a measurement that is too short", { version: "A".repeat(63) }, /CCParameters\.version/],
  ["a measurement with a line feed after it", { version: `${"A".repeat(64)}\n` }, /CCParameters\.version/],
  ["sequence 0", { sequence: 0n }, /CCParameters\.sequence/],
  ["a negative sequence", { sequence: -1n }, /CCParameters\.sequence/],
  ["a channel in upper case", { channelId: "CH1" }, /CCParameters\.channel_id/],
  ["no channel", { channelId: "" }, /CCParameters\.channel_id/],
];
for (const [what, changes, about] of parameters)
  test(`${what} is refused`, () => {
    const attested = attestedData("enclave1");
    Object.assign(attested.ccParams ?? {}, changes);
    assert.throws(() => readCredentials(credentialsOf(attested)), reason("MALFORMED", about));
  });

test("a measurement of 384 bits, as of TDX and Nitro, is taken", () => {
  const attested = attestedData("enclave1");
  Object.assign(attested.ccParams ?? {}, { version: "AB".repeat(48) });
  assert.equal(readCredentials(credentialsOf(attested)).ccParams.version.length, 96);
});

const hosts: readonly [what: string, changes: Partial<HostParameters>, about: RegExp][] = [
  ["no organisation", { peerMspId: "" }, /HostParameters\.peer_msp_id/],
  ["an organisation with a slash", { peerMspId: "Org/1" }, /HostParameters\.peer_msp_id/],
  ["an organisation with an escape character", { peerMspId: "Org\u001b[0m" }, /HostParameters\.peer_msp_id/],
  ["no endpoint", { peerEndpoint: "" }, /HostParameters\.peer_endpoint/],
  ["an endpoint without a port", { peerEndpoint: "peer0" }, /HostParameters\.peer_endpoint/],
  ["an endpoint of port 65536", { peerEndpoint: "peer0:65536" }, /HostParameters\.peer_endpoint/],
  ["an endpoint of port 0", { peerEndpoint: "peer0:0" }, /HostParameters\.peer_endpoint/],
  ["an endpoint with a path", { peerEndpoint: "peer0:1/x" }, /HostParameters\.peer_endpoint/],
];
for (const [what, changes, about] of hosts)
  test(`${what} is refused`, () => {
    const attested = attestedData("enclave1");
    Object.assign(attested.hostParams ?? {}, changes);
    assert.throws(() => readCredentials(credentialsOf(attested)), reason("MALFORMED", about));
  });

test("hashes that are not of 32 bytes are refused", () => {
  assert.throws(() => enclave("enclave1", { channelHash: Buffer.alloc(31) }), reason("MALFORMED", /channel_hash/));
  assert.throws(
    () => enclave("enclave1", { trustedLedgerHash: Buffer.alloc(33) }),
    reason("MALFORMED", /trusted_ledger_hash/),
  );
  assert.throws(() => enclave("enclave1", { tlccMrenclave: "ab" }), reason("MALFORMED", /tlcc_mrenclave/));
});

test("keys of another kind, curve or text are refused", () => {
  const { pem } = signingKey("enclave1");
  const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).publicKey.export({ type: "spki", format: "pem" });
  const ed = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" });
  const vks = [
    p384,
    ed,
    encryptionKey("enclave1").pem,
    pem.subarray(0, -1),
    `${pem}\n`,
    ` ${pem}`,
    "no key",
    `${pem}${pem}`,
  ];
  for (const vk of vks)
    assert.throws(
      () => enclave("enclave1", { enclaveVk: Buffer.from(vk) }),
      reason("MALFORMED", /^AttestedData\.enclave_vk is not the PEM of a P-256/),
    );
  const ek = encryptionKey("enclave1");
  const spki = Buffer.from(ek.pem).toString().replaceAll("RSA PUBLIC", "PUBLIC");
  const crlf = ek.pem.toString().replaceAll("\n", "\r\n");
  for (const value of [spki, crlf, pem, ek.pem.subarray(0, -1), Buffer.alloc(5000, 0x41)])
    assert.throws(
      () => enclave("enclave1", { enclaveEk: Buffer.from(value) }),
      reason("MALFORMED", /^AttestedData\.enclave_ek is not the PEM of an RSA-3072/),
    );
});

test("an RSA key of another size or exponent is refused", () => {
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ type: "pkcs1", format: "pem" });
  assert.throws(() => enclave("enclave1", { enclaveEk: Buffer.from(small) }), reason("MALFORMED", /enclave_ek/));
});
