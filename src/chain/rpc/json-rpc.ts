/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Codes of JSON-RPC 2.0 section 5.1, and FISCO BCOS's one for everything of its own. */
export const rpcCodes = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  internal: -32603,
  refused: -32000,
} as const;

/** An error that a caller sees. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;

  constructor(kind: keyof typeof rpcCodes, message: string) {
    super(message);
    this.code = rpcCodes[kind];
  }
}

export type RpcMethod = (params: readonly Json[]) => Promise<Json> | Json;

export const maxBatchCalls = 64;
/** Of a batch's answers: once they have this much, the calls that follow are not run. */
export const maxBatchAnswerCharacters: number = 8 << 20;

/**
 * Answers one body of JSON-RPC 2.0: a call, or up to 64 in a list. Parameters are by position. Notifications get no answer:
 * undefined when there is nothing to send.
 */
export async function answerRpc(body: string, methods: ReadonlyMap<string, RpcMethod>): Promise<string | undefined> {
  let content: unknown;
  try {
    content = JSON.parse(body);
  } catch {
    return JSON.stringify(failure(null, new RpcError("parse", "the request is not JSON")));
  }
  if (!Array.isArray(content)) {
    const answer = await answerCall(content, methods);
    return answer === undefined ? undefined : JSON.stringify(answer);
  }
  if (content.length === 0 || content.length > maxBatchCalls)
    return JSON.stringify(failure(null, new RpcError("request", `a batch has 1 to ${maxBatchCalls} calls`)));
  const answers: string[] = [];
  let characters = 0;
  for (const call of content) {
    const answer = await answerCall(call, characters < maxBatchAnswerCharacters ? methods : noMethods);
    if (answer === undefined) continue;
    const text = JSON.stringify(answer);
    characters += text.length;
    answers.push(text);
  }
  return answers.length === 0 ? undefined : `[${answers.join(",")}]`;
}

/** For the rest of a batch whose answers are large enough. */
const noMethods: Pick<ReadonlyMap<string, RpcMethod>, "get"> = {
  get: () => () => {
    throw new RpcError("refused", "the answers of this batch are too large: ask for less at once");
  },
};

async function answerCall(
  call: unknown,
  methods: Pick<ReadonlyMap<string, RpcMethod>, "get">,
): Promise<Json | undefined> {
  let id: Json | undefined = null;
  try {
    if (typeof call !== "object" || call === null || Array.isArray(call))
      throw new RpcError("request", "a call is an object");
    const given = call as Readonly<Record<string, unknown>>;
    const { jsonrpc, method, params = [] } = given;
    if (Object.keys(given).some((name) => !["jsonrpc", "id", "method", "params"].includes(name)))
      throw new RpcError("request", "a call has jsonrpc, id, method and params, nothing else");
    if (given.id !== undefined && given.id !== null && !isId(given.id))
      throw new RpcError("request", "an id is a text or a whole number");
    id = given.id as Json | undefined;
    if (jsonrpc !== "2.0") throw new RpcError("request", 'jsonrpc is "2.0"');
    if (typeof method !== "string") throw new RpcError("request", "method is a text");
    if (!Array.isArray(params)) throw new RpcError("params", "params is a list");
    const run = methods.get(method);
    if (run === undefined) throw new RpcError("method", "the method is not known here");
    const result = await run(params as readonly Json[]);
    return id === undefined ? undefined : { jsonrpc: "2.0", id, result };
  } catch (error) {
    if (id === undefined) return undefined;
    return failure(id, error instanceof RpcError ? error : new RpcError("internal", "the node could not answer"));
  }
}

function isId(id: unknown): boolean {
  return typeof id === "string" ? id.length <= 128 : Number.isSafeInteger(id);
}

function failure(id: Json, { code, message }: RpcError): Json {
  return { jsonrpc: "2.0", id, error: { code, message } };
}
