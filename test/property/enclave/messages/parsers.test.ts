import assert from "node:assert/strict";
import { before, test } from "node:test";
import fc from "fast-check";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { decodeStrict, encode, maxMessageBytes } from "../../../../src/enclave/messages/strict.ts";
import { scaled, seed } from "../../../run-settings.ts";
import { type MessageCase, messageCases } from "./message-cases.ts";
import { encodedValue, everyField, one, parse, serialize, varintOf, type WireField } from "./wire-tree.ts";

let cases: MessageCase[];
before(async () => {
  cases = await messageCases();
});

/** Refused as malformed, by a name that begins with a message's. */
function malformed(name: RegExp | string = /^[A-Z]\w+/) {
  return (error: unknown) => {
    assert.ok(error instanceof EnclaveError, String(error));
    assert.equal(error.code, "MALFORMED", error.message);
    if (typeof name === "string") assert.ok(error.message.startsWith(`${name} `), `${error.message}, not ${name}`);
    else assert.match(error.message, name);
    return true;
  };
}

/** Either refused as malformed, or exactly what an encoder would write. */
function decodeOrRefuse({ schema, read }: MessageCase, bytes: Uint8Array): void {
  let message: ReturnType<typeof decodeStrict>;
  try {
    message = decodeStrict(schema, bytes);
  } catch (error) {
    malformed()(error);
    assert.throws(() => read(bytes), malformed(/./));
    return;
  }
  assert.ok(
    encode(schema, message).equals(bytes),
    `${schema.name} took ${Buffer.from(bytes).toString("hex").slice(0, 200)}`,
  );
  try {
    read(bytes);
  } catch (error) {
    assert.ok(error instanceof EnclaveError, String(error));
  }
}

test("every message is read, and its tree gives its bytes again", () => {
  for (const { schema, bytes } of cases) {
    decodeStrict(schema, bytes);
    assert.ok(bytes.length > 0);
    assert.deepEqual(serialize(parse(schema, bytes)), bytes, schema.name);
  }
});

/** Writes the message with every field as it is, but the one at `path` as `change` has it. */
function changed({ schema, bytes }: MessageCase, target: WireField, change: (field: WireField) => Uint8Array): Buffer {
  let isDone = false;
  return serialize(parse(schema, bytes), (field) => {
    const isTarget = !isDone && field.path === target.path;
    if (isTarget) isDone = true;
    return isTarget ? change(field) : one(field);
  });
}

function eachField(run: (message: MessageCase, field: WireField) => void): void {
  for (const message of cases) {
    const paths = new Set<string>();
    for (const field of everyField(parse(message.schema, message.bytes))) {
      if (paths.has(field.path)) continue;
      paths.add(field.path);
      run(message, field);
    }
  }
}

test("a field given twice is refused by its name, at every depth", () => {
  eachField((message, field) => {
    if (field.field.fieldKind === "list" && !field.field.packed) return;
    const bytes = changed(message, field, (it) => Buffer.concat([one(it), one(it)]));
    assert.throws(() => decodeStrict(message.schema, bytes), malformed(field.path));
  });
});

test("a number or length that is longer than it has to be is refused by its field's name, at every depth", () => {
  eachField((message, field) => {
    const bytes = changed(message, field, (it) => {
      const tag = varintOf((BigInt(it.field.number) << 3n) | BigInt(it.wireType));
      if (typeof it.value === "bigint") return Buffer.concat([tag, varintOf(it.value, 1)]);
      const value = encodedValue(it);
      const length = it.value.length;
      return Buffer.concat([tag, varintOf(BigInt(length), 1), value.subarray(value.length - length)]);
    });
    assert.throws(() => decodeStrict(message.schema, bytes), malformed(field.path));
  });
});

test("a tag that is longer than it has to be is refused, at every depth", () => {
  eachField((message, field) => {
    const bytes = changed(message, field, (it) =>
      Buffer.concat([varintOf((BigInt(it.field.number) << 3n) | BigInt(it.wireType), 1), encodedValue(it)]),
    );
    assert.throws(() => decodeStrict(message.schema, bytes), malformed(/has a broken field tag$/));
  });
});

test("an unknown field is refused, at every depth", () => {
  const unknown = Buffer.concat([varintOf((1000n << 3n) | 2n), Buffer.of(1, 0x61)]);
  eachField((message, field) => {
    const bytes = changed(message, field, (it) => Buffer.concat([one(it), unknown]));
    assert.throws(
      () => decodeStrict(message.schema, bytes),
      malformed(/has a field of number 1000, which is unknown$/),
    );
  });
});

test("a field of another wire type is refused by its name, at every depth", () => {
  eachField((message, field) => {
    for (const wireType of [0, 1, 2, 3, 4, 5, 6, 7].filter((type) => type !== field.wireType)) {
      const bytes = changed(message, field, (it) =>
        Buffer.concat([varintOf((BigInt(it.field.number) << 3n) | BigInt(wireType)), encodedValue(it)]),
      );
      assert.throws(() => decodeStrict(message.schema, bytes), malformed(new RegExp(`^${field.path} has wire type`)));
    }
  });
});

test("a default that is spelt out is refused by its name, at every depth", () => {
  eachField((message, field) => {
    if (field.field.oneof !== undefined || field.field.message !== undefined) return;
    if (field.field.fieldKind === "list" && !field.field.packed) return;
    const bytes = changed(message, field, (it) =>
      one({ ...it, value: typeof it.value === "bigint" ? 0n : Buffer.alloc(0) }),
    );
    assert.throws(() => decodeStrict(message.schema, bytes), malformed(field.path));
  });
});

test("fields in another order are refused by the name of the one that comes late", () => {
  for (const { schema, bytes } of cases) {
    const fields = parse(schema, bytes);
    for (const [index, field] of fields.entries()) {
      const next = fields[index + 1];
      if (next === undefined || next.path === field.path) continue;
      const swapped = [...fields.slice(0, index), next, field, ...fields.slice(index + 2)];
      assert.throws(() => decodeStrict(schema, serialize(swapped)), malformed());
    }
  }
});

test("a message without one of the fields that it needs is refused by the field's name", () => {
  for (const { schema, bytes, read, optional } of cases) {
    const fields = parse(schema, bytes);
    for (const name of new Set(fields.map(({ field }) => field.name))) {
      if (optional.includes(name)) continue;
      const rest = serialize(fields.filter(({ field }) => field.name !== name));
      assert.throws(
        () => read(rest),
        malformed(new RegExp(`^${schema.name}\\.${name} is missing or empty`)),
        `${schema.name}.${name}`,
      );
    }
    for (const field of schema.fields)
      if (!optional.includes(field.name))
        assert.throws(() => read(new Uint8Array()), malformed(/ is missing or empty/));
  }
});

test("a message that is cut at any byte is refused, or is what an encoder would write", () => {
  for (const message of cases) {
    const { bytes } = message;
    // Long messages at every byte of their beginning, and at some of the rest.
    const step = Math.max(1, Math.floor(bytes.length / scaled(4000)));
    for (let length = 0; length < bytes.length; length += length < 64 ? 1 : step)
      decodeOrRefuse(message, bytes.subarray(0, length));
  }
});

test("a message that is longer than any is refused before it is read", () => {
  for (const { schema } of cases)
    assert.throws(() => decodeStrict(schema, Buffer.alloc(maxMessageBytes + 1)), malformed(/^\w+ is \d+ bytes long/));
});

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at: fc.nat(), with: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant("insert" as const), at: fc.nat(), with: fc.nat(255) }),
  fc.record({ kind: fc.constant("remove" as const), at: fc.nat(), with: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(), with: fc.integer({ min: 1, max: 200 }) }),
);

test("whatever is done to a message's bytes, it is refused as malformed or is what an encoder would write", () => {
  const property = fc.property(fc.nat(), fc.array(mutation, { minLength: 1, maxLength: 4 }), (which, mutations) => {
    const message = cases[which % cases.length];
    assert.ok(message);
    let bytes = Buffer.from(message.bytes);
    for (const { kind, at: far, with: amount } of mutations) {
      // Most of a message is key text: changes near the beginning meet more of its structure.
      const at = far % (far % 2 === 0 ? bytes.length : Math.min(bytes.length, 24));
      const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
      if (kind === "flip") bytes[at] = (bytes[at] ?? 0) ^ amount;
      else if (kind === "insert") bytes = Buffer.concat([head, Buffer.of(amount), tail]);
      else if (kind === "remove") bytes = Buffer.concat([head, tail.subarray(amount)]);
      else bytes = Buffer.concat([head, tail.subarray(0, amount), tail]);
      if (bytes.length === 0) bytes = Buffer.of(amount);
    }
    decodeOrRefuse(message, bytes);
  });
  fc.assert(property, { seed, numRuns: scaled(40_000) });
});

test("bytes of no message are refused as malformed or are what an encoder would write", () => {
  const property = fc.property(fc.nat(), fc.uint8Array({ maxLength: 40 }), (which, bytes) => {
    const message = cases[which % cases.length];
    assert.ok(message);
    decodeOrRefuse(message, bytes);
  });
  fc.assert(property, { seed, numRuns: scaled(40_000) });
});
