import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeRecord } from "../../../../src/custody/audit/read-record.ts";
import { RecordEncoder } from "../../../../src/custody/audit/record-text.ts";
import type { AuditRecord } from "../../../../src/custody/service.ts";
import { scaled, seed } from "../../../run-settings.ts";

const place = { account: "123456789012", region: "cn-east-1" };
const keyId = "0b1c2d3e-0000-4000-8000-123456789012";
const otherKeyId = "0b1c2d3e-0000-4000-8000-123456789013";

const base: AuditRecord = {
  sequence: 7,
  eventId: "4d5c9c1c-2f1e-4f52-9a6b-0d6a5f2f0a11",
  at: "2026-11-21T12:00:00.000Z",
  door: "aws",
  principal: "arn:aws:iam::123456789012:node/node0",
  accessKeyId: "AKIASTRONGROOM000001",
  peer: "10.0.0.7",
  userAgent: "aws-sdk-js/3.1",
  action: "kms:Decrypt",
  key: keyId,
  context: { node: "node0", network: "consortium-1" },
  result: "done",
  error: null,
  requestId: "b1a1d5de-3a34-4a6c-9b0e-0c7d54a0f5c1",
  detail: {},
};

const encode = (record: Partial<AuditRecord>) => new RecordEncoder(place).encode({ ...base, ...record }, 5);
const parsed = (record: Partial<AuditRecord>) => JSON.parse(encode(record));

describe("the text of an audit record", () => {
  it("has CloudTrail's members in CloudTrail's words", () => {
    assert.deepEqual(parsed({ detail: { encryptionAlgorithm: "SYMMETRIC_DEFAULT" } }), {
      eventVersion: "1.08",
      sequence: 7,
      eventTime: "2026-11-21T12:00:00.000Z",
      eventSource: "kms.amazonaws.com",
      eventName: "Decrypt",
      awsRegion: "cn-east-1",
      userIdentity: {
        type: "Node",
        arn: "arn:aws:iam::123456789012:node/node0",
        accountId: "123456789012",
        userName: "node0",
        accessKeyId: "AKIASTRONGROOM000001",
      },
      sourceIPAddress: "10.0.0.7",
      userAgent: "aws-sdk-js/3.1",
      requestParameters: {
        keyId,
        encryptionContext: { node: "node0", network: "consortium-1" },
        encryptionAlgorithm: "SYMMETRIC_DEFAULT",
      },
      resources: [
        { ARN: `arn:aws:kms:cn-east-1:123456789012:key/${keyId}`, accountId: "123456789012", type: "AWS::KMS::Key" },
      ],
      requestID: "b1a1d5de-3a34-4a6c-9b0e-0c7d54a0f5c1",
      eventID: "4d5c9c1c-2f1e-4f52-9a6b-0d6a5f2f0a11",
      readOnly: true,
      eventType: "AwsApiCall",
      managementEvent: true,
      eventCategory: "Management",
      recipientAccountId: "123456789012",
      door: "aws",
      result: "done",
      state: 5,
    });
  });

  it("names both keys of a re-encryption, under the one name that CloudTrail has for it", () => {
    const { eventName, resources } = parsed({ action: "kms:ReEncryptFrom", detail: { toKey: otherKeyId } });
    assert.equal(eventName, "ReEncrypt");
    assert.deepEqual(
      resources.map(({ ARN }: { ARN: string }) => ARN.split("/")[1]),
      [keyId, otherKeyId],
    );
    assert.equal(parsed({ action: "kms:ReEncryptFrom", detail: { toKey: keyId } }).resources.length, 1);
  });

  it("says of a refusal the code and its meaning, and still which key it was about", () => {
    const { errorCode, errorMessage, resources, result } = parsed({ result: "refused", error: "ACCESS_DENIED" });
    assert.deepEqual([errorCode, result, resources.length], ["ACCESS_DENIED", "refused", 1]);
    assert.match(errorMessage, /may not do this/);
    assert.equal(parsed({ result: "failed", error: "SOMETHING_ELSE" }).errorMessage, undefined);
  });

  it("calls what the key manager does of itself an event of the service", () => {
    const { eventType, userIdentity } = parsed({ principal: "strongroom" });
    assert.deepEqual([eventType, userIdentity.type], ["AwsServiceEvent", "AWSService"]);
  });

  for (const [action, source, name, readOnly] of [
    ["kms:GenerateDataKey", "kms.amazonaws.com", "GenerateDataKey", true],
    ["kms:CreateKey", "kms.amazonaws.com", "CreateKey", false],
    ["kms:ScheduleKeyDeletion", "kms.amazonaws.com", "ScheduleKeyDeletion", false],
    ["kms:ListKeys", "kms.amazonaws.com", "ListKeys", true],
    ["strongroom:EnrollNode", "strongroom", "EnrollNode", false],
    ["strongroom:ReadAudit", "strongroom", "ReadAudit", true],
    ["iam:CreateUser", "strongroom", "iam:CreateUser", false],
    ["native:unknown", "strongroom", "native:unknown", false],
  ] as const)
    it(`calls ${action} ${name} of ${source}, which changes ${readOnly ? "nothing" : "something"}`, () => {
      const text = encode({ action });
      const { eventSource, eventName, readOnly: told } = JSON.parse(text);
      assert.deepEqual([eventSource, eventName, told], [source, name, readOnly]);
      assert.equal(decodeRecord(text)?.action, action);
    });

  it("stays one line of printable ASCII, whatever a caller sends", () => {
    const evil = 'x\n{"sequence":1}\r\u001b[2J\u009b1m\u2028\u202e\ud800é"\\';
    const text = encode({
      userAgent: evil,
      peer: evil,
      requestId: evil,
      context: { [evil]: evil },
      detail: { [evil]: evil },
    });
    assert.match(text, /^[\x20-\x7e]+$/);
    assert.equal(decodeRecord(text)?.userAgent, evil);
    assert.deepEqual(decodeRecord(text)?.context, { [evil]: evil });
  });

  it("keeps details apart from the parameters that every record may have", () => {
    const detail = { keyId: "asked", encryptionContext: "none", "detail:x": 1, ["__proto__"]: "y" };
    assert.deepEqual(decodeRecord(encode({ detail, key: null, context: null }))?.detail, detail);
    assert.deepEqual(decodeRecord(encode({ detail }))?.detail, detail);
  });

  it("is read as the record that was written", () => {
    const text = fc.string({ unit: "binary", maxLength: 20 });
    const nullable = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
    const record = fc.record({
      sequence: fc.nat(),
      principal: fc.constantFrom("anonymous", "strongroom", "arn:aws:iam::123456789012:user/a b", "arn:test"),
      accessKeyId: nullable(fc.constantFrom("AKIA1", "AKIA2")),
      peer: text,
      userAgent: nullable(text),
      action: fc.constantFrom("kms:Decrypt", "kms:ReEncryptFrom", "strongroom:Init", "native:x", "iam:ListUsers"),
      key: nullable(fc.constantFrom(keyId, otherKeyId)),
      context: nullable(fc.dictionary(text, text, { noNullPrototype: true })),
      error: nullable(fc.constantFrom("ACCESS_DENIED", "INTERNAL")),
      requestId: text,
      detail: fc.dictionary(text, fc.oneof(text, fc.nat()), { noNullPrototype: true }),
    });
    const encoder = new RecordEncoder(place);
    fc.assert(
      fc.property(record, (given) => {
        const whole = { ...base, ...given };
        assert.deepEqual(decodeRecord(encoder.encode(whole, 1)), whole);
      }),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("reads the records that chains began with", () => {
    const earlier =
      '{"sequence":3,"at":"2026-01-01T00:00:00.000Z","door":"native","principal":"arn:aws:iam::1:node/n","peer":"127.0.0.1","action":"kms:Decrypt","key":"k","context":{"node":"n"},"result":"done","error":null,"requestId":"r","detail":{},"state":2}';
    assert.deepEqual(decodeRecord(earlier), {
      sequence: 3,
      eventId: "",
      at: "2026-01-01T00:00:00.000Z",
      door: "native",
      principal: "arn:aws:iam::1:node/n",
      accessKeyId: null,
      peer: "127.0.0.1",
      userAgent: null,
      action: "kms:Decrypt",
      key: "k",
      context: { node: "n" },
      result: "done",
      error: null,
      requestId: "r",
      detail: {},
    });
  });

  for (const bad of [
    "",
    "null",
    "[]",
    "7",
    "{}",
    '{"sequence":"1","state":1}',
    '{"eventVersion":"1.08","sequence":1,"state":1}',
  ])
    it(`reads no record in ${JSON.stringify(bad)}`, () => assert.equal(decodeRecord(bad), undefined));
});
