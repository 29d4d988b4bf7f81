import { join } from "node:path";
import { ClientError } from "../../client/errors.ts";
import { NodeError } from "../../node/errors.ts";
import { asRefusal, connectKeyManager, identityFiles, type KeyManager, verdictOf } from "../../node/key-manager.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { ChainNodeError } from "./errors.ts";
import type { GuardMark } from "./guard-file.ts";
import { ReenrolledClient } from "./reenrolled-client.ts";

/**
 * A number kept where the node's disk is not, which only goes up: how far a guard has come that may sign.
 * Both calls throw {@link ChainNodeError} `KEY_MANAGER_UNREACHABLE` when there is no answer, where asking again may help, and
 * `KEY_MANAGER_REFUSED` for an answer that is a no.
 */
export interface GuardCounter {
  /** Where it stands; undefined when it was never advanced. */
  read(): Promise<GuardMark | undefined>;
  /**
   * Takes it from `previous` (undefined: it was never advanced) to `next`, durable on return. Asked again, it does nothing more.
   *
   * @returns `"conflict"` when it stands at neither of the two; it is then as it was.
   */
  advance(previous: GuardMark | undefined, next: GuardMark): Promise<"advanced" | "conflict">;
  close(): void;
}

/** What is asked of a key manager's client. */
export interface CounterClient {
  advanceCounter: NonNullable<KeyManager["advanceCounter"]>;
  readCounter: NonNullable<KeyManager["readCounter"]>;
  close(): void;
}

/** The counter's name at the key manager, of H(genesis hash ‖ the node's public key): what each of its votes is bound to. */
export function counterName(voter: Buffer): string {
  return `chain-guard/${voter.toString("hex")}`;
}

/**
 * The counter of this node at its key manager, asked with the identity of the node's manifest.
 *
 * @param manifest - Path of node.toml.
 * @throws {ChainNodeError} `CONFIG_UNUSABLE` when the manifest can't be read, or names no key manager of ours.
 */
export async function connectCounter(manifest: string, voter: Buffer): Promise<GuardCounter> {
  const unusable = (reason: string, cause?: unknown) =>
    new ChainNodeError("CONFIG_UNUSABLE", `strongroom.guard_counter: ${reason}`, cause);
  let loaded: LoadedManifest;
  try {
    loaded = loadManifest(manifest);
  } catch (cause) {
    if (cause instanceof NodeError) throw unusable(cause.message, cause);
    throw cause;
  }
  const { kms, node } = loaded.manifest;
  if (kms !== undefined)
    throw unusable(`${loaded.file} names a KMS, which has no counters: a Strongroom key manager has, or take it out`);
  if (node.protection === "none") throw unusable(`${loaded.file} names no key manager, as its protection is none`);
  const connect = async (): Promise<CounterClient> => {
    let client: KeyManager;
    try {
      client = await connectKeyManager(loaded);
    } catch (cause) {
      if (cause instanceof NodeError) throw unusable(cause.message, cause);
      throw cause;
    }
    const { advanceCounter, readCounter } = client;
    if (advanceCounter === undefined || readCounter === undefined)
      throw unusable(`the key manager of ${loaded.file} has no counters`);
    return {
      advanceCounter: (input) => advanceCounter.call(client, input),
      readCounter: (name) => readCounter.call(client, name),
      close: () => client.close(),
    };
  };
  const identityFile = join(loaded.at(loaded.manifest.identity.folder), identityFiles.privateKey);
  return keyManagerCounter(await ReenrolledClient.connect({ identityFile, connect }), counterName(voter));
}

/** A counter of this name behind a key manager's client, which becomes this one's to close. */
export function keyManagerCounter(client: CounterClient, name: string): GuardCounter {
  return {
    async read() {
      const counter = await client.readCounter(name).catch((error: unknown) => {
        throw asNodeFailure(error);
      });
      return counter === null ? undefined : markOf(counter);
    },
    async advance(previous, next) {
      try {
        const input = { name, previous: previous === undefined ? null : wireOf(previous), next: wireOf(next) };
        await client.advanceCounter(input);
        return "advanced";
      } catch (error) {
        if (error instanceof ClientError && error.serverCode === "COUNTER_CONFLICT") return "conflict";
        throw asNodeFailure(error);
      }
    },
    close: () => client.close(),
  };
}

function wireOf({ value, stamp }: GuardMark): { readonly value: number; readonly stamp: string } {
  return { value, stamp: stamp.toString("hex") };
}

function markOf({ value, stamp }: { readonly value: number; readonly stamp: string }): GuardMark {
  if (!Number.isSafeInteger(value) || value < 1 || !/^[0-9a-f]{64}$/.test(stamp))
    throw new ChainNodeError("KEY_MANAGER_UNREACHABLE", "what the key manager answered is no counter");
  return { value, stamp: Buffer.from(stamp, "hex") };
}

/** A server that is not the pinned one, or fails, is one that does not answer: nothing it says is a no. */
function asNodeFailure(error: unknown): unknown {
  if (!(error instanceof ClientError)) return error;
  if (verdictOf(error) === "refused") {
    const refusal = asRefusal(error);
    const message = refusal instanceof Error ? refusal.message : error.message;
    return new ChainNodeError("KEY_MANAGER_REFUSED", `${message}: this node may not vote any more`, error);
  }
  return new ChainNodeError(
    "KEY_MANAGER_UNREACHABLE",
    `the guard's counter at the key manager: ${error.message}`,
    error,
  );
}
