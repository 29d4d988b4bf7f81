import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { DeviceFault } from "../native/fault.ts";
import type { DeviceSession } from "../native/program.ts";
import { isCurveName } from "./curves.ts";
import { importKeyPair } from "./key-importing.ts";
import { destroyLabelled, isSecretKeyKind, listKeys, makeKeyPair, makeSecretKey } from "./key-making.ts";
import { idBytes, type Operation, operations, u32 } from "./protocol.ts";
import { asFault, calling } from "./return-codes.ts";
import { isTokenMacName, mac, sign } from "./signing.ts";
import type { TokenContext } from "./token-context.ts";
import { gcmOpen, gcmSeal, keyUnwrapBytes, keyWrapBytesUnder } from "./wrapping.ts";

type Answers = readonly Buffer[] | Promise<readonly Buffer[]>;
type Run = (context: TokenContext, args: Arguments) => Answers;

/** One session of the token: one operation at a time. */
export class TokenSession implements DeviceSession {
  readonly #context: TokenContext;

  constructor(context: TokenContext) {
    this.#context = context;
  }

  call(operation: string, args: readonly Buffer[]): Answers {
    const run = Object.hasOwn(runs, operation) ? runs[operation as Operation] : undefined;
    if (run === undefined) throw malformed(operation);
    const refuse = (error: unknown): never => {
      throw asFault(error, operation);
    };
    try {
      const answers = run(this.#context, new Arguments(operation, args));
      return answers instanceof Promise ? answers.catch(refuse) : answers;
    } catch (error) {
      return refuse(error);
    }
  }

  async close(): Promise<void> {
    const { module, session } = this.#context;
    await calling("closing a session", () => module.C_CloseSession(session));
  }
}

const runs: Readonly<Record<Operation, Run>> = {
  [operations.generateSecretKey]: async (context, args) => {
    const [label, kind, length] = [args.bytes(), args.text(), args.u32()];
    if (!isSecretKeyKind(kind)) throw malformed(kind);
    const id = kernelRandomBytes(idBytes);
    makeSecretKey(context, kind, length, { id, label, inToken: true });
    return [id];
  },
  [operations.generateKeyPair]: async (context, args) => {
    const [label, curve] = [args.bytes(), args.text()];
    if (!isCurveName(curve)) throw malformed(curve);
    const id = kernelRandomBytes(idBytes);
    makeKeyPair(context, curve, { id, label, inToken: true });
    const { module, session, keys } = context;
    return await keys.withKeyPair(module, session, id, ({ spki }) => [id, Buffer.from(spki)]);
  },
  [operations.importKeyPair]: async (context, args) => {
    const [label, curve, pkcs8, value, point] = [args.bytes(), args.text(), args.bytes(), args.bytes(), args.bytes()];
    if (!isCurveName(curve)) throw malformed(curve);
    const id = kernelRandomBytes(idBytes);
    try {
      await importKeyPair(context, { id, label, curve, pkcs8, value, point });
    } finally {
      pkcs8.fill(0);
      value.fill(0);
    }
    const { module, session, keys } = context;
    return await keys.withKeyPair(module, session, id, ({ spki }) => [id, Buffer.from(spki)]);
  },
  [operations.publicKey]: async ({ module, session, keys }, args) =>
    await keys.withKeyPair(module, session, args.bytes(), ({ curve, spki }) => [Buffer.from(curve), Buffer.from(spki)]),
  [operations.sign]: (context, args) => {
    const [id, fingerprint, curve, input] = [args.bytes(), args.bytes(), args.text(), args.bytes()];
    if (!isCurveName(curve)) throw malformed(curve);
    const signature = sign(context, id, fingerprint, curve, input);
    return signature instanceof Promise ? signature.then((bytes) => [bytes]) : [signature];
  },
  [operations.mac]: async (context, args) => {
    const [id, name, message] = [args.bytes(), args.text(), args.bytes()];
    if (!isTokenMacName(name)) throw malformed(name);
    return [await mac(context, id, name, message)];
  },
  [operations.gcmSeal]: async (context, args) => [
    await gcmSeal(context, args.bytes(), args.bytes(), args.bytes(), args.bytes()),
  ],
  [operations.gcmOpen]: async (context, args) =>
    present(await gcmOpen(context, args.bytes(), args.bytes(), args.bytes(), args.bytes())),
  [operations.keyWrap]: async (context, args) => [await keyWrapBytesUnder(context, args.bytes(), args.bytes())],
  [operations.keyUnwrap]: async (context, args) => present(await keyUnwrapBytes(context, args.bytes(), args.bytes())),
  [operations.destroy]: async (context, args) => [u32(destroyLabelled(context, args.bytes()))],
  [operations.list]: async (context, args) =>
    (await listKeys(context, args.bytes(), args.bytes())).map((key) => Buffer.from(JSON.stringify(key))),
};

function present(answer: Buffer | undefined): readonly Buffer[] {
  return answer === undefined ? [] : [answer];
}

/** The byte strings of a call, taken one after the other. */
class Arguments {
  readonly #operation: string;
  readonly #args: readonly Buffer[];
  #next = 0;

  constructor(operation: string, args: readonly Buffer[]) {
    this.#operation = operation;
    this.#args = args;
  }

  bytes(): Buffer {
    const bytes = this.#args[this.#next++];
    if (bytes === undefined) throw malformed(this.#operation);
    return bytes;
  }

  text(): string {
    return this.bytes().toString();
  }

  u32(): number {
    const bytes = this.bytes();
    if (bytes.length !== 4) throw malformed(this.#operation);
    return bytes.readUInt32BE();
  }
}

function malformed(what: string): DeviceFault {
  const shown = /^[\w-]{1,40}$/.test(what) ? what : "a call";
  return new DeviceFault({
    kind: "bad-input",
    code: "CALL_MALFORMED",
    message: `${shown} is not what this program does`,
  });
}
