import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { builtOperations } from "../../../../src/server/aws/operations/table.ts";
import type { Members, Shape } from "../../../../src/server/aws/shape.ts";
import { AwsAccount, b64 } from "./aws-account.ts";

/** A value that breaks one constraint of a shape, and what the answer must say. `at` is where, below the member. */
interface Break {
  readonly what: string;
  readonly value: unknown;
  readonly type: "ValidationException" | "SerializationException" | "UnsupportedOperationException";
  readonly at?: string;
  readonly says?: string;
}

/** A value that satisfies a shape. */
function fitting(shape: Shape): unknown {
  switch (shape.kind) {
    case "string":
      return shape.values?.[0] ?? "a".repeat(Math.max(shape.min ?? 1, 1));
    case "integer":
      return shape.min ?? 1;
    case "boolean":
      return false;
    case "timestamp":
      return 1_800_000_000;
    case "blob":
      return b64("x".repeat(shape.min ?? 1));
    case "map":
      return { name: "value" };
    case "list":
      return [fitting(shape.of)];
    case "structure":
      return requiredOf(shape.members);
  }
}

function requiredOf(members: Members): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, { shape, required }]) => (required ? [[name, fitting(shape)]] : [])),
  );
}

const wrongTypes: Readonly<Record<Shape["kind"], readonly unknown[]>> = {
  string: [1, true, ["a"], { a: "b" }],
  integer: ["1", 1.5, true, [1], {}, Number.POSITIVE_INFINITY],
  boolean: ["true", 1, [], {}],
  timestamp: ["2030-01-01T00:00:00Z", true, {}, 1e300],
  blob: [1, true, ["YQ=="], {}, "not base64!", "YQ", "YR==", "YQ==\n"],
  map: ["a", 1, ["a"], { name: 1 }, { name: null }, { name: { deep: "x" } }],
  list: ["a", 1, { 0: "a" }, [null]],
  structure: ["a", 1, []],
};

/** Every way to break a shape. */
function breaksOf(shape: Shape): readonly Break[] {
  const types = wrongTypes[shape.kind].map((value) => ({
    what: `is ${JSON.stringify(value)}`,
    value,
    type: "SerializationException" as const,
  }));
  return [...types, ...constraintBreaks(shape)];
}

function constraintBreaks(shape: Shape): readonly Break[] {
  const invalid = (what: string, value: unknown, says: string, at = ""): Break => ({
    what,
    value,
    type: "ValidationException",
    says,
    at,
  });
  switch (shape.kind) {
    case "string": {
      const filler = shape.values === undefined ? "a" : "A";
      return [
        ...(shape.min
          ? [invalid("is empty", "", `Member must have length greater than or equal to ${shape.min}`)]
          : []),
        ...(shape.max === undefined
          ? []
          : [
              invalid(
                "is too long",
                filler.repeat(shape.max + 1),
                `Member must have length less than or equal to ${shape.max}`,
              ),
            ]),
        ...(shape.pattern === undefined
          ? []
          : [invalid("breaks its pattern", "\u4e2d", "Member must satisfy regular expression pattern: ")]),
        ...(shape.values === undefined
          ? []
          : [
              invalid(
                "is of no known value",
                "No_Such",
                `Member must satisfy enum value set: [${shape.values.join(", ")}]`,
              ),
              invalid(
                "is of another case",
                String(shape.values[0]).toLowerCase(),
                "Member must satisfy enum value set",
              ),
            ]),
      ];
    }
    case "integer":
      return [
        ...(shape.min === undefined
          ? []
          : [
              invalid("is too small", shape.min - 1, `Member must have value greater than or equal to ${shape.min}`),
              invalid("is negative", -1, `Member must have value greater than or equal to ${shape.min}`),
            ]),
        ...(shape.max === undefined
          ? []
          : [invalid("is too great", shape.max + 1, `Member must have value less than or equal to ${shape.max}`)]),
      ];
    case "blob":
      return [
        ...(shape.min
          ? [invalid("is empty", "", `Member must have length greater than or equal to ${shape.min}`)]
          : []),
        ...(shape.max === undefined
          ? []
          : [
              invalid(
                "is too long",
                b64(Buffer.alloc(shape.max + 1, 0x5a)),
                `Member must have length less than or equal to ${shape.max}`,
              ),
            ]),
      ];
    case "list":
      return [
        ...(shape.max === undefined
          ? []
          : [
              invalid(
                "is too long",
                Array.from({ length: shape.max + 1 }, () => fitting(shape.of)),
                `Member must have length less than or equal to ${shape.max}`,
              ),
            ]),
        ...breaksOf(shape.of).map((each) => ({
          ...each,
          what: `has an item that ${each.what}`,
          value: [each.value],
          at: `.1.member${each.at ?? ""}`,
        })),
      ];
    case "structure":
      return Object.entries(shape.members).flatMap(([name, member]) => {
        const path = `.${lowerCamel(name)}`;
        const missing = { ...requiredOf(shape.members) };
        delete missing[name];
        return [
          ...(member.required ? [invalid(`lacks ${name}`, missing, "Member must not be null", path)] : []),
          ...breaksOf(member.shape).map((each) => ({
            ...each,
            what: `has a ${name} that ${each.what}`,
            value: { ...requiredOf(shape.members), [name]: each.value },
            at: `${path}${each.at ?? ""}`,
          })),
        ];
      });
    default:
      return [];
  }
}

function lowerCamel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

describe("requests of the AWS door, as their tables say", () => {
  let account: AwsAccount;
  before(async () => {
    account = await AwsAccount.make();
  });
  after(() => account.end());

  for (const { name, members } of builtOperations) {
    it(`${name} refuses every member that is of another type or breaks a constraint`, async () => {
      for (const [member, { shape }] of Object.entries(members))
        for (const { what, value, type, at, says } of breaksOf(shape)) {
          const input = { ...requiredOf(members), [member]: value };
          const failure = await account.failure(account.admin, name, input);
          const about = `${member} ${what}: ${failure.message}`;
          assert.equal(failure.type, type, about);
          assert.equal(failure.status, 400, about);
          if (says === undefined) continue;
          assert.match(failure.message ?? "", /^[12] validation errors? detected: Value/, about);
          assert.ok(failure.message?.includes(`at '${lowerCamel(member)}${at ?? ""}' failed`), about);
          assert.ok(failure.message?.includes(says), about);
        }
    });

    it(`${name} refuses a request without a member that it needs, and one with a member that it does not know`, async () => {
      const whole = requiredOf(members);
      for (const missing of Object.keys(whole))
        for (const absent of [undefined, null])
          assert.deepEqual(await account.failure(account.admin, name, { ...whole, [missing]: absent }), {
            type: "ValidationException",
            status: 400,
            message: `1 validation error detected: Value null at '${lowerCamel(missing)}' failed to satisfy constraint: Member must not be null`,
          });
      assert.equal(
        (await account.failure(account.admin, name, { ...whole, Unheard: 1 })).type,
        "UnsupportedOperationException",
      );
      for (const input of [[], "text", 1]) {
        assert.equal((await account.failure(account.admin, name, input)).type, "SerializationException");
      }
    });
  }

  it("are told everything that is wrong with them at once", async () => {
    const failure = await account.failure(account.user, "GenerateDataKey", { KeyId: "", NumberOfBytes: 1025 });
    assert.equal(
      failure.message,
      "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
        "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024",
    );
  });

  it("get a short answer however much is wrong with them", async () => {
    const TagKeys = Array<string>(30_000).fill("");
    const failure = await account.failure(account.user, "UntagResource", { KeyId: "alias/a", TagKeys });
    assert.equal(failure.type, "ValidationException");
    assert.match(failure.message ?? "", /^3000[0-9] validation errors detected: /);
    assert.ok((failure.message ?? "").length < 64 * 1024);
  });

  it("name no more of a grant's operations than there are", async () => {
    const failure = await account.failure(account.user, "CreateGrant", {
      KeyId: "alias/a",
      GranteePrincipal: account.user.principal,
      Operations: Array<string>(18).fill("Decrypt"),
    });
    assert.equal(failure.type, "ValidationException");
    assert.match(failure.message ?? "", /'operations' .*Member must have length less than or equal to 17$/);
  });

  it("never see their own blobs, grant tokens or long values in an error", async () => {
    const secret = "TopSecretPlantedValue".repeat(300);
    const inputs: readonly (readonly [string, Record<string, unknown>])[] = [
      ["Encrypt", { KeyId: "x", Plaintext: b64(secret) }],
      ["Encrypt", { KeyId: "x", Plaintext: secret }],
      ["Encrypt", { KeyId: "x", Plaintext: { secret } }],
      ["Decrypt", { CiphertextBlob: b64(secret.repeat(2)) }],
      ["Encrypt", { KeyId: "x", Plaintext: "YQ==", GrantTokens: [secret.repeat(4)] }],
      ["RetireGrant", { GrantToken: secret.repeat(4) }],
      ["ImportKeyMaterial", { KeyId: "x", ImportToken: b64(secret.repeat(2)), EncryptedKeyMaterial: "YQ==" }],
      ["CreateKey", { Description: secret.repeat(4) }],
    ];
    for (const [name, input] of inputs) {
      const { message = "" } = await account.failure(account.admin, name, input);
      assert.ok(!message.includes("TopSecret") && !message.includes(b64("TopSecretPlant").slice(0, 16)), name);
    }
  });
});
