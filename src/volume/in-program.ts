import { lstatSync, mkdirSync } from "node:fs";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { VolumeError } from "./errors.ts";
import { base64Bytes, hexBytes } from "./key-encoding.ts";
import type { StoreContext, VolumeStore } from "./store.ts";
import type { VolumeKey } from "./volume.ts";

const levelKeyBytes = 32;

/** What is alike in the kinds whose program encrypts for itself: a plain folder, and a key to hand over. */
function programStore(
  own: Pick<VolumeStore, "kind" | "suites" | "parameters" | "checkParameters"> & {
    programKey(context: StoreContext): VolumeKey;
  },
): VolumeStore {
  return {
    ...own,
    encryptsAnyFile: false,
    canOutliveOwner: false,
    async make({ place }) {
      mkdirSync(place.data, { recursive: true, mode: 0o700 });
      syncFolder(place.root);
    },
    async verifyPresence(place) {
      if (lstatSync(place.data, { throwIfNoEntry: false })?.isDirectory() !== true)
        throw new VolumeError(
          "VOLUME_STORE_DAMAGED",
          `${place.data} is missing: the program would begin anew; restore it from a backup`,
        );
    },
    async open(context) {
      const key = own.programKey(context);
      return {
        programKeys: [key],
        lost: new Promise(() => {}),
        async close() {
          key.value[Symbol.dispose]();
        },
      };
    },
    state: async () => "closed",
    shutLeftover: async () => {},
    async inspect() {
      return [{ check: "store", ok: true, detail: "present; only the program itself can check its content" }];
    },
  };
}

/**
 * level: a Node program opens its database through `EncryptedLevel` with a key that it reads from an inherited
 * descriptor: 32 raw bytes in both suites, from which the database derives keys of the suite's own length.
 */
export const levelStore: VolumeStore = programStore({
  kind: "level",
  suites: ["intl", "sm"],
  parameters: {},
  programKey(context) {
    return { value: context.deriveKey("program-key", levelKeyBytes), channel: "fd" };
  },
});

/** native: a program with encryption of its own gets its key the way it takes one. */
export const nativeStore: VolumeStore = programStore({
  kind: "native",
  suites: ["intl", "sm"],
  parameters: {
    channel: {
      meaning:
        "how the program takes the key: an inherited descriptor, a file or FIFO on tmpfs, or an environment variable",
      default: "fd",
      pattern: /^(fd|file|fifo|environment)$/,
    },
    encoding: { meaning: "how the key is written", default: "raw", pattern: /^(raw|hex|base64)$/ },
    keyBytes: {
      meaning: "the key's length in bytes, 16 to 64",
      default: "32",
      pattern: /^(1[6-9]|[2-5][0-9]|6[0-4])$/,
    },
    prefix: {
      meaning: "letters before the key, for programs that misread one that begins with a digit",
      default: "",
      pattern: /^[A-Za-z]{0,16}$/,
    },
    variable: {
      meaning: "the environment variable that holds the key's path, or with channel environment the key",
      default: "",
      pattern: /^([A-Z_][A-Z0-9_]{0,63})?$/,
    },
    exposeKeyInProcessEnvironment: {
      meaning: "yes: accept that root and the program's own user can read the key in /proc/PID/environ all the time",
      default: "no",
      pattern: /^(yes|no)$/,
    },
  },
  checkParameters({ channel, variable, encoding, exposeKeyInProcessEnvironment }) {
    const refuse = (message: string) => new VolumeError("VOLUME_PARAMETER_INVALID", message);
    if (channel !== "environment") return;
    if (exposeKeyInProcessEnvironment !== "yes")
      throw refuse(
        "a key in an environment variable is readable in /proc/PID/environ as long as the program runs: use channel fd, " +
          "file or fifo if the program can, else set exposeKeyInProcessEnvironment=yes",
      );
    if (variable === "") throw refuse("channel environment needs the variable's name: set variable=NAME");
    if (encoding === "raw")
      throw refuse("a raw key cannot stand in an environment variable: set encoding=hex or base64");
  },
  programKey(context) {
    const { channel, encoding, keyBytes, prefix = "", variable = "" } = context.description.parameters;
    using key = context.deriveKey("program-key", Number(keyBytes));
    const value = key.expose((bytes) => SecretBuffer.take(encodeKey(bytes, encoding, Buffer.from(prefix))));
    return { value, channel: channel as VolumeKey["channel"], ...(variable === "" ? {} : { variable }) };
  },
});

function encodeKey(bytes: Buffer, encoding: string | undefined, prefix: Buffer): Buffer {
  if (encoding === "hex") return hexBytes(bytes, prefix, Buffer.alloc(0));
  const body = encoding === "base64" ? base64Bytes(bytes) : Buffer.from(bytes);
  const whole = Buffer.allocUnsafeSlow(prefix.length + body.length);
  whole.set(prefix, 0);
  whole.set(body, prefix.length);
  body.fill(0);
  return whole;
}
