import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { operations } from "../../../src/client/operations.ts";
import { protocol } from "../../../src/client/protocol.ts";
import { endpoints } from "../../../src/server/native/table.ts";
import { openApiDocument } from "../../../src/server/openapi.ts";

type Operation = {
  operationId: string;
  security?: unknown[];
  requestBody?: { content: Record<string, { schema?: { additionalProperties?: unknown } }> };
  responses: Record<string, { content?: Record<string, unknown> }>;
};

describe("the OpenAPI document", () => {
  const document = openApiDocument();
  const paths = document.paths as Record<string, Record<string, Operation>>;

  it("is what docs/openapi.json holds", () => {
    const written = readFileSync(new URL("../../../docs/openapi.json", import.meta.url), "utf8");
    assert.equal(
      written,
      `${JSON.stringify(document, null, 2)}\n`,
      "run: node --input-type=module -e \"import { openApiDocument } from './src/server/openapi.ts'; process.stdout.write(JSON.stringify(openApiDocument(), null, 2) + '\\n')\" > docs/openapi.json",
    );
  });

  it("is OpenAPI 3.1", () => {
    assert.equal(document.openapi, "3.1.0");
  });

  it("describes every operation that is answered, and none that is not", () => {
    const answered = endpoints.map((each) => `${each.operation.method} ${each.operation.path} ${each.name}`).sort();
    const described = Object.entries(paths)
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, each]) => `${method.toUpperCase()} ${path} ${each.operationId}`),
      )
      .sort();
    assert.deepEqual(described, answered);
    assert.equal(described.length, Object.keys(operations).length);
    assert.deepEqual(Object.keys(protocol).sort(), Object.keys(operations).sort());
  });

  it("demands a client certificate of everything but enrolment", () => {
    assert.deepEqual(document.security, [{ clientCertificate: [] }]);
    for (const methods of Object.values(paths))
      for (const each of Object.values(methods))
        assert.deepEqual(each.security, each.operationId === "enroll" ? [] : undefined, each.operationId);
  });

  it("closes every JSON request to undeclared members", () => {
    for (const methods of Object.values(paths))
      for (const { operationId, requestBody } of Object.values(methods)) {
        const schema = requestBody?.content["application/json"]?.schema;
        if (schema !== undefined) assert.equal(schema.additionalProperties, false, operationId);
      }
  });

  it("shows plaintext keys and tokens as raw bytes, never in JSON", () => {
    for (const operationId of ["unwrap", "nodes.createToken"]) {
      const found = Object.values(paths)
        .flatMap(Object.values)
        .find((each) => each.operationId === operationId);
      assert.deepEqual(Object.keys(found?.responses["200"]?.content ?? {}), ["application/octet-stream"]);
    }
    assert.doesNotMatch(JSON.stringify(document), /"plaintext"/);
  });
});
