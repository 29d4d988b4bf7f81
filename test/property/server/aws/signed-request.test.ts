import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { encodeAnswer } from "../../../../src/server/aws/answer.ts";
import { AwsError } from "../../../../src/server/aws/errors.ts";
import { readInput } from "../../../../src/server/aws/input.ts";
import { SignatureVerifier } from "../../../../src/server/aws/sigv4.ts";
import { rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { type RunningDoor, replyOf, startDoor, userNamed } from "../../../unit/server/aws/running-door.ts";
import {
  exampleKey,
  rawHeadersOf,
  type SignedRequest,
  sign,
  signedAtMs,
  wire,
} from "../../../unit/server/aws/signed-request.ts";

describe("a signed request", () => {
  const secret = SecretBuffer.take(Buffer.from(exampleKey.secret));
  const verifier = new SignatureVerifier(
    {
      ofAccessKey: (id) => (id === exampleKey.id ? { principal: userNamed("alice"), secret, version: 1 } : undefined),
      endedAccessKey: () => undefined,
    },
    { region: "cn-local-1", clock: () => signedAtMs },
  );
  after(() => verifier[Symbol.dispose]());
  const accepted = ({ method, url, body, ...request }: SignedRequest): boolean => {
    try {
      verifier.verify(
        verifier.examine({ method, url, rawHeaders: rawHeadersOf({ method, url, body, ...request }) }),
        body,
      );
      return true;
    } catch (error) {
      assert.ok(error instanceof AwsError, String(error));
      assert.equal(error.status, 400);
      return false;
    }
  };
  const request = sign({
    target: "Encrypt",
    body: '{"KeyId":"alias/a","Plaintext":"c2VjcmV0"}',
    headers: { "x-amz-user-agent": "a b", "amz-sdk-request": "attempt=1; max=3" },
  });
  /** What the canonical form drops: spaces around a value, and more than one space in it. */
  const canonicalValue = (value: string) => value.trim().replace(/ +/g, " ");

  it("is accepted as it is", () => assert.equal(accepted(request), true));

  it("is refused after a change to any single byte of its method, path or body", () => {
    for (let index = 0; index < request.body.length; index++)
      for (let bit = 0; bit < 8; bit++) {
        const body = Buffer.from(request.body);
        body.writeUInt8(body.readUInt8(index) ^ (1 << bit), index);
        assert.equal(accepted({ ...request, body }), false, `body byte ${index} bit ${bit}`);
      }
    for (const method of ["post", "POS", "POSTT", "GET"]) assert.equal(accepted({ ...request, method }), false);
    for (const url of ["/a", "/?a", "/%2e", ""])
      if (url !== "") assert.equal(accepted({ ...request, url }), false, url);
  });

  it("is refused after a change to any single character of any header", () => {
    request.headers.forEach(([name, value], at) => {
      for (let index = 0; index < value.length; index++)
        for (const character of ["x", "0", "/", ";", ",", "é"]) {
          const changed = value.slice(0, index) + character + value.slice(index + 1);
          if (changed === value) continue;
          const headers = request.headers.with(at, [name, changed]);
          assert.equal(accepted({ ...request, headers }), false, `${name}: ${changed}`);
        }
    });
  });

  it("is refused without any one of its headers, and under another name of one", () => {
    request.headers.forEach(([name, value], at) => {
      assert.equal(accepted({ ...request, headers: request.headers.toSpliced(at, 1) }), false, name);
      assert.equal(accepted({ ...request, headers: request.headers.with(at, [`${name}x`, value]) }), false, name);
    });
  });

  it("is refused with any header of AWS' own that the signature does not cover, or with one twice", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z-]{1,12}$/), fc.string({ maxLength: 12 }), (name, value) => {
        const headers = [...request.headers, [`X-Amz-${name}`, value] as const];
        assert.equal(accepted({ ...request, headers }), false, name);
      }),
      { seed, numRuns: scaled(4000) },
    );
    for (const header of request.headers)
      assert.equal(accepted({ ...request, headers: [header, ...request.headers] }), false);
  });

  it("is refused with any other value of any header, and never fails in another way", () => {
    const value = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.stringMatching(/^[ -~]{0,80}$/));
    fc.assert(
      fc.property(fc.nat(request.headers.length - 1), value, (at, changed) => {
        const [name, original] = request.headers[at] ?? ["", ""];
        fc.pre(canonicalValue(changed) !== canonicalValue(original));
        assert.equal(accepted({ ...request, headers: request.headers.with(at, [name, changed]) }), false);
      }),
      { seed, numRuns: scaled(20_000) },
    );
  });
});

describe("the AWS door under generated input", () => {
  let door: RunningDoor;
  before(async () => {
    door = await startDoor();
  });
  after(() => door[Symbol.asyncDispose]());

  it("answers any body that is signed with success or SerializationException", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string(), fc.uint8Array({ maxLength: 64 })), async (body) => {
        const reply = await door.send(sign({ body: Buffer.from(body) }));
        if (reply.status === 200) return;
        assert.equal(reply.status, 400);
        assert.deepEqual(JSON.parse(reply.body), { __type: "SerializationException" });
      }),
      { seed, numRuns: scaled(1000) },
    );
    assert.deepEqual(door.unexpected, []);
  });

  it("survives any change to the bytes of a request, and does nothing then", async () => {
    const bytes = wire(sign({ body: '{"a":"b"}', headers: { connection: "close" } }));
    const spaces = /[ \t]/;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(byte, at);
        fc.pre(!changed.equals(bytes));
        const before = door.callers.length;
        // A request that now announces more than comes waits for the rest: nothing more is sent.
        const answer = await rawExchange(door.port, changed, 500).catch(() => "");
        if (door.callers.length === before) return assert.ok(answer === "" || replyOf(answer).status !== 200);
        const [line = ""] = changed.toString("latin1").split("\r\n");
        const otherVersion = at < line.length && /^POST \/ HTTP\/1\.[01]$/.test(line);
        const harmless = otherVersion || spaces.test(String.fromCharCode(byte)) || isNameCase(bytes, changed, at);
        assert.ok(harmless, `byte ${at} became ${byte}`);
      }),
      { seed, numRuns: scaled(1000) },
    );
    assert.deepEqual(door.unexpected, []);
  });

  it("gives JSON that reads as what was answered, whatever it holds", () => {
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 3, values: [fc.string(), fc.integer(), fc.boolean(), fc.constant(null)] }),
        (value) => {
          const { bytes } = encodeAnswer(value as Parameters<typeof encodeAnswer>[0]);
          assert.deepEqual(JSON.parse(bytes.toString()), JSON.parse(JSON.stringify(value)));
        },
      ),
      { seed, numRuns: scaled(2000) },
    );
  });

  it("carries any secret through the JSON of a request and of an answer", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const secret = SecretBuffer.copyOf(bytes);
        const answer = encodeAnswer({ A: "é", Plaintext: secret, B: [Buffer.from(bytes)] });
        assert.deepEqual([answer.secret, secret.disposed], [true, true]);
        const text = answer.bytes.toString();
        assert.equal(text, JSON.stringify(JSON.parse(text)));
        using input = readInput(answer.bytes, ["Plaintext"]);
        const { Plaintext, B } = input.value as { Plaintext: SecretBuffer; B: string[] };
        assert.ok(Plaintext.equals(bytes));
        assert.deepEqual(B, [Buffer.from(bytes).toString("base64")]);
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});

/** Names of headers are alike in either case. */
function isNameCase(bytes: Buffer, changed: Buffer, at: number): boolean {
  const [one, other] = [bytes, changed].map((each) => String.fromCharCode(each.readUInt8(at)).toLowerCase());
  return one === other;
}
