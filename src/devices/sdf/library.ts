import { checkPinnedLibrary } from "../native/library-hash.ts";
import { checkLibraryFile } from "./elf.ts";
import { ownFault } from "./errors.ts";

/** Arguments of the calls: `u` unsigned int, `h` handle (`void *` by value), `p` pointer to memory of ours, or NULL. */
const signatures = {
  SDF_OpenDevice: "p",
  SDF_CloseDevice: "h",
  SDF_OpenSession: "hp",
  SDF_CloseSession: "h",
  SDF_GetDeviceInfo: "hp",
  SDF_GenerateRandom: "hup",
  SDF_GetPrivateKeyAccessRight: "hupu",
  SDF_ReleasePrivateKeyAccessRight: "hu",
  SDF_GetKEKAccessRight: "hupu",
  SDF_ReleaseKEKAccessRight: "hu",
  SDF_ExportSignPublicKey_ECC: "hup",
  SDF_ExportEncPublicKey_ECC: "hup",
  SDF_InternalSign_ECC: "hupup",
  SDF_ExternalVerify_ECC: "huppup",
  SDF_ExternalEncrypt_ECC: "huppup",
  SDF_InternalDecrypt_ECC: "huuppp",
  SDF_GenerateKeyWithKEK: "huuuppp",
  SDF_ImportKeyWithKEK: "huupup",
  SDF_DestroyKey: "hh",
  SDF_Encrypt: "hhuppupp",
  SDF_HashInit: "huppu",
  SDF_HashUpdate: "hpu",
  SDF_HashFinal: "hpp",
} as const;

export type SdfCallName = keyof typeof signatures;

/** Without these there is no device; every other call is looked for, and what needs it says so when it is missing. */
const required: readonly SdfCallName[] = [
  "SDF_OpenDevice",
  "SDF_CloseDevice",
  "SDF_OpenSession",
  "SDF_CloseSession",
  "SDF_GenerateRandom",
  "SDF_GetPrivateKeyAccessRight",
  "SDF_ReleasePrivateKeyAccessRight",
  "SDF_ExportSignPublicKey_ECC",
  "SDF_InternalSign_ECC",
];

const types = { u: "uint32", h: "uint64", p: "void *" } as const;

export type SdfArgument = number | bigint | Uint8Array | null;

/** Calls of a library by where they are in the process. */
export type SdfAddresses = ReadonlyMap<SdfCallName, bigint>;

interface NativeCall {
  (...args: readonly SdfArgument[]): number;
  async(...args: readonly (SdfArgument | ((error: Error | null, code: number) => void))[]): void;
}

/** A GM/T 0018 library in this process. Whoever calls sees to it that calls exclude each other as they must. */
export class SdfLibrary {
  readonly #calls: ReadonlyMap<SdfCallName, NativeCall>;
  readonly #addresses: SdfAddresses;
  readonly #unload: () => void;

  private constructor(calls: ReadonlyMap<SdfCallName, NativeCall>, addresses: SdfAddresses, unload: () => void) {
    this.#calls = calls;
    this.#addresses = addresses;
    this.#unload = unload;
  }

  /**
   * Loads a library: its path, or a name that the loader finds on its own path.
   *
   * @param sha256 - That a library given by its path must have, hex.
   * @throws {DeviceFault} `not-found` or `unsupported`: missing, not a library, for another processor, without a call that is
   *   needed (SYMBOL_MISSING), or refused by the loader (LIBRARY_UNLOADABLE); `integrity` (LIBRARY_CHANGED).
   */
  static async load(path: string, sha256?: string): Promise<SdfLibrary> {
    const { default: koffi } = await import("koffi");
    checkLibraryFile(path);
    checkPinnedLibrary(path, sha256);
    let library: ReturnType<typeof koffi.load>;
    try {
      library = koffi.load(path);
    } catch (cause) {
      throw unloadable(path, cause);
    }
    const calls = new Map<SdfCallName, NativeCall>();
    const addresses = new Map<SdfCallName, bigint>();
    for (const name of Object.keys(signatures) as SdfCallName[]) {
      try {
        calls.set(name, library.func(name, "uint32", argumentTypes(name)) as unknown as NativeCall);
        addresses.set(name, library.symbol(name) as bigint);
      } catch {
        if (required.includes(name))
          throw ownFault("unsupported", "SYMBOL_MISSING", `${path} has no ${name}: it is not a GM/T 0018 library`);
      }
    }
    return new SdfLibrary(calls, addresses, () => library.unload());
  }

  /**
   * A library that another thread of this process has loaded, and keeps loaded. Loading it here again would give another library,
   * where its file was replaced meanwhile: one that does not know the other's sessions.
   *
   * @param addresses - The other thread's {@link addresses}.
   */
  static async loadedAt(addresses: SdfAddresses): Promise<SdfLibrary> {
    const { default: koffi } = await import("koffi");
    const calls = new Map<SdfCallName, NativeCall>();
    for (const [name, address] of addresses) {
      const prototype = koffi.proto("uint32", argumentTypes(name));
      calls.set(name, koffi.decode(address, prototype) as NativeCall);
    }
    return new SdfLibrary(calls, addresses, () => undefined);
  }

  /** Where the library's calls are in this process. */
  get addresses(): SdfAddresses {
    return this.#addresses;
  }

  /** Whether the library has this call. */
  has(...names: readonly SdfCallName[]): boolean {
    return names.every((name) => this.#calls.has(name));
  }

  /** Names of the calls that are looked for and are not there. */
  get missing(): readonly SdfCallName[] {
    return (Object.keys(signatures) as SdfCallName[]).filter((name) => !this.#calls.has(name));
  }

  /** Calls on this thread and returns the code, unsigned. */
  callNow(name: SdfCallName, ...args: readonly SdfArgument[]): number {
    return this.#native(name)(...args) >>> 0;
  }

  /**
   * Calls on a thread of libuv's pool. Memory that a pointer leads to is held until the call has returned: koffi itself does not
   * keep it from being collected.
   */
  call(name: SdfCallName, ...args: readonly SdfArgument[]): Promise<number> {
    const native = this.#native(name);
    return new Promise((resolve, reject) => {
      native.async(...args, (error, code) => {
        held.delete(args);
        if (error === null) resolve(code >>> 0);
        else reject(error);
      });
      held.add(args);
    });
  }

  /** After this, nothing of the library may be called. */
  unload(): void {
    this.#unload();
  }

  #native(name: SdfCallName): NativeCall {
    const native = this.#calls.get(name);
    if (native === undefined)
      throw ownFault("unsupported", "SYMBOL_MISSING", `the library has no ${name}, which this needs`);
    return native;
  }
}

function argumentTypes(name: SdfCallName): string[] {
  return [...signatures[name]].map((letter) => types[letter as keyof typeof types]);
}

/** Arguments of calls that have not returned. */
const held = new Set<readonly SdfArgument[]>();

function unloadable(path: string, cause: unknown): Error {
  const said = cause instanceof Error ? cause.message : "";
  if (/No such file|cannot open shared object file/.test(said) && !path.includes("/"))
    return ownFault(
      "not-found",
      "LIBRARY_MISSING",
      `the loader finds no library ${path}: give its whole path, or install it where the loader looks`,
    );
  const reason = said.replace(/[^\x20-\x7e]/g, "?").slice(0, 300);
  return ownFault("unsupported", "LIBRARY_UNLOADABLE", `${path} cannot be loaded: ${reason}`);
}
