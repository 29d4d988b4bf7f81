import { z } from "zod";
import { headers, maxRequestBytes, memberHeader, type Operation, operations } from "../client/operations.ts";
import { failure, protocol } from "../client/protocol.ts";

type JsonObject = Readonly<Record<string, unknown>>;
type ApiDocument = JsonObject & { readonly openapi: string };

let made: ApiDocument | undefined;

/** The native door as an OpenAPI 3.1 document, made from the schemas that validate. docs/openapi.json is this. */
export function openApiDocument(): ApiDocument {
  made ??= {
    openapi: "3.1.0",
    info: {
      title: "Strongroom native door",
      version: "1",
      description: [
        "HTTPS with TLS 1.3 and client certificates, HTTP/1.1.",
        `A request body has at most ${maxRequestBytes} bytes; unknown members are refused.`,
        "Plaintext keys and tokens travel as raw bytes, never inside JSON.",
      ].join(" "),
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ clientCertificate: [] }],
    paths: Object.fromEntries(
      Object.entries(operations).map(([name, operation]) => [
        operation.path,
        { [operation.method.toLowerCase()]: pathItem(name as keyof typeof protocol, operation) },
      ]),
    ),
    components: {
      securitySchemes: { clientCertificate: { type: "mutualTLS" } },
      schemas: { Failure: schemaOf(failure, "output") },
    },
  };
  return made;
}

function pathItem(name: keyof typeof protocol, operation: Operation): JsonObject {
  const { input, answer } = protocol[name];
  return {
    operationId: name,
    ...(name === "enroll" ? { security: [] } : {}),
    ...requestOf(operation, input),
    responses: {
      ...answerOf(operation, answer),
      default: {
        description: "the operation failed; docs/errors.md lists the codes",
        headers: requestIdHeader,
        content: { "application/json": { schema: { $ref: "#/components/schemas/Failure" } } },
      },
    },
  };
}

function requestOf(operation: Operation, input: z.ZodType): JsonObject {
  if (operation.input === "none") return {};
  if (operation.input === "json")
    return { requestBody: { required: true, content: { "application/json": { schema: schemaOf(input, "input") } } } };
  return {
    parameters: [
      {
        name: headers.input,
        in: "header",
        required: true,
        description: "base64 of a JSON object",
        schema: {
          type: "string",
          contentEncoding: "base64",
          contentMediaType: "application/json",
          contentSchema: schemaOf(input, "input"),
        },
      },
    ],
    requestBody: { required: true, content: { "application/octet-stream": {} } },
  };
}

const requestIdHeader = { "x-request-id": { schema: { type: "string" }, description: "also in the audit record" } };

function answerOf(operation: Operation, answer: z.ZodType): JsonObject {
  if (operation.answer === "none") return { 204: { description: "done", headers: requestIdHeader } };
  const schema = schemaOf(answer, "output");
  if (operation.answer === "json")
    return { 200: { description: "done", headers: requestIdHeader, content: { "application/json": { schema } } } };
  const members = Object.entries((schema.properties ?? {}) as JsonObject).map(([member, each]) => [
    memberHeader(member),
    { required: true, schema: each },
  ]);
  return {
    200: {
      description: "done: the body is the secret itself",
      headers: { ...requestIdHeader, ...Object.fromEntries(members) },
      content: { "application/octet-stream": {} },
    },
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonObject {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
